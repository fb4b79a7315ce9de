//! The tables of a run's report: goals, stages, endpoints, wrong answers and errors, connections, client.

use std::collections::BTreeMap;

use crate::latency::{LatencySummary, Percentile};
use crate::result::beside::{ServerHistogram, ServerOver, ServerSays};
use crate::result::html::page::{escape, facts, goal_badge, table};
use crate::result::html::scale::{grouped, micros};
use crate::result::model::{RunResult, StageResult, Tallied};
use crate::result::text::{LATENCY_COVERS, number};
use crate::result::verdict::Goal;

const PERCENTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// A latency with its unit, or the word for too few samples.
pub(super) fn stated(percentile: Percentile) -> String {
    match percentile {
        Percentile::Us(us) => micros(us as f64),
        Percentile::Insufficient => "insufficient".to_owned(),
    }
}

pub(super) fn summary_cells(l: &LatencySummary) -> Vec<String> {
    let cell = |p: Percentile| match p {
        Percentile::Us(_) => stated(p),
        Percentile::Insufficient => "<span class=\"none\">insufficient</span>".to_owned(),
    };
    [l.p50, l.p90, l.p99, l.p99_9, l.max].map(cell).to_vec()
}

pub(super) fn count(n: u64) -> String {
    grouped(n as f64)
}

pub(super) fn goals(stages: &[StageResult]) -> String {
    let row = |stage: &StageResult, goal: &Goal| {
        let quantity = |value: f64| if goal.what.ends_with("_us") { micros(value) } else { number(value) };
        let value = goal.value.map_or_else(|| "too few samples".to_owned(), quantity);
        vec![
            escape(&stage.name),
            escape(&goal.endpoint),
            format!("<code>{}</code>", escape(&goal.what)),
            goal_badge(goal.verdict),
            format!("at most {}", quantity(goal.limit)),
            value,
        ]
    };
    let rows: Vec<Vec<String>> =
        stages.iter().flat_map(|stage| stage.goals.iter().map(|goal| row(stage, goal))).collect();
    if rows.is_empty() {
        return "<p class=\"none\">The scenario sets no goals.</p>".to_owned();
    }
    table(&["stage", "endpoint", "goal", "verdict", "limit", "measured"], 4, &rows)
}

pub(super) fn stages(stages: &[StageResult]) -> String {
    let row = |s: &StageResult| {
        let warmup = if s.warmup { " (warm-up)" } else { "" };
        let mut cells = vec![format!("{}{warmup}", escape(&s.name)), escape(&s.shape)];
        cells.push(format!("{} s", number(s.duration_ms as f64 / 1_000.0)));
        cells.extend([s.intended_per_s, s.sent_per_s].map(grouped));
        cells.extend([s.total.wrong_answers, s.total.errors].map(count));
        cells.extend(summary_cells(&s.total.latency_us.summary()));
        cells.push(stated(s.lateness_us.summary().p99));
        cells
    };
    let mut heads = vec!["stage", "shape", "length", "intended/s", "sent/s", "wrong", "errors"];
    heads.extend(PERCENTILES);
    heads.push("late p99");
    table(&heads, 2, &stages.iter().map(row).collect::<Vec<_>>())
}

/// Latency beside service time, for all and for each endpoint.
pub(super) fn latencies(run: &RunResult) -> String {
    let mut rows = Vec::new();
    let endpoints = run.endpoints.iter().map(|(name, tally)| (name.as_str(), tally));
    for (name, tally) in std::iter::once(("all", &run.total)).chain(endpoints) {
        rows.push(latency_row(name, "intended send", tally.requests, &tally.latency_us.summary()));
        rows.push(latency_row(name, "actual send", tally.requests, &tally.service_us.summary()));
        rows.push(latency_row(name, "intended to actual send", tally.requests, &tally.gap_us.summary()));
    }
    let mut heads = vec!["endpoint", "time from", "requests"];
    heads.extend(PERCENTILES);
    table(&heads, 2, &rows) + &format!("<p class=\"how\">Covers {LATENCY_COVERS}.</p>")
}

fn latency_row(name: &str, from: &str, requests: u64, summary: &LatencySummary) -> Vec<String> {
    let mut cells = vec![escape(name), from.to_owned(), count(requests)];
    cells.extend(summary_cells(summary));
    cells
}

