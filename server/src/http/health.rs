//! `/livez`, `/readyz` and `/metrics`: for the balancer and the operators. Counts and dates, nothing about
//! persons or providers.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use ledger::{SYNC_BOUNDS_US, Stats};
use serde::Serialize;
use snapshots::{Generation, GenerationName};

use super::State;
use crate::clock::ClockFault;
use crate::metrics::{write_number, write_value};
use crate::swap::{NextPublication, PageFaults, RollbackReadiness, RollbackStatus, resident_bytes};

/// The process answers.
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Live { live: true })
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

/// Whether inquiries can be answered, and what is missing.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    snapshot: Option<String>,
    as_of: Option<String>,
    ledger_writable: bool,
    /// Why today is not believed: not_set, before_snapshot, after_snapshot; null when it is.
    clock: Option<&'static str>,
    stopping: bool,
    /// Being opened and verified.
    opening: Option<String>,
    /// What `CURRENT` names and this server does not take.
    refused: Option<RefusedSnapshot>,
    rollback: Rollback,
    /// Whether memory will allow the next publication, if it is as large as what serves.
    next_publication: Option<&'static str>,
}

/// The message stands in the log and in the admin status: it names paths.
#[derive(Serialize)]
struct RefusedSnapshot {
    snapshot: Option<String>,
    cause: &'static str,
}

/// Where a rollback would lead, and whether it would take effect at once.
#[derive(Serialize)]
struct Rollback {
    snapshot: Option<String>,
    at_once: bool,
    state: &'static str,
}

impl Readiness {
    fn of(state: &State) -> Readiness {
        let name = state.served.name();
        let status = state.served.status();
        let text = |name: Option<GenerationName>| name.map(|name| name.to_string());
        let refused = status.refused.map(|refused| RefusedSnapshot {
            snapshot: text(refused.generation),
            cause: refused.refusal.cause.code(),
        });
        let RollbackStatus { generation, readiness } = status.rollback;
        Readiness {
            ready: state.is_ready(),
            snapshot: text(name),
            as_of: name.map(|name| name.as_of().iso().to_string()),
            ledger_writable: state.ledger.is_writable(),
            clock: state.clock_fault().map(ClockFault::code),
            stopping: state.is_stopping(),
            opening: text(status.opening),
            refused,
            rollback: Rollback {
                snapshot: text(generation),
                at_once: readiness == RollbackReadiness::Ready,
                state: readiness.code(),
            },
            next_publication: status.next.map(NextPublication::code),
        }
    }
}

/// 200 when ready, else 503, with what is missing.
pub(crate) async fn readyz(state: Data<State>) -> HttpResponse {
    let readiness = Readiness::of(&state);
    let mut response = if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(readiness)
}

/// The Prometheus text format.
pub(crate) async fn metrics(state: Data<State>) -> HttpResponse {
    let mut text = String::with_capacity(4096);
    state.metrics.write(&mut text);
    write_ledger(&state, &mut text);
    state.keys.write(&mut text);
    write_snapshot(&state, &mut text);
    write_process(&mut text);
    let believed = u64::from(state.clock_fault().is_none());
    let help = "0 while today is not believed beside the snapshot's as-of date, and inquiries get 503.";
    write_value(&mut text, "estehqaq_clock_believed", "gauge", help, believed);
    let ready = u64::from(state.is_ready());
    write_value(&mut text, "estehqaq_ready", "gauge", "1 when inquiries can be answered.", ready);
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(text)
}

fn write_ledger(state: &State, text: &mut String) {
    let stats = state.ledger.stats();
    let counter = "counter";
    write_value(text, "estehqaq_ledger_entries_total", counter, "Entries on stable storage.", stats.entries);
    write_value(
        text,
        "estehqaq_ledger_syncs_total",
        counter,
        "Syncs; one serves all that wait.",
        stats.syncs,
    );
    write_value(text, "estehqaq_ledger_queue_len", "gauge", "Entries waiting for a sync.", stats.queue_len);
    write_syncs(&stats, text);
    let gauge = "gauge";
    let batches = "Batches of entries synced; entries per sync are the quotient.";
    write_value(text, "estehqaq_ledger_batches_total", counter, batches, stats.batches);
    write_value(text, "estehqaq_ledger_segment", gauge, "The segment that is written.", stats.segment);
    let (entries, most) = (stats.segment_entries, stats.segment_entries_max);
    write_value(text, "estehqaq_ledger_segment_entries", gauge, "Its entries.", entries);
    write_value(text, "estehqaq_ledger_segment_entries_max", gauge, "How many it has room for.", most);
    let torn = "Bytes of a torn tail that this start moved aside.";
    write_value(text, "estehqaq_ledger_torn_tail_bytes", gauge, torn, stats.torn_bytes);
    if let Some(days) = state.ledger.days_left() {
        let help = "Days until the ledger's disk is full, at the pace of its last segments.";
        write_value(text, "estehqaq_ledger_disk_days_left", gauge, help, days);
    }
    let indexes = "Sealed segments whose index for searches of the desk is still to be made.";
    write_value(text, "estehqaq_ledger_segments_not_indexed", gauge, indexes, stats.segments_not_indexed);
    let writable = u64::from(state.ledger.is_writable());
    write_value(text, "estehqaq_ledger_writable", "gauge", "0 after a failed write or sync.", writable);
}

