//! Opens the reports in a real browser, headless: no console error, nothing fetched, every section there,
//! every series with as many points as the JSON has values.
//!
//! Needs `chromium` (Debian's package) on the path. Where there is none these tests say that they were skipped and
//! pass, unless `LOADGEN_TESTS_NEED=all` is set, as .ci/run does: then they fail.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::result::document::Document;
use crate::result::sample;

/// A browser of its own: nothing of the user's, and no word to anybody.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--enable-logging=stderr",
];

/// The DOM after the scripts ran, and what the browser logged; `None` where there is no browser.
fn open_in_chromium(page: &Path, profile: &Path) -> Option<(String, String)> {
    let started = Command::new("chromium")
        .args(FLAGS)
        .args(["--log-level=0", "--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output();
    let output = match started {
        Ok(output) => output,
        Err(error) => {
            crate::skipped(&format!("a report in a browser (cannot start chromium: {error})"));
            return None;
        }
    };
    assert!(output.status.success(), "chromium ended with {}", output.status);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

/// Writes the report, opens it, checks what holds for every report, and hands back its DOM and data.
fn opened(document: &Document) -> Option<(Dom, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let mut html = Vec::new();
    super::write(document, &mut html).unwrap();
    fs::write(&path, &html).unwrap();
    let (dom, log) = open_in_chromium(&path, &folder.path().join("profile"))?;
    for line in log.lines() {
        assert!(!line.contains(":CONSOLE"), "the page wrote to the console: {line}");
    }
    let dom = Dom(dom);
    dom.assert_refers_to_nothing();
    let data = dom.0.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["kind"], serde_json::to_value(document).unwrap()["kind"]);
    Some((dom, data))
}

struct Dom(String);

impl Dom {
    fn assert_refers_to_nothing(&self) {
        for word in ["<script src", "<iframe", "<img", "<object", "@import", "url(", "fetch(", "XMLHttp"] {
            assert!(!self.0.contains(word), "{word} in the page");
        }
        let page = self.0.split("<script type=\"application/json\"").next().unwrap();
        for attribute in ["href=\"", "src=\""] {
            for value in page.split(attribute).skip(1) {
                let inside = value.starts_with('#') || value.starts_with("data:,");
                assert!(inside, "{attribute}{}", &value[..60.min(value.len())]);
            }
        }
        assert!(self.0.contains("default-src 'none'"), "the page forbids itself the network");
    }

    #[track_caller]
    fn assert_sections(&self, ids: &[&str]) {
        for id in ids {
            assert!(self.0.contains(&format!("<section id=\"{id}\">")), "no section {id}");
            assert!(self.0.contains(&format!("href=\"#{id}\"")), "no way to section {id}");
        }
        assert_eq!(self.0.matches("<section ").count(), ids.len());
    }

    /// The points that the named series of a chart draws, counted in its path.
    #[track_caller]
    fn points(&self, chart: &str, series: &str) -> usize {
        let svg = self.0.split(&format!("id=\"{chart}\"")).nth(1).unwrap_or_else(|| panic!("no {chart}"));
        let svg = svg.split("</svg>").next().unwrap();
        let path = svg.split(&format!("data-name=\"{series}\"")).nth(1);
        let path = path.unwrap_or_else(|| panic!("no {series} in {chart}"));
        let said: usize =
            path.split("data-points=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        let drawn = path.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let drawn = drawn.chars().filter(|c| matches!(c, 'M' | 'L')).count();
        assert_eq!(said, drawn, "{chart} {series}");
        drawn
    }
}

/// How many points of the timeline state this percentile.
fn stated(data: &Value, of: &str, percentile: &str) -> usize {
    let points = data["timeline"]["points"].as_array().unwrap();
    points.iter().filter(|point| point[of][percentile].is_u64()).count()
}

#[test]
fn the_report_of_a_run_shows_every_point_of_its_json() {
    let Some((dom, data)) = opened(&sample::run().into()) else { return };
    dom.assert_sections(&[
        "goals",
        "spectrum",
        "latency-over-time",
        "rate",
        "lateness",
        "machine-stalls",
        "latencies",
        "stages",
        "answers",
        "connections",
        "client",
        "environment",
    ]);
    let all = data["timeline"]["points"].as_array().unwrap().len();
    assert_eq!(all, 30);
    for (name, field) in [("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p99_9"), ("max", "max")]
    {
        assert_eq!(dom.points("chart-latency", name), stated(&data, "latency_us", field), "{name}");
    }
    assert_eq!((stated(&data, "latency_us", "p50"), stated(&data, "latency_us", "p99_9")), (29, 0));
    for name in ["p50", "p99", "max"] {
        assert_eq!(dom.points("chart-lateness", name), stated(&data, "lateness_us", name), "{name}");
    }
    for name in ["p90", "p99", "max"] {
        assert_eq!(dom.points("chart-stalls", name), stated(&data, "machine_stalls_us", name), "{name}");
    }
    for name in ["intended", "sent", "answered"] {
        assert_eq!(dom.points("chart-rate", name), all);
    }
    for name in ["errors", "wrong answers"] {
        assert_eq!(dom.points("chart-failures", name), all);
    }
    // 50,000 samples: steps of a twentieth of a decade to 99.8 % solid, from there to the greatest faint.
    assert_eq!(dom.points("chart-spectrum", "latency from the intended send"), 54);
    assert_eq!(dom.points("chart-spectrum", "latency from the intended send, fewer than 100 beyond"), 42);
    for text in [
        "data-verdict=\"invalid\"",
        ">INVALID</span>",
        "cannot be trusted",
        "&lt;one wrong answer&gt;",
        "swap to 2026-11-22-3fa9c1d2e4b5",
        "goal: p99, p99.9 at most 5 ms",
        "too few samples",
        "target line 12",
        "expected none, got objection_line",
        "2026-11-22 00:00:00 UTC",
        "open_loop",
    ] {
        assert!(dom.0.contains(text), "{text:?} is missing");
    }
}

#[test]
fn the_report_of_a_search_has_a_dot_for_each_try() {
    let Some((dom, data)) = opened(&sample::capacity().into()) else { return };
    dom.assert_sections(&["latency-over-rate", "steps", "settings", "environment"]);
    for word in ["met", "missed", "invalid"] {
        let steps = data["steps"].as_array().unwrap();
        let tries = steps.iter().filter(|step| step["verdict"] == word).count();
        assert_eq!(dom.points("chart-capacity", &format!("p99, {word}")), tries);
    }
    assert!(dom.0.contains("capacity 17000 a second, between 17000 and 18000; limited by the server"));
    assert!(dom.0.contains("data-verdict=\"met\"") && dom.0.contains("goal: at most 5 ms"));
}

#[test]
fn the_report_of_a_comparison_has_a_bar_for_each_ratio_and_a_dot_for_each_turn() {
    let Some((dom, data)) = opened(&sample::compare().into()) else { return };
    dom.assert_sections(&["ratios", "rounds", "environment"]);
    let ratios = data["ratios"].as_array().unwrap();
    assert_eq!(dom.0.matches("<g class=\"ratio ").count(), ratios.len());
    let (a, b) = (dom.points("chart-rounds", "a p99"), dom.points("chart-rounds", "b p99"));
    assert_eq!(a + b, data["rounds"].as_array().unwrap().len());
    assert!(dom.0.contains("1.210 to 1.460") && dom.0.contains("no difference shown"));
    assert!(dom.0.contains("the two differ in scenario") && dom.0.contains("different builds of loadgen"));
}

#[test]
fn the_report_of_a_calibration_shows_ceiling_and_floor() {
    let Some((dom, _)) = opened(&sample::calibration().into()) else { return };
    dom.assert_sections(&["latency-over-rate", "floor", "steps", "environment"]);
    assert!(dom.0.contains("60,000") && dom.points("chart-calibration", "p99, met") == 2);
}

/// A run that was ended before its first interval was over.
#[test]
fn the_report_of_an_empty_run_opens_too() {
    let mut run = sample::run();
    run.timeline.points.clear();
    run.stages.clear();
    run.swaps.clear();
    run.total = Default::default();
    run.endpoints.clear();
    run.lateness_us = Default::default();
    run.elapsed_ms = 0;
    let Some((dom, _)) = opened(&run.into()) else { return };
    assert_eq!(dom.points("chart-latency", "p50"), 0);
}
