//! The binary against servers of the tests' own: what it counts, catches, survives and refuses.
//!
//! No other crate of the workspace takes part: a server that answers rightly is written out here too.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails, in its helpers too")]

mod failures;
mod goals;
mod hdr_log;
mod open;
mod report;
mod retries;
mod run;
mod search;
mod server;
mod server_says;
mod soak;
mod swaps;
mod tls;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::TestServer;

/// A key whose secret must never be printed.
const KEY: &str = "hospital-1.Zm9yYmlkZGVu";

/// A folder of its own with a key file and targets, and the command line that uses them.
struct Fixture {
    folder: TempDir,
    people: Vec<String>,
}

impl Fixture {
    /// Targets for `count` people, each with the answers that `server::right_reply` gives.
    fn new(count: u64) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let people: Vec<String> = (0..count).map(|n| format!("{:010}", 7_310_000_000 + n * 7)).collect();
        let fixture = Fixture { folder, people };
        let lines = fixture.people.iter().map(|id| target(id).to_string());
        fixture.write_targets(&lines.collect::<Vec<_>>());
        std::fs::write(fixture.path("key"), format!("{KEY}\n\n")).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_targets(&self, lines: &[String]) {
        std::fs::write(self.path("targets"), lines.join("\n")).unwrap();
    }

    /// `loadgen run` against a server, with the targets and more arguments; the key unless personal only.
    fn run(&self, server: &TestServer, more: &[&str]) -> Finished {
        let url = server.url();
        let (targets, key) = (self.path("targets"), self.path("key"));
        let mut args = vec!["run", "--url", &url, "--targets", targets.to_str().unwrap(), "--json"];
        args.extend(more);
        if !more.windows(2).any(|pair| pair == ["--endpoint", "personal"]) {
            args.extend(["--key-file", key.to_str().unwrap()]);
        }
        let finished = loadgen(&args);
        self.assert_nothing_leaked(&finished);
        finished
    }

    /// No ID, mobile number or key in anything that the command wrote.
    fn assert_nothing_leaked(&self, finished: &Finished) {
        let written = format!("{}{}", finished.stdout, finished.stderr);
        let (id, secret) = KEY.split_once('.').unwrap();
        for word in self.people.iter().map(String::as_str).chain([id, secret, "0912000"]) {
            assert!(!written.contains(word), "{word} stands in: {written}");
        }
    }
}

/// A target as `../shared/extract/inquiries.ndjson` has them.
fn target(id: &str) -> Value {
    let care = if id.ends_with('4') { "inpatient" } else { "outpatient" };
    let last = id.as_bytes()[9] - b'0';
    let mobile = format!("0912000{}", &id[6..]);
    let (status, reason) =
        if last.is_multiple_of(2) { ("covered", "active") } else { ("not_covered", "ended") };
    let mut notices = if last.is_multiple_of(2) { vec![] } else { vec!["objection_line"] };
    let personal = match last {
        8 => json!("mobile_mismatch"),
        6 => {
            json!({"status": status, "reason": reason, "end_date": null, "open_ended": true, "notices": notices})
        }
        _ => {
            json!({"status": status, "reason": reason, "end_date": "2026-11-22", "open_ended": false, "notices": notices})
        }
    };
    if care == "inpatient" {
        notices.push("overlap_check_required");
    }
    json!({
        "request": {"person_id": id, "id_kind": "national", "care": care, "mobile": mobile, "service_date": "1405/09/01"},
        "expected": {"general": {"status": status, "notices": notices}, "personal": personal},
    })
}

/// A test that needs a program which is not there says so, past the capture of its output, and passes; where
/// everything must be tested (`LOADGEN_TESTS_NEED=all`, set by .ci/run) it fails.
fn skipped(what: &str) {
    let all = std::env::var_os("LOADGEN_TESTS_NEED").is_some_and(|need| need == "all");
    assert!(!all, "not tested although LOADGEN_TESTS_NEED=all: {what}");
    // Nobody to tell is no failure of the test.
    let _ = writeln!(std::io::stderr(), "SKIPPED, not tested: {what}");
}

/// What the command left behind.
struct Finished {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Finished {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.stdout, self.stderr))
    }
}

fn loadgen(args: &[&str]) -> Finished {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).output().unwrap();
    Finished {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
