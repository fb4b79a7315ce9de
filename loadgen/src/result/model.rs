//! The data of one run: what was asked for, what happened, what it comes to.
//!
//! Field names and units are this crate's contract. Times are whole microseconds (`_us`) or milliseconds
//! (`_ms`) with the unit in the name. A histogram stands beside every percentile, so that results merge
//! without loss. No person's ID, mobile number or key has a place here.

use std::collections::BTreeMap;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize};

use crate::host::HostFacts;
use crate::latency::{Latencies, LatencySummary};
use crate::result::beside::{ClientFacts, ServerSays};
use crate::result::verdict::{Goal, VerdictFacts};

/// The version of all documents; a reader refuses others.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Whether latencies count from the intended or from the actual send time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    OpenLoop,
    ClosedLoop,
}

impl Mode {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Mode::OpenLoop => "open_loop",
            Mode::ClosedLoop => "closed_loop",
        }
    }
}

/// Where a result comes from: in every document, enough to repeat the measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Provenance {
    pub(crate) schema_version: u32,
    pub(crate) loadgen_version: String,
    /// The revision that loadgen was built from, `-dirty` where it was changed since; absent when built outside git.
    pub(crate) commit: Option<String>,
    pub(crate) seed: u64,
    pub(crate) scenario: ScenarioFacts,
    pub(crate) started_at_unix_ms: u64,
    /// One for each machine that sent load, in the order of the shards.
    pub(crate) hosts: Vec<HostFacts>,
}

impl Provenance {
    /// The revision in words.
    pub(crate) fn built_from(&self) -> String {
        match &self.commit {
            Some(commit) => format!("commit {commit}"),
            None => "commit not known: built outside git".to_owned(),
        }
    }

    /// Every machine on one line; a kind is named once, with how many there are of it and which.
    pub(crate) fn machines(&self) -> String {
        let mut kinds: Vec<(String, Vec<&str>)> = Vec::new();
        for host in &self.hosts {
            let kind = host.describe();
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, machines)) => machines.push(host.machine()),
                None => kinds.push((kind, vec![host.machine()])),
            }
        }
        let named = |(kind, machines): (String, Vec<&str>)| match machines.as_slice() {
            [machine] => format!("{kind}, machine {machine}"),
            several => format!("{} of {kind}, machines {}", several.len(), several.join(" and ")),
        };
        kinds.into_iter().map(named).collect::<Vec<_>>().join("; ")
    }
}

/// The scenario word for word, so that a result explains itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScenarioFacts {
    pub(crate) name: String,
    /// Of `text`.
    pub(crate) blake3: String,
    pub(crate) text: String,
}

/// The file the inquiries came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TargetFacts {
    pub(crate) path: String,
    pub(crate) blake3: String,
    pub(crate) lines: u64,
    /// What the lines come to on the chosen endpoints.
    pub(crate) inquiries: u64,
}

/// Which part of the schedule this is; a merged result names several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardFacts {
    /// From 1.
    pub(crate) numbers: Vec<u32>,
    pub(crate) count: u32,
}

/// The whole result of a run; `kind` in JSON is `run`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunResult {
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
    pub(crate) mode: Mode,
    /// What the mode leaves out; every output repeats it. Absent in an open loop.
    pub(crate) mode_caveat: Option<String>,
    pub(crate) verdict: VerdictFacts,
    pub(crate) url: String,
    pub(crate) connections_configured: u64,
    /// As the scenario says or `--timeout-ms`; not known in results of before this was noted.
    #[serde(default)]
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) targets: TargetFacts,
    pub(crate) shard: ShardFacts,
    /// Why the run ended: `schedule`, `duration`, `requests_max`, `goal_missed`, `interrupted`.
    pub(crate) ended_by: String,
    /// Of the measured stages, until their last request ended.
    pub(crate) elapsed_ms: u64,
    pub(crate) answers_per_s: f64,
    /// All measured stages together: the sum of their counts, the merge of their histograms.
    #[serde(flatten)]
    pub(crate) total: Tallied,
    pub(crate) endpoints: BTreeMap<String, Tallied>,
    pub(crate) lateness_us: Latencies,
    /// By how much threads that only sleep woke too late, one on each core: no part of the verdict.
    #[serde(default)]
    pub(crate) machine_stalls_us: Latencies,
    pub(crate) stages: Vec<StageResult>,
    pub(crate) timeline: Timeline,
    pub(crate) swaps: Vec<Swap>,
    pub(crate) first_wrong: Option<FirstWrongFacts>,
    pub(crate) connections: ConnectionFacts,
    pub(crate) client: ClientFacts,
    pub(crate) tracking_codes: TrackingCodeFacts,
    /// Where it was asked for.
    #[serde(default)]
    pub(crate) server_says: Option<ServerSays>,
}