pub(super) fn answers(run: &RunResult) -> String {
    let counts = |name: &str, t: &Tallied| {
        let numbers = [t.intended, t.requests, t.right, t.unchecked, t.wrong_answers, t.errors, t.retries];
        std::iter::once(escape(name)).chain(numbers.map(count)).collect::<Vec<_>>()
    };
    let mut rows = vec![counts("all", &run.total)];
    rows.extend(run.endpoints.iter().map(|(name, tally)| counts(name, tally)));
    let heads = ["endpoint", "intended", "sent", "right", "unchecked", "wrong", "errors", "retries"];
    let mut html = table(&heads, 1, &rows);
    let kinds = [
        ("Wrong answers by kind", &run.total.wrong_by_kind),
        ("Errors by HTTP status", &run.total.errors_by_http_status),
        ("Errors of connections", &run.total.errors_by_connection),
    ];
    for (heading, counts) in kinds.into_iter().filter(|(_, counts)| !counts.is_empty()) {
        html += &format!("<h3>{heading}</h3>{}", kind_table(counts));
    }
    if let Some(first) = &run.first_wrong {
        html += &format!(
            "<p>The first wrong answer was to target line {} on <code>{}</code>, wrong in <code>{}</code>: \
             expected {}, got {}.</p>",
            first.line,
            escape(&first.endpoint),
            escape(&first.kind),
            escape(&first.expected),
            escape(&first.got)
        );
    }
    if run.total.in_flight_when_ended > 0 {
        let in_flight = count(run.total.in_flight_when_ended);
        html += &format!("<p>{in_flight} requests were in flight when the run was ended: no errors.</p>");
    }
    let codes = &run.tracking_codes;
    html + &format!(
        "<p class=\"how\">{} tracking codes were compared for repeats; {} were beyond the memory for them.</p>",
        count(codes.remembered),
        count(codes.unremembered)
    )
}

/// A row for each bound that tells something.
pub(super) fn server_says(says: &ServerSays) -> String {
    let one = |histogram: &ServerHistogram| {
        let name = format!("<h3><code>{}</code></h3>", escape(&histogram.name));
        let Some(of) = histogram.count else {
            let failure = histogram.failure.as_deref().unwrap_or_default();
            return format!("{name}<p class=\"none\">Not known: {}</p>", escape(failure));
        };
        let row = |over: &ServerOver| vec![format!("over {}", over.bound), count(over.count)];
        let rows = std::iter::once(vec!["all".to_owned(), count(of)]);
        let rows: Vec<Vec<String>> = rows.chain(histogram.telling().iter().map(row)).collect();
        name + &table(&["", "times"], 1, &rows)
    };
    says.histograms.iter().map(one).collect()
}

fn kind_table(counts: &BTreeMap<String, u64>) -> String {
    let rows: Vec<Vec<String>> = counts.iter().map(|(kind, n)| vec![escape(kind), count(*n)]).collect();
    table(&["kind", "count"], 1, &rows)
}

pub(super) fn connections(run: &RunResult) -> String {
    let c = &run.connections;
    let counts = facts(&[
        ("kept open", count(run.connections_configured)),
        ("timeout", run.timeout_ms.map_or_else(|| "not known".to_owned(), |ms| format!("{ms} ms"))),
        ("opened", count(c.opened)),
        ("reconnects", count(c.reconnects)),
        ("requests on a new connection", count(c.requests_new)),
        ("requests on a reused connection", count(c.requests_reused)),
    ]);
    let timed = [
        ("TCP handshake", "connect", &c.tcp_connect_us),
        ("TLS handshake, full", "open TCP connection", &c.tls_full_us),
        ("TLS handshake, resumed", "open TCP connection", &c.tls_resumed_us),
        ("request on a new connection", "actual send", &c.service_new_us),
        ("request on a reused connection", "actual send", &c.service_reused_us),
    ];
    let rows: Vec<Vec<String>> = timed
        .into_iter()
        .map(|(name, from, times)| (name, from, times.summary()))
        .filter(|(_, _, summary)| summary.samples > 0)
        .map(|(name, from, summary)| latency_row(name, from, summary.samples, &summary))
        .collect();
    if rows.is_empty() {
        return counts;
    }
    let mut heads = vec!["what", "time from", "times"];
    heads.extend(PERCENTILES);
    counts + "<h3>Handshakes, apart from any request</h3>" + &table(&heads, 2, &rows)
}

pub(super) fn client(run: &RunResult) -> String {
    let c = &run.client;
    let shares: Vec<String> =
        c.busy_share_by_thread.iter().map(|share| format!("{:.1} %", share * 100.0)).collect();
    let lateness_max = c.lateness_us_p99_max.map_or_else(
        || "none: no goal is on latency".to_owned(),
        |us| format!("{} (10 % of the latency goal)", micros(us as f64)),
    );
    let not_known = || "not known".to_owned();
    let granted = |raised: Option<bool>| {
        raised.map_or_else(not_known, |raised| (if raised { "granted" } else { "refused" }).to_owned())
    };
    facts(&[
        ("busy, by sending thread", if shares.is_empty() { not_known() } else { shares.join(", ") }),
        ("limit", format!("{:.0} %", c.busy_share_max * 100.0)),
        ("own lateness, p99", stated(run.lateness_us.summary().p99)),
        ("limit", lateness_max),
        ("stalls of the machine, p99", stated(run.machine_stalls_us.summary().p99)),
        ("p99.9", stated(run.machine_stalls_us.summary().p99_9)),
        ("cores watched for them", c.machine_stalls_cores.map_or_else(not_known, count)),
        ("raised priority, for watching them", granted(c.machine_stalls_raised_priority)),
        ("raised priority, for sending", granted(c.senders_raised_priority)),
        (
            "CPU for each request",
            c.cpu_ns_per_request.map_or_else(not_known, |ns| format!("{} ns", count(ns))),
        ),
    ])
}
