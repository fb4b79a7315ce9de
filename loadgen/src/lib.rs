//! A load generator for the inquiry service that checks the answers it gets and distrusts itself.
//!
//! The flow: `cli` (raw arguments) -> `config` -> `scenario` (stages, traffic, goals) and `targets` (what to
//! ask, what must come back) -> `run` opens the connections and starts the `sender` threads -> `schedule`
//! says when each request is due, `traffic` what it asks, `answer` judges what comes -> `collector` counts
//! what the senders `record` -> `assemble` and `goals` make a `result` with a verdict, beside which stands what the
//! `server_says` of itself. `capacity`, `compare` and `calibrate` are made of many runs, `merge` of many results;
//! `alike` says which may be held against each other.
//!
//! It depends on no other crate of this workspace: the words of the contract (statuses, reasons, notices)
//! are written down a second time in `vocabulary`, so that a shared mistake cannot cancel out. It never
//! computes an expected answer (but that of a wrong check digit), never sends a request twice by itself
//! unless the scenario's callers do, and never writes a person's ID, a mobile number or a key anywhere but
//! into a request.

mod alike;
mod answer;
mod assemble;
mod base_url;
#[cfg(test)]
mod burst_tests;
mod calibrate;
mod capacity;
mod cli;
mod clock;
mod collector;
mod commands;
mod compare;
mod config;
#[cfg(test)]
mod early_end_tests;
mod generations;
mod goals;
mod host;
mod http;
mod keys;
mod latency;
mod levels;
mod live;
mod merge;
mod null_server;
mod order;
mod poller;
mod provenance;
mod random;
mod record;
mod result;
mod run;
mod scenario;
mod schedule;
mod sender;
mod server_says;
mod stalls;
mod stop;
mod tally;
mod targets;
mod tracking;
mod traffic;
#[cfg(test)]
mod traffic_tests;
mod vocabulary;

pub use cli::Cli;
pub use commands::{Failure, execute};

/// A test that needs a program which is not there says so, past the capture of its output, and passes; where
/// everything must be tested (`LOADGEN_TESTS_NEED=all`, set by .ci/run) it fails.
#[cfg(test)]
fn skipped(what: &str) {
    use std::io::Write;
    let all = std::env::var_os("LOADGEN_TESTS_NEED").is_some_and(|need| need == "all");
    assert!(!all, "not tested although LOADGEN_TESTS_NEED=all: {what}");
    // Nobody to tell is no failure of the test.
    let _ = writeln!(std::io::stderr(), "SKIPPED, not tested: {what}");
}
