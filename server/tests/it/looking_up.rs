//! `GET /v1/inquiries/{tracking_code}`.

use serde_json::{Value, json};

use crate::asking::check_members;
use crate::site::{AS_OF, Setup, Site};

/// An English inpatient answer of the hospital's: its tracking code and its text.
fn asked(site: &Site) -> (String, String) {
    let authorization = format!("Bearer {}", site.keys.hospital);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("Accept-Language", "en"),
    ];
    let body = json!({"person_id": "6930154164", "care": "inpatient"}).to_string();
    let reply = site.client.post("/v1/inquiries", &headers, body.as_bytes());
    assert_eq!(reply.status, 201, "{reply:?}");
    (reply.json()["tracking_code"].as_str().unwrap().to_owned(), reply.text)
}

#[test]
fn the_provider_that_asked_gets_the_very_answer() {
    let site = Site::usual();
    let (code, text) = asked(&site);
    let reply = site.client.look_up(&site.keys.hospital, &code);
    assert_eq!((reply.status, &reply.text), (200, &text));
    assert_eq!(reply.header("content-language"), "en", "the language as it was asked");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[test]
fn the_desk_also_gets_who_asked_for_whom_and_why() {
    let site = Site::usual();
    let (code, text) = asked(&site);
    let reply = site.client.look_up(&site.keys.desk, &code);
    assert!(reply.text.starts_with(text.trim_end_matches('}')), "{reply:?}");
    let members = [
        "snapshot",
        "channel",
        "provider",
        "person_id",
        "reason",
        "end_date",
        "end_date_jalali",
        "open_ended",
    ];
    assert_eq!(reply.json().as_object().unwrap().len(), 10 + members.len());
    let rest = format!("{{{}", &reply.text[reply.text.find("\"snapshot\"").unwrap()..]);
    check_members(&rest, &members);
    let found = reply.json();
    assert_eq!((&found["channel"], &found["provider"]), (&json!("general"), &json!("hospital.1")));
    assert_eq!(
        (&found["person_id"], &found["reason"]["code"]),
        (&json!("6930154164"), &json!("record_incomplete"))
    );
}

#[test]
fn the_desk_reads_personal_answers_and_nobody_else_does() {
    let site = Site::usual();
    let body = json!({"person_id": "3515137238", "mobile": "09121234567", "service_date": AS_OF});
    let answer = site.client.ask_personally(&body).json();
    let code = answer["tracking_code"].as_str().unwrap();
    let found = site.client.look_up(&site.keys.desk, code).json();
    assert_eq!((&found["channel"], &found["provider"]), (&json!("personal"), &Value::Null));
    for member in ["status", "reason", "end_date", "end_date_jalali", "open_ended", "answered_at", "snapshot"]
    {
        assert_eq!(found[member], answer[member], "{member}");
    }
    assert!(!site.client.look_up(&site.keys.desk, code).text.contains("9121234567"));
    site.client.look_up(&site.keys.hospital, code).problem(404, "not_found");
}

#[test]
fn all_that_is_not_there_for_one_looks_the_same() {
    let site = Site::usual();
    let (code, _) = asked(&site);
    let another = site.client.look_up(&site.keys.clinic, &code);
    another.problem(404, "not_found");
    let last = code.as_bytes()[15];
    let mistyped = format!("{}{}", &code[..15], char::from(b'0' + (last - b'0' + 1) % 10));
    for typed in [mistyped.as_str(), "1", "abc", "%20", &code[1..], &format!("{code}0"), "5742616694"] {
        for key in [&site.keys.hospital, &site.keys.desk] {
            let reply = site.client.look_up(key, typed);
            reply.problem(404, "not_found");
            assert_eq!(reply.text, another.text, "{typed}");
        }
    }
}

#[test]
fn a_key_with_a_scope_for_inquiries_is_needed() {
    let site = Site::usual();
    let (code, _) = asked(&site);
    site.client.look_up(&site.keys.ops, &code).problem(403, "missing_scope");
    site.client.look_up("hospital.1.x", &code).problem(401, "unauthorized");
    assert_eq!(site.client.get(&format!("/v1/inquiries/{code}"), &[]).problem(401, "unauthorized"), "");
}

#[test]
fn a_code_of_another_ledger_is_misdirected() {
    let site = Site::usual();
    let (code, _) = asked(&site);
    let other = Setup { ledger_number: 2, ..Setup::usual() }.start();
    other.client.look_up(&other.keys.desk, &code).problem(421, "other_ledger");
}

#[test]
fn an_answer_can_be_looked_up_at_once_by_every_asker() {
    let site = Site::usual();
    for key in [&site.keys.clinic, &site.keys.claims, &site.keys.pharmacy] {
        let reply = site.client.ask(key, &json!({"person_id": "5742616694"}));
        let code = reply.json()["tracking_code"].as_str().unwrap().to_owned();
        assert_eq!(site.client.look_up(key, &code).text, reply.text);
    }
}

/// Somebody reads the code from a receipt, in Persian digits or in groups, or pastes it from a chat.
#[test]
fn a_code_is_found_however_it_is_typed() {
    let site = Site::usual();
    let (code, text) = asked(&site);
    let groups = |digits: &str, between: &str| {
        let fours: Vec<String> =
            digits.chars().collect::<Vec<_>>().chunks(4).map(|four| four.iter().collect()).collect();
        fours.join(between)
    };
    let persian: String = code.chars().map(|c| char::from_u32(u32::from(c) + 0x6C0).unwrap()).collect();
    for typed in [
        persian.clone(),
        groups(&code, " "),
        groups(&code, "-"),
        groups(&persian, "\u{A0}"),
        format!("\u{202A}{code}\u{202C}"),
        format!("\u{2067}{}\u{2069}\u{200F}", groups(&persian, "\u{2011}")),
    ] {
        let escaped: String = typed.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reply = site.client.look_up(&site.keys.hospital, &escaped);
        assert_eq!((reply.status, &reply.text), (200, &text), "{typed:?}");
    }
}
