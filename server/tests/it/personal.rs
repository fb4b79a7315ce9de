//! `POST /v1/personal-inquiries`: what a person gets, and that a stranger gets nothing.

use serde_json::{Value, json};

use crate::asking::check_members;
use crate::site::{AS_OF, Site};

const MEMBERS: [&str; 15] = [
    "tracking_code",
    "status",
    "message",
    "notices",
    "id_kind",
    "care",
    "service_date",
    "service_date_jalali",
    "answered_at",
    "as_of",
    "snapshot",
    "reason",
    "end_date",
    "end_date_jalali",
    "open_ended",
];

#[test]
fn a_person_also_gets_the_reason_and_the_end() {
    let site = Site::usual();
    let body = json!({"person_id": "1043525882", "mobile": "0912 123 4567", "service_date": AS_OF});
    let reply = site.client.ask_personally(&body);
    assert_eq!(reply.status, 201, "{reply:?}");
    check_members(&reply.text, &MEMBERS);
    let answer = reply.json();
    assert_eq!(answer["status"], "not_covered");
    assert_eq!(answer["reason"]["code"], "student_certificate_missing");
    assert_eq!(
        (&answer["end_date"], &answer["end_date_jalali"]),
        (&json!("2025-03-20"), &json!("1403/12/30"))
    );
    assert_eq!(answer["open_ended"], false);
    assert_eq!(answer["care"], "outpatient");
    let open = site.client.ask_personally(&json!({"person_id": "5742616694", "mobile": "9121234567"})).json();
    assert_eq!((&open["end_date"], &open["end_date_jalali"]), (&Value::Null, &Value::Null));
    assert_eq!((&open["open_ended"], &open["reason"]["code"]), (&json!(true), &json!("active")));
}

#[test]
fn strangers_unknown_and_incomplete_people_look_the_same() {
    let site = Site::usual();
    let before = site.running().ledger_stats().entries;
    let known = json!({"person_id": "5742616694", "mobile": "09306007282"});
    let unknown = json!({"person_id": "1532386427", "mobile": "09121234567"});
    let incomplete = json!({"person_id": "6930154164", "mobile": "00989653282191"});
    let replies = [known, unknown, incomplete].map(|body| site.client.ask_personally(&body));
    for reply in &replies {
        assert_eq!(reply.problem(403, "mobile_mismatch"), "");
        assert_eq!(reply.text, replies[0].text);
        assert_eq!(reply.header("location"), "");
        assert_eq!(reply.headers.len(), replies[0].headers.len());
    }
    assert_eq!(replies[0].json()["title"], "عدم تطابق کد ملی با شماره موبایل");
    assert!(replies[0].json()["detail"].as_str().unwrap().contains("شعبه"));
    assert_eq!(site.running().ledger_stats().entries, before + 3, "a mismatch is in the ledger");
}

#[test]
fn a_mobile_number_is_required_and_care_is_not_asked() {
    let site = Site::usual();
    let check = |body: Value, status: u16, errors: &str| {
        let reply = site.client.ask_personally(&body);
        let code = errors.split([' ', ':']).nth(1).unwrap();
        assert_eq!(reply.problem(status, code), errors, "{body}");
    };
    check(json!({"person_id": "5742616694"}), 422, "mobile:required");
    check(json!({"person_id": "5742616694", "mobile": " "}), 422, "mobile:required");
    check(json!({"person_id": "5742616694", "mobile": 9_121_234_567_u64}), 422, "mobile:bad_type");
    check(json!({"person_id": "x", "mobile": "0812"}), 422, "person_id:bad_person_id mobile:bad_mobile");
    check(
        json!({"person_id": "5742616694", "mobile": "09121234567", "care": "inpatient"}),
        400,
        "care:unknown_field",
    );
}

#[test]
fn a_person_may_ask_about_any_date() {
    let site = Site::usual();
    for date in ["1900-01-01", "2079-06-05"] {
        let body = json!({"person_id": "5742616694", "mobile": "09121234567", "service_date": date});
        assert_eq!(site.client.ask_personally(&body).status, 201);
    }
}