/// The longest that a scenario may last.
const STAGES_MS_MAX: u64 = 7 * 86_400_000;
/// The longest pauses of all retries and the longest timeout after that, and more.
const RUN_MS_MAX: u64 = 4 * STAGES_MS_MAX;

impl RunResult {
    /// Refuses times that no run has, before anything is computed from them; says which.
    pub(crate) fn check_times(&self) -> Result<(), &'static str> {
        let is_long = |stage: &StageResult| stage.starts_at_ms.max(stage.duration_ms) > STAGES_MS_MAX;
        if self.stages.iter().any(is_long) {
            return Err("a stage begins later or lasts longer than a week, which no scenario allows");
        }
        if !(1_000..=STAGES_MS_MAX).contains(&self.timeline.interval_ms) {
            return Err("the timeline's intervals are shorter than a second or longer than a week");
        }
        let latest = self.timeline.points.iter().map(|point| point.t_ms).max().unwrap_or(0);
        if latest.max(self.elapsed_ms) > RUN_MS_MAX {
            return Err("it lasted for weeks after its scenario had ended");
        }
        Ok(())
    }
}

/// Counts and latencies of some requests.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tallied {
    /// Due by the schedule. What of them was never sent counts as an error too, unless the run was ended early.
    pub(crate) intended: u64,
    /// Sent.
    pub(crate) requests: u64,
    pub(crate) right: u64,
    /// Well-formed answers of which the targets do not say what they should be.
    pub(crate) unchecked: u64,
    pub(crate) wrong_answers: u64,
    pub(crate) errors: u64,
    pub(crate) wrong_by_kind: BTreeMap<String, u64>,
    pub(crate) errors_by_http_status: BTreeMap<String, u64>,
    pub(crate) errors_by_connection: BTreeMap<String, u64>,
    /// From the intended send time to the whole answer.
    pub(crate) latency_us: Latencies,
    /// From the actual send to the whole answer: what a closed loop would have seen.
    pub(crate) service_us: Latencies,
    /// From the intended to the actual send time: waiting for a connection, and the client's lateness.
    pub(crate) gap_us: Latencies,
    /// Of the intended, those that asked again after an error.
    pub(crate) retries: u64,
    /// Of the intended, those that an early end of the run left without an answer, sent or not: no errors.
    #[serde(default)]
    pub(crate) in_flight_when_ended: u64,
}

impl Tallied {
    /// Adds what another shard, endpoint or stage counted.
    pub(crate) fn merge(&mut self, other: &Tallied) {
        self.intended += other.intended;
        self.requests += other.requests;
        self.right += other.right;
        self.unchecked += other.unchecked;
        self.wrong_answers += other.wrong_answers;
        self.errors += other.errors;
        merge_counts(&mut self.wrong_by_kind, &other.wrong_by_kind);
        merge_counts(&mut self.errors_by_http_status, &other.errors_by_http_status);
        merge_counts(&mut self.errors_by_connection, &other.errors_by_connection);
        self.latency_us.merge(&other.latency_us);
        self.service_us.merge(&other.service_us);
        self.gap_us.merge(&other.gap_us);
        self.retries += other.retries;
        self.in_flight_when_ended += other.in_flight_when_ended;
    }

    /// Whole answers, right, wrong or unchecked.
    pub(crate) fn answers(&self) -> u64 {
        self.right + self.unchecked + self.wrong_answers
    }
}

fn merge_counts(into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

/// One stage of the scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StageResult {
    pub(crate) name: String,
    /// For people: `constant 10000/s`, `ramp 100/s to 5000/s`.
    pub(crate) shape: String,
    /// A warm-up is checked but neither counted in the total nor judged.
    pub(crate) warmup: bool,
    /// Since the start of the run.
    pub(crate) starts_at_ms: u64,
    pub(crate) duration_ms: u64,
    /// The mean over the stage.
    pub(crate) intended_per_s: f64,
    pub(crate) sent_per_s: f64,
    #[serde(flatten)]
    pub(crate) total: Tallied,
    pub(crate) endpoints: BTreeMap<String, Tallied>,
    /// From the moment a request was due to the moment it was sent, as far as the client caused it.
    pub(crate) lateness_us: Latencies,
    #[serde(default)]
    pub(crate) machine_stalls_us: Latencies,
    pub(crate) goals: Vec<Goal>,
}

/// The run in equal intervals, in the order of time and then of stages. Their length is fixed before the start from the
/// scenario's duration, so that there are never more than `Timeline::POINTS_MAX` of them, however long a soak lasts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Timeline {
    pub(crate) interval_ms: u64,
    pub(crate) points: Vec<TimelinePoint>,
}

