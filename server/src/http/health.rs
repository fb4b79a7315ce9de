//! `/livez`, `/readyz` and `/metrics`: for the balancer and the operators. Counts and dates, nothing about
//! persons or providers.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use serde::Serialize;

use super::State;
use crate::metrics::write_value;

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
    stopping: bool,
}

impl Readiness {
    fn of(state: &State) -> Readiness {
        let name = state.served.load().as_ref().map(|generation| generation.name);
        Readiness {
            ready: state.is_ready(),
            snapshot: name.map(|name| name.to_string()),
            as_of: name.map(|name| name.as_of().iso().to_string()),
            ledger_writable: state.ledger.is_writable(),
            stopping: state.is_stopping(),
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
    write_snapshot(&state, &mut text);
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
    let writable = u64::from(state.ledger.is_writable());
    write_value(text, "estehqaq_ledger_writable", "gauge", "0 after a failed write or sync.", writable);
}

fn write_snapshot(state: &State, text: &mut String) {
    let serving = state.served.load();
    let Some(generation) = serving.as_ref() else { return };
    let _ = writeln!(
        text,
        "# HELP estehqaq_snapshot_info The generation that answers are made from.\n\
         # TYPE estehqaq_snapshot_info gauge\nestehqaq_snapshot_info{{generation=\"{}\",as_of=\"{}\"}} 1",
        generation.name,
        generation.name.as_of().iso(),
    );
    let people = generation.content.people;
    write_value(text, "estehqaq_snapshot_people", "gauge", "Persons with an entitlement.", people);
}
