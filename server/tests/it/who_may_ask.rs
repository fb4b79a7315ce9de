//! Keys, scopes, dates and kinds of care.

use serde_json::json;

use crate::site::{Site, publish};

fn day(days: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Tehran").unwrap()).date();
    today.checked_add(jiff::ToSpan::days(days)).unwrap().to_string()
}

#[test]
fn without_a_valid_key_nothing_is_said() {
    let site = Site::usual();
    let body = json!({"person_id": "5742616694"}).to_string();
    let (id, secret) = site.keys.clinic.rsplit_once('.').unwrap();
    let upper = secret.to_uppercase();
    for authorization in [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Basic {}", site.keys.clinic)),
        Some(site.keys.clinic.clone()),
        Some(format!("Bearer {id}")),
        Some(format!("Bearer {id}.{}", "0".repeat(64))),
        Some(format!("Bearer {id}.{upper}")),
        Some(format!("Bearer nobody.{secret}")),
        Some(format!("Bearer {secret}")),
    ] {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(authorization.as_deref().map(|authorization| ("Authorization", authorization)));
        let reply = site.client.post("/v1/inquiries", &headers, body.as_bytes());
        assert_eq!(reply.problem(401, "unauthorized"), "", "{authorization:?}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    let authorization = format!("bEARER {}", site.keys.clinic);
    let headers = [("Content-Type", "application/json"), ("Authorization", &authorization)];
    assert_eq!(site.client.post("/v1/inquiries", &headers, body.as_bytes()).status, 201);
}

#[test]
fn checks_run_in_their_order() {
    let site = Site::usual();
    let post = |key: &str, content_type: &str, body: &str| {
        let authorization = format!("Bearer {key}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", content_type)];
        site.client.post("/v1/inquiries", &headers, body.as_bytes())
    };
    let long = "x".repeat(5000);
    post("no.key", "text/plain", &long).problem(401, "unauthorized");
    post(&site.keys.ops, "text/plain", &long).problem(403, "missing_scope");
    post(&site.keys.clinic, "text/plain", &long).problem(415, "unsupported_media_type");
    post(&site.keys.clinic, "application/json", &long).problem(413, "body_too_large");
    post(&site.keys.clinic, "application/json", "{\"x\":").problem(400, "malformed_json");
    post(&site.keys.clinic, "application/json", "{\"x\":1}").problem(400, "unknown_field");
    let faulty = json!({"person_id": "x", "service_date": "2020-01-01", "care": "inpatient"}).to_string();
    post(&site.keys.clinic, "application/json", &faulty).problem(422, "bad_person_id");
    let both =
        json!({"person_id": "5742616694", "service_date": "2020-01-01", "care": "inpatient"}).to_string();
    post(&site.keys.clinic, "application/json", &both).problem(422, "date_not_allowed");
}

#[test]
fn a_key_asks_about_its_own_dates() {
    let site = Site::usual();
    let check = |key: &str, days: i64, allowed: bool| {
        let reply = site.client.ask(key, &json!({"person_id": "5742616694", "service_date": day(days)}));
        if allowed {
            assert_eq!(reply.status, 201, "{days} {reply:?}");
        } else {
            assert_eq!(reply.problem(422, "date_not_allowed"), "service_date:date_not_allowed", "{days}");
        }
    };
    // Two days, not one, where midnight in between would change the outcome.
    for (days, allowed) in [(-2, false), (0, true), (2, false)] {
        check(&site.keys.clinic, days, allowed);
        check(&site.keys.hospital, days, allowed);
    }
    for (days, allowed) in [(-367, false), (-364, true), (0, true), (2, false)] {
        check(&site.keys.claims, days, allowed);
    }
    for days in [-9000, 0, 9000] {
        check(&site.keys.desk, days, true);
    }
}

#[test]
fn inpatient_care_is_for_hospitals_and_the_desk() {
    let site = Site::usual();
    let body = json!({"person_id": "5742616694", "care": "inpatient"});
    for key in [&site.keys.hospital, &site.keys.desk] {
        let answer = site.client.ask(key, &body).json();
        assert_eq!(answer["notices"][0]["code"], "overlap_check_required");
    }
    for key in [&site.keys.clinic, &site.keys.claims, &site.keys.pharmacy] {
        site.client.ask(key, &body).problem(403, "care_not_allowed");
    }
}

#[test]
fn a_refusal_leaves_no_entry() {
    let site = Site::usual();
    let before = site.running().ledger_stats().entries;
    site.client.ask(&site.keys.clinic, &json!({"person_id": "x"})).problem(422, "bad_person_id");
    site.client.ask(&site.keys.ops, &json!({"person_id": "5742616694"})).problem(403, "missing_scope");
    site.client.ask_personally(&json!({"person_id": "5742616694"})).problem(422, "required");
    assert_eq!(site.running().ledger_stats().entries, before);
    // The same snapshot published again changes nothing.
    publish(&site.path("snapshots"), crate::site::AS_OF);
    assert!(site.running().is_ready());
}
