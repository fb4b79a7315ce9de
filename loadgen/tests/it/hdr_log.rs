//! The log of histograms, read by another implementation: HdrHistogram_py, as `peers/hdr_log.py` uses it.
//!
//! Needs PyPI's `hdrhistogram` in the Python that `LOADGEN_HDR_PYTHON` names, or in `python3`; see `crate::skipped`.

use std::process::{Command, Output};

use crate::Fixture;
use crate::server::TestServer;

fn python() -> Command {
    Command::new(std::env::var_os("LOADGEN_HDR_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// What the script says of a result and a log; `None` where the package is not there.
fn compare(result: &str, log: &str) -> Option<Output> {
    let there = python().args(["-c", "import hdrh.log"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        crate::skipped("HdrHistogram logs read by HdrHistogram_py (pip install hdrhistogram)");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/hdr_log.py");
    Some(python().args([script, result, log]).output().unwrap())
}

#[test]
fn another_implementation_reads_the_same_percentiles() {
    let (fixture, server) = (Fixture::new(50), TestServer::right());
    let path = |name: &str| fixture.path(name).to_str().unwrap().to_owned();
    let (result, log) = (path("result.json"), path("run.hlog"));
    let more = ["--rate", "1500", "--duration-s", "3", "--out", &result, "--hdr-log", &log];
    fixture.run(&server, &more).json();
    let Some(output) = compare(&result, &log) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for tag in ["latency", "service", "lateness", "machine_stalls"] {
        assert!(said.contains(&format!("{tag}: 3 intervals, ")), "{said}");
    }
    // It would have noticed: one number changed in the JSON.
    let text = std::fs::read_to_string(&result).unwrap();
    let at = text.find("\"p50\":").unwrap() + "\"p50\":".len();
    std::fs::write(&result, format!("{}9{}", &text[..at], &text[at..])).unwrap();
    let output = compare(&result, &log).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("differs: "), "{said}");
}
