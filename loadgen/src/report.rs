//! The result of a run: one structure, written as JSON or as text. Both name the mode and its caveat.
//!
//! Field names and units of the JSON are this crate's contract; times are whole milliseconds or, for
//! latencies, microseconds.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::answer::WrongKind;
use crate::config::RunConfig;
use crate::host::HostFacts;
use crate::latency::LatencySummary;
use crate::link::LinkError;
use crate::schedule::EndedBy;
use crate::sender::Shared;
use crate::tally::{FirstWrong, Tally};
use crate::targets::Targets;
use crate::tracking::SeenCodes;
use crate::vocabulary::Endpoint;

const LATENCY_COVERS: &str =
    "answers, right or wrong, and timeouts; not error statuses and broken connections";

/// What a finished run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every request got an answer and none was wrong.
    AllRight,
    /// Some answer was wrong, or some request got none.
    WrongOrFailed,
}

/// What the run itself measured beside the counts.
pub(crate) struct Measured {
    pub(crate) started_at: SystemTime,
    /// From the first slot to the end of the last request.
    pub(crate) wall: Duration,
    pub(crate) busy_ns: Option<u64>,
    pub(crate) reconnects: u64,
}

/// The whole result.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    mode: &'static str,
    mode_caveat: &'static str,
    outcome: Outcome,
    loadgen_version: &'static str,
    started_at_unix_ms: u64,
    settings: Settings,
    targets: TargetFacts,
    host: HostFacts,
    ended_by: EndedBy,
    /// Of the measured part, until its last request ended.
    elapsed_ms: u64,
    answers_per_s: f64,
    #[serde(flatten)]
    total: TallyReport,
    endpoints: BTreeMap<Endpoint, TallyReport>,
    latency_covers: &'static str,
    first_wrong: Option<FirstWrong>,
    reconnects: u64,
    tracking_codes: TrackingCodeFacts,
    warmup: WarmupReport,
    /// Share of the run during which the sending thread ran; near 1 the client itself was the limit.
    client_busy_share: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Settings {
    url: String,
    endpoint: &'static str,
    connections: usize,
    duration_s: u64,
    requests_max: u64,
    warmup_s: u64,
    timeout_ms: u64,
    seed: u64,
}

#[derive(Debug, Serialize)]
struct TargetFacts {
    path: String,
    blake3: String,
    lines: u32,
    /// What the lines come to on the chosen endpoints.
    inquiries: usize,
}

#[derive(Debug, Serialize)]
struct TrackingCodeFacts {
    remembered: u64,
    /// Codes beyond --tracking-codes-max: repeats among these went unseen.
    unremembered: u64,
}

#[derive(Debug, Serialize)]
struct WarmupReport {
    requests: u64,
    wrong_answers: u64,
    errors: u64,
}

#[derive(Debug, Serialize)]
struct TallyReport {
    requests: u64,
    right: u64,
    unchecked: u64,
    wrong_answers: u64,
    errors: u64,
    wrong_by_kind: BTreeMap<WrongKind, u64>,
    errors_by_http_status: BTreeMap<u16, u64>,
    errors_by_connection: BTreeMap<LinkError, u64>,
    latency_us: LatencySummary,
}

impl TallyReport {
    fn new(tally: &Tally) -> TallyReport {
        TallyReport {
            requests: tally.requests,
            right: tally.right,
            unchecked: tally.unchecked,
            wrong_answers: tally.wrong_answers(),
            errors: tally.errors(),
            wrong_by_kind: tally.wrong.clone(),
            errors_by_http_status: tally.http_errors.clone(),
            errors_by_connection: tally.link_errors.clone(),
            latency_us: tally.latencies.summary(),
        }
    }
}

