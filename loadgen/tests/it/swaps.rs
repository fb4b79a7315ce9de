//! A server that goes over to another generation while it is under load.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Fixture;
use crate::server::{TestServer, changed_reply};

const BEFORE: &str = "2026-11-21-000000000001";
const AFTER: &str = "2026-11-22-3fa9c1d2e4b5";

#[test]
fn a_swap_is_marked_in_the_report_when_it_was_seen() {
    let first: OnceLock<Instant> = OnceLock::new();
    let server = TestServer::start(move |request| {
        let since = first.get_or_init(Instant::now).elapsed();
        let name = if since < Duration::from_millis(1_500) { BEFORE } else { AFTER };
        changed_reply(request, |body| body["snapshot"] = json!(name))
    });
    let fixture = Fixture::new(30);
    let report = fixture.path("report.html");
    let more = ["--rate", "200", "--duration-s", "3", "--report", report.to_str().unwrap()];
    let result = fixture.run(&server, &more).json();
    let swaps = result["swaps"].as_array().unwrap();
    assert_eq!(swaps.len(), 1, "{swaps:?}");
    assert_eq!((&swaps[0]["from"], &swaps[0]["to"]), (&json!(BEFORE), &json!(AFTER)));
    let at_ms = swaps[0]["t_ms"].as_u64().unwrap();
    assert!((1_400..2_500).contains(&at_ms), "{at_ms}");
    let points = result["timeline"]["points"].as_array().unwrap();
    let seen: Vec<&Value> = points.iter().map(|point| &point["generation"]).collect();
    assert_eq!((seen[0], *seen.last().unwrap()), (&json!(BEFORE), &json!(AFTER)));
    let page = std::fs::read_to_string(report).unwrap();
    for chart in ["chart-latency", "chart-rate", "chart-lateness", "chart-stalls"] {
        let svg = page.split(&format!("id=\"{chart}\"")).nth(1).unwrap().split("</svg>").next().unwrap();
        assert_eq!(svg.matches("class=\"mark swap\"").count(), 1, "{chart}");
        assert!(svg.contains(&format!("swap to {AFTER}")), "{chart}");
    }
}
