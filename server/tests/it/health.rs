//! `/livez`, `/readyz` and `/metrics`.

use serde_json::{Value, json};

use crate::site::{AS_OF, Setup, Site, publish, wait_until};

#[test]
fn a_service_without_a_snapshot_lives_but_is_not_ready() {
    let site = Setup { snapshot: false, ..Setup::usual() }.start();
    assert_eq!(
        (site.client.get("/livez", &[]).status, site.client.get("/livez", &[]).text),
        (200, "{\"live\":true}".into())
    );
    let ready = site.client.get("/readyz", &[]);
    let expected =
        json!({"ready": false, "snapshot": null, "as_of": null, "ledger_writable": true, "stopping": false});
    assert_eq!((ready.status, ready.json()), (503, expected));
    let reply = site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"}));
    reply.problem(503, "unavailable");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    let reply = site.client.ask_personally(&json!({"person_id": "5742616694", "mobile": "09121234567"}));
    reply.problem(503, "unavailable");
    assert_eq!(site.running().ledger_stats().entries, 0);

    let name = publish(&site.path("snapshots"), AS_OF);
    wait_until("the first generation is in", || site.client.get("/readyz", &[]).status == 200);
    assert_eq!(site.client.get("/readyz", &[]).json()["snapshot"], name);
    assert_eq!(site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).status, 201);
}

#[test]
fn metrics_count_and_tell_nothing_of_persons_or_providers() {
    let site = Site::usual();
    for _ in 0..3 {
        assert_eq!(site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).status, 201);
    }
    site.client.ask(&site.keys.clinic, &json!({})).problem(422, "required");
    site.client
        .ask_personally(&json!({"person_id": "5742616694", "mobile": "09306007282"}))
        .problem(403, "mobile_mismatch");
    let reply = site.client.get("/metrics", &[]);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    for line in [
        "estehqaq_requests_total{endpoint=\"inquiries\",class=\"2xx\"} 3",
        "estehqaq_requests_total{endpoint=\"inquiries\",class=\"4xx\"} 1",
        "estehqaq_requests_total{endpoint=\"personal_inquiries\",class=\"4xx\"} 1",
        "estehqaq_ledger_entries_total 4",
        "estehqaq_ledger_queue_len 0",
        "estehqaq_ledger_writable 1",
        "estehqaq_snapshot_people 3140",
        "estehqaq_ready 1",
    ] {
        assert!(reply.text.lines().any(|each| each == line), "{line} is not in\n{}", reply.text);
    }
    assert!(reply.text.contains("as_of=\"2026-11-22\"}"));
    for secret in ["5742616694", "clinic", "9306007282"] {
        assert!(!reply.text.contains(secret));
    }
}

#[test]
fn a_head_request_has_no_body() {
    let site = Site::usual();
    let request = "HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = crate::client::raw(site.address(), request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn readiness_tells_the_generation() {
    let site = Site::usual();
    let ready: Value = site.client.get("/readyz", &[]).json();
    assert_eq!((&ready["ready"], &ready["as_of"]), (&json!(true), &json!(AS_OF)));
}
