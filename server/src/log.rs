//! Logs: one JSON object a line, on stderr. Events say what the service does; no request leaves a line of its
//! own, and what a client typed (a path, a header, a body) never gets into one.

use std::io;
use std::panic::{self, PanicHookInfo};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The crates whose events follow the level that the operator chose.
const OURS: [&str; 5] = ["estehqaq", "server", "engine", "snapshots", "ledger"];

/// Starts logging to stderr at this level, and logs panics. Libraries are heard from warnings up whatever the
/// level: below that some of them quote headers. `actix_http` is not heard at all: each of its errors is one
/// client's broken connection, and a client could fill the disk with them.
pub fn init(level: LevelFilter) {
    let targets = Targets::new()
        .with_targets(OURS.map(|target| (target, level)))
        .with_target("actix_http", LevelFilter::OFF)
        .with_default(level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
    // A second call, as in tests, keeps the first logger.
    if tracing_subscriber::registry().with(targets).with(lines).try_init().is_ok() {
        panic::set_hook(Box::new(log_panic));
    }
}

/// A panic's message is told only when it is a fixed text: one that was put together may hold what was being
/// worked on, as that of a text cut at the wrong place does.
fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(withheld)");
    let place = info.location().map(ToString::to_string);
    tracing::error!(place, message, "panic");
}
