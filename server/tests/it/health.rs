//! `/livez`, `/readyz` and `/metrics`.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::Day;
use serde_json::{Value, json};

use crate::site::{AS_OF, Setup, Site, publish, wait_until};

#[test]
fn a_service_without_a_snapshot_lives_but_is_not_ready() {
    let site = Setup { snapshot: false, ..Setup::usual() }.start();
    assert_eq!(
        (site.client.get("/livez", &[]).status, site.client.get("/livez", &[]).text),
        (200, "{\"live\":true}".into())
    );
    wait_until("it has looked", || !site.client.get("/readyz", &[]).json()["refused"].is_null());
    let ready = site.client.get("/readyz", &[]);
    let expected = json!({
        "ready": false, "snapshot": null, "as_of": null, "ledger_writable": true, "clock": null,
        "stopping": false,
        "opening": null, "refused": {"snapshot": null, "cause": "current"},
        "rollback": {"snapshot": null, "at_once": false, "state": "nothing_before"},
        "next_publication": null,
    });
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
        "estehqaq_ledger_batches_total 4",
        "estehqaq_ledger_sync_seconds_bucket{le=\"+Inf\"} 5",
        "estehqaq_ledger_segment 1",
        "estehqaq_ledger_segment_entries 5",
        "estehqaq_ledger_queue_len 0",
        "estehqaq_ledger_writable 1",
        "estehqaq_clock_believed 1",
        "estehqaq_snapshot_people 3140",
        "estehqaq_ready 1",
        "estehqaq_swaps_total 1",
        "estehqaq_swap_seconds_count{phase=\"verify\"} 1",
        "estehqaq_swap_seconds_count{phase=\"warm\"} 0",
        "estehqaq_refused_swaps_total{cause=\"changed\"} 0",
        "estehqaq_snapshot_resident_share 1",
        "estehqaq_snapshot_refused 0",
        "estehqaq_snapshots_retiring 0",
        "estehqaq_rollback_at_once 0",
    ] {
        assert!(reply.text.lines().any(|each| each == line), "{line} is not in\n{}", reply.text);
    }
    assert!(reply.text.contains("as_of=\"2026-11-22\",memory=\"resident\"} 1"));
    let number = |name: &str| {
        let line = reply.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{}", reply.text)).parse::<f64>().unwrap()
    };
    let as_of = age_s(AS_OF);
    assert!((number("estehqaq_snapshot_as_of_age_seconds") - as_of).abs() < 60.0);
    assert!(number("estehqaq_swap_seconds_sum{phase=\"verify\"}") > 0.0);
    assert!(number("estehqaq_page_faults_total{kind=\"minor\"}") > 0.0);
    assert!(number("estehqaq_page_faults_total{kind=\"major\"}") >= 0.0);
    assert!(number("estehqaq_resident_bytes") > 1e6 && number("estehqaq_memory_left_bytes") > 1e6);
    assert!(number("estehqaq_snapshot_bytes") > 3140.0 * 16.0);
    for secret in ["5742616694", "clinic", "9306007282"] {
        assert!(!reply.text.contains(secret));
    }
}

/// Seconds since a day began in Tehran, three and a half hours ahead of Greenwich.
fn age_s(day: &str) -> f64 {
    let unix_day = i64::from(Day::parse(day).unwrap().number()) - 25_567;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    now + 3.5 * 3600.0 - unix_day as f64 * 86_400.0
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

/// Ledger and later parts have guides of their own to be told in.
#[test]
fn the_guide_lists_every_metric_of_generations() {
    let site = Site::usual();
    let guide = include_str!("../../../docs/serving.md");
    let metrics = site.client.get("/metrics", &[]).text;
    let prefixes =
        ["snapshot", "swap", "last_swap", "refused", "rollback", "memory", "page", "resident", "ready"];
    let of_generations =
        |name: &str| prefixes.iter().any(|prefix| name["estehqaq_".len()..].starts_with(prefix));
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| of_generations(name)).collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        let listed = ["`", "{", "_sum{"].map(|after| format!("`{name}{after}"));
        assert!(listed.iter().any(|listed| guide.contains(listed)), "docs/serving.md does not list {name}");
    }
    let counters =
        metrics.lines().filter_map(|line| line.strip_prefix("estehqaq_refused_swaps_total{cause=\""));
    let causes: Vec<_> = counters.filter_map(|rest| rest.split('"').next()).collect();
    assert!(causes.len() >= 9, "{causes:?}");
    for cause in causes {
        assert!(
            guide.contains(&format!("| `{cause}` |")),
            "docs/serving.md does not tell of the cause {cause}"
        );
    }
}