/// How long syncs took, as a histogram in seconds.
fn write_syncs(stats: &Stats, text: &mut String) {
    let name = "estehqaq_ledger_sync_seconds";
    let _ = writeln!(
        text,
        "# HELP {name} How long the ledger took to write and sync what waited.\n# TYPE {name} histogram"
    );
    let mut below = 0;
    for (bound_us, count) in SYNC_BOUNDS_US.iter().zip(stats.sync_classes) {
        below += count;
        let bound_s = *bound_us as f64 / 1e6;
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound_s}\"}} {below}");
    }
    let (sum_s, count) = (stats.sync_us as f64 / 1e6, stats.syncs);
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum_s}\n{name}_count {count}");
}

/// The generation that serves, and how it came in.
fn write_snapshot(state: &State, text: &mut String) {
    let status = state.served.status();
    let serving = state.served.load();
    if let Some(generation) = serving.as_ref() {
        write_serving(state, generation, text);
    }
    if let Some(share) = status.resident_share {
        write_number(
            text,
            "estehqaq_snapshot_resident_share",
            "gauge",
            "Part of the serving generation's pages that are in memory.",
            share,
        );
    }
    let at_once = u64::from(status.rollback.readiness == RollbackReadiness::Ready);
    write_value(
        text,
        "estehqaq_rollback_at_once",
        "gauge",
        "1 when a rollback would take effect at once.",
        at_once,
    );
    let refused = u64::from(status.refused.is_some());
    write_value(text, "estehqaq_snapshot_refused", "gauge", "1 while what is current is refused.", refused);
    let help = "Generations that no request may take up any more and that are still in memory.";
    write_value(text, "estehqaq_snapshots_retiring", "gauge", help, status.retiring as u64);
    if let Some(bytes) = status.memory_left_bytes {
        write_value(text, "estehqaq_memory_left_bytes", "gauge", "Memory left for generations.", bytes);
    }
    state.served.counts.write(text);
}

fn write_serving(state: &State, generation: &Generation, text: &mut String) {
    let _ = writeln!(
        text,
        "# HELP estehqaq_snapshot_info The generation that answers are made from.\n\
         # TYPE estehqaq_snapshot_info gauge\n\
         estehqaq_snapshot_info{{generation=\"{}\",as_of=\"{}\",memory=\"{}\"}} 1",
        generation.name,
        generation.name.as_of().iso(),
        generation.snapshot.memory_mode().code(),
    );
    let people = generation.content.people;
    write_value(text, "estehqaq_snapshot_people", "gauge", "Persons with an entitlement.", people);
    let bytes = generation.snapshot.len_bytes();
    write_value(text, "estehqaq_snapshot_bytes", "gauge", "Length of the serving generation's files.", bytes);
    if let Some(age_s) = state.clock.now().map(|now| now.seconds_since_start_of(generation.name.as_of())) {
        let help = "Seconds since the as-of day of the serving generation began in Tehran.";
        write_number(text, "estehqaq_snapshot_as_of_age_seconds", "gauge", help, age_s);
    }
}

fn write_process(text: &mut String) {
    if let Some(faults) = PageFaults::now() {
        let _ = writeln!(
            text,
            "# HELP estehqaq_page_faults_total Page faults of the process; major ones waited for the disk.\n\
             # TYPE estehqaq_page_faults_total counter\n\
             estehqaq_page_faults_total{{kind=\"minor\"}} {}\nestehqaq_page_faults_total{{kind=\"major\"}} {}",
            faults.minor, faults.major
        );
    }
    if let Some(bytes) = resident_bytes() {
        let help = "Memory of the process, mapped files included.";
        write_value(text, "estehqaq_resident_bytes", "gauge", help, bytes);
    }
}