impl Report {
    pub(crate) fn new(config: &RunConfig, shared: Shared, measured: Measured) -> Report {
        let (targets, counts) = (shared.targets, shared.counts.into_inner());
        let schedule = shared.schedule.into_inner();
        let total = counts.measured();
        let failed = [&total, &counts.warmup].iter().any(|t| t.wrong_answers() + t.errors() > 0);
        let elapsed = measured.wall.saturating_sub(config.warmup);
        let tallies = config.endpoints.iter().map(|&e| (e, TallyReport::new(counts.endpoint(e))));
        let busy_share = |ns: u64| ns as f64 / measured.wall.as_nanos().max(1) as f64;
        Report {
            mode: schedule.mode(),
            mode_caveat: schedule.caveat(),
            outcome: if failed { Outcome::WrongOrFailed } else { Outcome::AllRight },
            loadgen_version: env!("CARGO_PKG_VERSION"),
            started_at_unix_ms: whole_ms(measured.started_at.duration_since(UNIX_EPOCH).unwrap_or_default()),
            settings: Settings::new(config),
            targets: TargetFacts::new(targets),
            host: HostFacts::read(),
            ended_by: schedule.ended_by(),
            elapsed_ms: whole_ms(elapsed),
            answers_per_s: round(total.answers() as f64 / elapsed.as_secs_f64().max(1e-9), 10.0),
            endpoints: tallies.collect(),
            total: TallyReport::new(&total),
            latency_covers: LATENCY_COVERS,
            first_wrong: counts.first_wrong,
            reconnects: measured.reconnects,
            tracking_codes: TrackingCodeFacts::new(&counts.seen),
            warmup: WarmupReport::new(&counts.warmup),
            client_busy_share: measured.busy_ns.map(|ns| round(busy_share(ns), 1_000.0)),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// One JSON object on one line.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Text for people.
    pub(crate) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (s, total) = (&self.settings, &self.total);
        writeln!(out, "{} against {}, {} connections", self.mode, s.url, s.connections)?;
        writeln!(out, "note: {}", self.mode_caveat)?;
        writeln!(out)?;
        let ended = serde_json::to_string(&self.ended_by)?;
        let took = Duration::from_millis(self.elapsed_ms).as_secs_f64();
        writeln!(out, "requests   {} in {took:.1} s, ended by {}", total.requests, ended.trim_matches('"'))?;
        writeln!(out, "answers    {:.1} a second", self.answers_per_s)?;
        writeln!(out, "right      {}", total.right)?;
        writeln!(out, "unchecked  {}", total.unchecked)?;
        writeln!(out, "wrong      {}{}", total.wrong_answers, kinds(&total.wrong_by_kind)?)?;
        let by_status = kinds(&total.errors_by_http_status)?;
        writeln!(out, "errors     {}{by_status}{}", total.errors, kinds(&total.errors_by_connection)?)?;
        writeln!(out, "reconnects {}", self.reconnects)?;
        self.write_oddities(out)?;
        self.write_latencies(out)?;
        writeln!(out)?;
        writeln!(out, "seed {}, targets {} ({} lines)", s.seed, self.targets.blake3, self.targets.lines)?;
        writeln!(out, "loadgen {}, {}", self.loadgen_version, self.host.describe())
    }

    /// What stands in the text only when there is something to say.
    fn write_oddities(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(first) = &self.first_wrong {
            let (line, endpoint) = (first.line, first.endpoint.code());
            let kind = serde_json::to_string(&first.kind)?;
            write!(out, "first wrong answer: target line {line}, {endpoint}, {}: ", kind.trim_matches('"'))?;
            writeln!(out, "expected {}, got {}", first.expected, first.got)?;
        }
        let warmup = &self.warmup;
        if warmup.wrong_answers + warmup.errors > 0 {
            writeln!(out, "in the warm-up: {} wrong, {} errors", warmup.wrong_answers, warmup.errors)?;
        }
        if self.tracking_codes.unremembered > 0 {
            let count = self.tracking_codes.unremembered;
            writeln!(
                out,
                "{count} tracking codes were beyond --tracking-codes-max; repeats among them unseen"
            )?;
        }
        if let Some(share) = self.client_busy_share.filter(|share| *share > 0.8) {
            writeln!(out, "the client was busy {share:.2} of the time: latencies are partly its own")?;
        }
        Ok(())
    }

    fn write_latencies(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        let head = ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>13}")).concat();
        writeln!(out, "latency µs {head}   ({})", self.mode)?;
        let endpoints = self.endpoints.iter().map(|(endpoint, tally)| (endpoint.code(), tally));
        for (name, tally) in std::iter::once(("all", &self.total)).chain(endpoints) {
            let l = &tally.latency_us;
            writeln!(out, "{name:<11}{:>13}{:>13}{:>13}{:>13}{:>13}", l.p50, l.p90, l.p99, l.p99_9, l.max)?;
        }
        writeln!(out, "covers {LATENCY_COVERS}")
    }
}

impl Settings {
    fn new(config: &RunConfig) -> Settings {
        Settings {
            url: format!("http://{}", config.url.authority()),
            endpoint: config.endpoint_name(),
            connections: config.connections,
            duration_s: config.duration.as_secs(),
            requests_max: config.requests_max,
            warmup_s: config.warmup.as_secs(),
            timeout_ms: whole_ms(config.timeout),
            seed: config.seed,
        }
    }
}

impl TargetFacts {
    fn new(targets: Targets) -> TargetFacts {
        TargetFacts {
            path: targets.path.display().to_string(),
            inquiries: targets.inquiries.len(),
            lines: targets.lines,
            blake3: targets.digest,
        }
    }
}

impl TrackingCodeFacts {
    fn new(seen: &SeenCodes) -> TrackingCodeFacts {
        TrackingCodeFacts { remembered: seen.remembered(), unremembered: seen.unremembered() }
    }
}

impl WarmupReport {
    fn new(tally: &Tally) -> WarmupReport {
        WarmupReport {
            requests: tally.requests,
            wrong_answers: tally.wrong_answers(),
            errors: tally.errors(),
        }
    }
}

/// ` (kind: count, ..)`, or nothing.
fn kinds<K: Serialize>(counts: &BTreeMap<K, u64>) -> io::Result<String> {
    if counts.is_empty() {
        return Ok(String::new());
    }
    let text = serde_json::to_string(counts)?;
    let text = text.trim_matches(['{', '}']).replace('"', "").replace(':', " ").replace(',', ", ");
    Ok(format!(" ({text})"))
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn round(number: f64, steps: f64) -> f64 {
    (number * steps).round() / steps
}
