//! `POST /v1/inquiries`: the answer, and what is wrong with a body.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::site::{AS_OF, Site};

const MEMBERS: [&str; 11] = [
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
];

/// Asserts that a JSON text has exactly these members in this order.
#[track_caller]
pub(crate) fn check_members(text: &str, members: &[&str]) {
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value.as_object().unwrap().len(), members.len(), "{text}");
    let places: Vec<_> = members.iter().map(|name| text.find(&format!("\"{name}\":"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{members:?} in {text}");
}

#[test]
fn a_provider_gets_exactly_the_answer_of_the_contract() {
    let site = Site::usual();
    let body = json!({"person_id": "5742616694", "service_date": AS_OF});
    let reply = site.client.ask(&site.keys.desk, &body);
    assert_eq!(reply.status, 201, "{reply:?}");
    check_members(&reply.text, &MEMBERS);
    let answer = reply.json();
    assert_eq!(answer["status"], "covered");
    assert_eq!(answer["message"], "حمایت درمانی دارد");
    assert_eq!(answer["notices"], json!([]));
    assert_eq!((&answer["id_kind"], &answer["care"]), (&json!("national"), &json!("outpatient")));
    assert_eq!(
        (&answer["service_date"], &answer["service_date_jalali"]),
        (&json!(AS_OF), &json!("1405/09/01"))
    );
    assert_eq!(answer["as_of"], AS_OF);
    assert!(answer["snapshot"].as_str().unwrap().starts_with("2026-11-22-"));
    let code = answer["tracking_code"].as_str().unwrap();
    assert!(code.len() == 16 && code.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(reply.header("location"), format!("/v1/inquiries/{code}"));
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("content-language"), "fa");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[test]
fn an_answer_tells_the_time_in_tehran() {
    let site = Site::usual();
    let reply = site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).json();
    let answered_at = reply["answered_at"].as_str().unwrap();
    let told: jiff::Timestamp = answered_at.parse().unwrap();
    assert!(told.duration_until(jiff::Timestamp::now()).as_secs().abs() < 60);
    assert!(answered_at.len() == 29 && answered_at.ends_with("+03:30"), "{answered_at}");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Tehran").unwrap()).date();
    let yesterday = today.yesterday().unwrap(); // Midnight may pass between the two.
    assert!([today, yesterday].map(|day| json!(day.to_string())).contains(&reply["service_date"]));
}

#[test]
fn ids_and_dates_are_read_as_people_write_them() {
    let site = Site::usual();
    for (person_id, date) in
        [("٣٥١٥١٣٧٢٣٨", "1405/09/01"), (" 3515137238\u{200C}", "۱۴۰۵-۹-۱"), ("3515137238", "20261122")]
    {
        let reply = site.client.ask(&site.keys.desk, &json!({"person_id": person_id, "service_date": date}));
        let answer = reply.json();
        assert_eq!((reply.status, &answer["status"]), (201, &json!("covered")), "{reply:?}");
        assert_eq!(answer["service_date"], AS_OF);
    }
    let body =
        json!({"person_id": "0055252728", "id_kind": "Foreign", "care": "OUTPATIENT", "service_date": AS_OF});
    let answer = site.client.ask(&site.keys.desk, &body).json();
    assert_eq!((&answer["status"], &answer["id_kind"]), (&json!("not_covered"), &json!("foreign")));
}

#[test]
fn notices_come_with_their_texts_in_both_languages() {
    let site = Site::usual();
    let body = json!({"person_id": "6930154164", "service_date": AS_OF}).to_string();
    let authorization = format!("Bearer {}", site.keys.desk);
    let ask = |language: &str| {
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json; charset=utf-8"),
            ("Accept-Language", language),
        ];
        site.client.post("/v1/inquiries", &headers, body.as_bytes())
    };
    let persian = ask("de, fa;q=0.5").json();
    assert_eq!(persian["message"], "حمایت درمانی ندارد");
    let codes: Vec<_> = persian["notices"].as_array().unwrap().iter().map(|notice| &notice["code"]).collect();
    assert_eq!(codes, ["record_incomplete", "objection_line"]);
    assert_eq!(
        persian["notices"][1]["message"],
        "در صورت اعتراض به وضعیت استحقاق درمان با سامانه ۱۴۲۰ تماس بگیرید"
    );
    let english = ask("en-GB, fa;q=0.5");
    assert_eq!(english.header("content-language"), "en");
    assert_eq!(english.json()["message"], "Not covered for treatment");
}

fn post(site: &Site, body: &[u8]) -> Reply {
    let authorization = format!("Bearer {}", site.keys.clinic);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    site.client.post("/v1/inquiries", &headers, body)
}

#[test]
fn bodies_that_are_no_json_object_are_malformed() {
    let site = Site::usual();
    for body in
        ["", "{", "[]", "\"x\"", "{} x", "{\"person_id\":\"5742616694\",\"person_id\":\"5742616694\"}"]
    {
        assert_eq!(post(&site, body.as_bytes()).problem(400, "malformed_json"), "");
    }
    post(&site, b"{\"person_id\":\"\xff\"}").problem(400, "malformed_json");
}

#[test]
fn unknown_fields_are_named_unless_they_could_be_personal() {
    let site = Site::usual();
    let body = json!({"person_id": 1, "mobile": "x", "nme": 1, "5742616694": 1});
    let reply = post(&site, body.to_string().as_bytes());
    assert_eq!(reply.problem(400, "unknown_field"), "?:unknown_field mobile:unknown_field nme:unknown_field");
    assert!(!reply.text.contains("5742616694"));
}

#[test]
fn all_faulty_fields_are_told_at_once() {
    let site = Site::usual();
    let body =
        json!({"person_id": "0684159415", "id_kind": "national", "service_date": "1404/12/30", "care": 7});
    let reply = post(&site, body.to_string().as_bytes());
    let errors = "person_id:bad_check_digit service_date:bad_date care:bad_type";
    assert_eq!(reply.problem(422, "bad_check_digit"), errors);
    assert!(!reply.text.contains("0684159415"));
}

#[test]
fn one_faulty_field_gives_its_code() {
    let site = Site::usual();
    let check = |body: Value, code: &str, field: &str| {
        let reply = post(&site, body.to_string().as_bytes());
        assert_eq!(reply.problem(422, code), format!("{field}:{code}"), "{body}");
    };
    check(json!({}), "required", "person_id");
    check(json!({"person_id": null}), "required", "person_id");
    check(json!({"person_id": 5_742_616_694_u64}), "bad_type", "person_id");
    check(json!({"person_id": "1234567"}), "bad_person_id", "person_id");
    check(json!({"person_id": "1111111111"}), "bad_person_id", "person_id");
    check(json!({"person_id": "1234567890"}), "bad_check_digit", "person_id");
    check(json!({"person_id": "5742616694", "id_kind": "N"}), "bad_enum", "id_kind");
    check(json!({"person_id": "5742616694", "id_kind": true}), "bad_type", "id_kind");
    check(json!({"person_id": "5742616694", "care": "day"}), "bad_enum", "care");
    check(json!({"person_id": "5742616694", "service_date": "tomorrow"}), "bad_date", "service_date");
    check(json!({"person_id": "5742616694", "service_date": 14050901}), "bad_type", "service_date");
    check(
        json!({"person_id": "5742616694", "service_date": "2080-01-01"}),
        "date_out_of_range",
        "service_date",
    );
}

#[test]
fn an_unknown_person_is_an_answer_not_an_error() {
    let site = Site::usual();
    let reply = site.client.ask(&site.keys.desk, &json!({"person_id": "1532386427", "service_date": AS_OF}));
    assert_eq!((reply.status, &reply.json()["status"]), (201, &json!("not_covered")));
    check_members(&reply.text, &MEMBERS);
}

#[test]
fn what_was_pasted_or_saved_by_an_editor_is_read() {
    let site = Site::usual();
    let authorization = format!("Bearer {}", site.keys.clinic);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let ask = |body: &str| site.client.post("/v1/inquiries", &headers, body.as_bytes());
    for person in
        ["\u{202B}\u{2067}۵۷۴۲۶۱۶۶۹۴\u{2069}\u{202C}", "5742616694\\r\\n", "\u{AD}\u{200D}5742616694"]
    {
        let reply = ask(&format!("\u{FEFF}{{\"person_id\":\"{person}\"}}"));
        assert_eq!(reply.status, 201, "{person:?}: {reply:?}");
    }
    ask("\u{FEFF}\u{FEFF}{\"person_id\":\"5742616694\"}").problem(400, "malformed_json");
}