impl Timeline {
    pub(crate) const POINTS_MAX: u64 = 1_200;

    /// An empty timeline: whole seconds, one at least; as many as a p99 needs at this rate, where that still
    /// leaves fifteen intervals.
    pub(crate) fn for_run(duration_ms: u64, rate_max_per_s: f64) -> Timeline {
        let least_s = duration_ms.div_ceil(1_000 * Timeline::POINTS_MAX).max(1);
        // 10,000 samples, and as much more as Poisson arrivals may fall short by.
        let p99_s = (10_400.0 / rate_max_per_s.max(1e-3)).ceil() as u64;
        let affordable = p99_s.saturating_mul(15_000) <= duration_ms;
        let interval_s = if affordable { least_s.max(p99_s) } else { least_s };
        Timeline { interval_ms: interval_s * 1_000, points: Vec::new() }
    }
}

/// One interval, or what one stage had of it where stages meet within: these have the same `t_ms`. A request belongs to the
/// interval of its intended send time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct TimelinePoint {
    /// Start of the interval, since the start of the run.
    pub(crate) t_ms: u64,
    /// Which of the stages, from 0.
    pub(crate) stage: u32,
    pub(crate) intended: u64,
    pub(crate) sent: u64,
    /// Whole answers, right or wrong.
    pub(crate) completed: u64,
    pub(crate) errors: u64,
    pub(crate) wrong_answers: u64,
    pub(crate) latency_us: LatencySummary,
    pub(crate) service_us: LatencySummary,
    pub(crate) lateness_us: LatencySummary,
    #[serde(default)]
    pub(crate) machine_stalls_us: LatencySummary,
    /// HdrHistogram V2, deflated, in base64: what the summaries were taken from.
    #[serde(deserialize_with = "histogram")]
    pub(crate) latency_histogram: String,
    #[serde(deserialize_with = "histogram")]
    pub(crate) service_histogram: String,
    #[serde(deserialize_with = "histogram")]
    pub(crate) lateness_histogram: String,
    /// Empty in results of before machine stalls were watched.
    #[serde(default, deserialize_with = "histogram_or_none")]
    pub(crate) machine_stalls_histogram: String,
    /// Of the server's snapshot, as the last answer of the interval named it.
    pub(crate) generation: Option<String>,
}

/// A text that can be decoded: who merges or compares later must not find out that an interval is lost.
fn histogram<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let damaged = || serde::de::Error::custom("a histogram of the timeline is no HdrHistogram V2 in base64");
    Latencies::decode(&text).map(|_| ()).ok_or_else(damaged)?;
    Ok(text)
}

fn histogram_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(text) } else { histogram(text.into_deserializer()) }
}

impl TimelinePoint {
    /// Sets summaries and histograms from what the interval measured.
    pub(crate) fn measured(mut self, latency: &Latencies, service: &Latencies, lateness: &Latencies) -> Self {
        (self.latency_us, self.latency_histogram) = (latency.summary(), latency.encode());
        (self.service_us, self.service_histogram) = (service.summary(), service.encode());
        (self.lateness_us, self.lateness_histogram) = (lateness.summary(), lateness.encode());
        self
    }

    /// Sets what is known of the machine's stalls in the interval.
    pub(crate) fn stalled(mut self, stalls: &Latencies) -> Self {
        (self.machine_stalls_us, self.machine_stalls_histogram) = (stalls.summary(), stalls.encode());
        self
    }
}

/// The server went over to another snapshot generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Swap {
    pub(crate) t_ms: u64,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The first wrong answer: enough to find the target, nothing about the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstWrongFacts {
    /// The line of the targets file, from 1.
    pub(crate) line: u64,
    pub(crate) endpoint: String,
    pub(crate) kind: String,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// How connections came to be, and what requests met on them. Handshakes are timed alone, apart from any request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConnectionFacts {
    pub(crate) opened: u64,
    /// Of those, after the start, because one was lost.
    pub(crate) reconnects: u64,
    /// Requests on a connection that had carried one before.
    pub(crate) requests_reused: u64,
    pub(crate) requests_new: u64,
    /// From the actual send, of the first request on each connection.
    pub(crate) service_new_us: Latencies,
    /// The same of those that found their connection open.
    pub(crate) service_reused_us: Latencies,
    pub(crate) tcp_connect_us: Latencies,
    /// Empty without TLS. From the open TCP connection until the request may be sent.
    pub(crate) tls_full_us: Latencies,
    /// Handshakes that took up an earlier session.
    pub(crate) tls_resumed_us: Latencies,
}

/// How many tracking codes were compared for repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrackingCodeFacts {
    pub(crate) remembered: u64,
    /// Codes beyond the memory for them: repeats among these went unseen.
    pub(crate) unremembered: u64,
}
