//! The data of what is made of several runs: capacity, compare, calibrate.

use serde::{Deserialize, Serialize};

use crate::latency::LatencySummary;
use crate::result::model::{Provenance, TargetFacts};
use crate::result::verdict::{Verdict, VerdictFacts};

/// The highest rate that meets the goals; `kind` in JSON is `capacity`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CapacityResult {
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
    pub(crate) url: String,
    pub(crate) verdict: VerdictFacts,
    /// Not known in results of before they were noted.
    #[serde(flatten)]
    pub(crate) settings: Option<SearchSettings>,
    /// The goals as the scenario has them: `p99_9_us <= 5000`.
    pub(crate) goals: Vec<String>,
    /// The goal whose limit the plot draws as a line, when it is one on latency.
    pub(crate) goal_latency_us: Option<u64>,
    /// Which percentile that goal is on: `p99`.
    pub(crate) goal_percentile: Option<String>,
    /// Absent when not even the lowest rate met the goals.
    pub(crate) capacity_per_s: Option<f64>,
    /// The highest rate up to which every repeat was met (0: none), and the lowest from which on none was. Absent where no
    /// rate bounds the capacity from above.
    pub(crate) interval_per_s: Option<[f64; 2]>,
    pub(crate) limited_by: Limit,
    /// How long the search may take.
    pub(crate) budget_s: u64,
    /// The budget ended the search before it was done.
    pub(crate) ended_by_budget: bool,
    /// In the order in which they ran.
    pub(crate) steps: Vec<CapacityStep>,
}

/// What a search was told, beside its scenario, goals and budget: what it takes to search again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SearchSettings {
    pub(crate) targets: TargetFacts,
    pub(crate) connections_configured: u64,
    pub(crate) timeout_ms: u64,
    /// Sender threads.
    pub(crate) threads: u64,
    /// The first rate tried.
    pub(crate) from_per_s: u64,
    /// The highest rate that may be tried.
    pub(crate) rate_max_per_s: u64,
    /// How long each rate is measured at least; longer where a percentile needs more samples.
    pub(crate) step_s: u64,
    /// How often each level near the capacity is tried.
    pub(crate) repeats: u64,
}

impl SearchSettings {
    /// In one sentence.
    pub(crate) fn describe(&self) -> String {
        format!(
            "tries of {} s at least, from {}/s to {}/s at most, {} repeats of each level; {} connections, timeout {} ms, \
             {} sender threads",
            self.step_s,
            self.from_per_s,
            self.rate_max_per_s,
            self.repeats,
            self.connections_configured,
            self.timeout_ms,
            self.threads
        )
    }
}

/// What kept the search from going higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// A rate at which the server missed a goal.
    Server,
    /// A rate at which the client could not be trusted: the server can do more than was found.
    Client,
    /// The highest rate the search was allowed to try.
    SearchBound,
    /// The time that the search was given, before any rate bounded it.
    Budget,
}

/// One try at one rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CapacityStep {
    pub(crate) phase: StepPhase,
    pub(crate) rate_per_s: f64,
    pub(crate) answered_per_s: f64,
    pub(crate) started_at_ms: u64,
    pub(crate) duration_ms: u64,
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<String>,
    pub(crate) latency_us: LatencySummary,
    pub(crate) lateness_us: LatencySummary,
    /// Without samples in results of before this was noted.
    #[serde(default)]
    pub(crate) machine_stalls_us: LatencySummary,
}

/// Why a rate was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepPhase {
    Exponential,
    Bisect,
    Confirm,
}

/// Two results or servers held against each other; `kind` in JSON is `compare`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CompareResult {
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
    pub(crate) a: CompareSide,
    pub(crate) b: CompareSide,
    /// What differs though it should not, allowed by the one who asked.
    pub(crate) warnings: Vec<String>,
    /// What may matter and is for the reader to weigh: it refuses nothing.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) confidence: f64,
    pub(crate) resamples: u32,
    pub(crate) ratios: Vec<Ratio>,
    /// From which the intervals were drawn; 0 where these hold the variation within two runs only, as also in results of
    /// before this was noted.
    #[serde(default)]
    pub(crate) turns_a_side: u64,
    /// The runs in the order in which they took turns; empty when files were compared.
    pub(crate) rounds: Vec<CompareRound>,
}

/// So many turns a side are the least that tell a difference from a mood.
pub(crate) const TURNS_MIN: usize = 5;

impl CompareResult {
    /// What is shown of a ratio; nothing where two results were compared, as nobody knows how runs of one server differ.
    pub(crate) fn shown(&self, ratio: &Ratio) -> Option<&'static str> {
        match self.turns_a_side {
            0 => None,
            turns if turns < TURNS_MIN as u64 => Some("too few turns to tell a difference"),
            _ => Some(if ratio.differs() { "differs" } else { "no difference shown" }),
        }
    }

    /// How the intervals of the ratios are to be read.
    pub(crate) fn reading(&self) -> &'static str {
        match self.turns_a_side {
            0 => {
                "An interval holds the variation within the two runs only: it does not tell whether the servers are alike."
            }
            turns if turns < TURNS_MIN as u64 => "There were too few turns to tell a difference.",
            _ => "An interval that holds 1 shows no difference.",
        }
    }
}

/// One of the two.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CompareSide {
    /// A file or an address.
    pub(crate) label: String,
    /// Of its first turn; later ones of two live servers have the next seeds.
    pub(crate) provenance: Provenance,
    pub(crate) verdict: Verdict,
    pub(crate) latency_us: LatencySummary,
}

/// b over a, of one measure, with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// `p99_us`, `answers_per_s`.
    pub(crate) what: String,
    pub(crate) a: f64,
    pub(crate) b: f64,
    pub(crate) ratio: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// Whether the interval leaves 1 out.
    pub(crate) fn differs(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// One turn of one side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CompareRound {
    /// `a` or `b`.
    pub(crate) side: String,
    pub(crate) verdict: Verdict,
    pub(crate) latency_us: LatencySummary,
}

/// What this machine can send and how little it can see; `kind` in JSON is `calibration`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CalibrationResult {
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
    /// INVALID where the client could not be trusted while the floor was measured, or at no rate; not known in results of
    /// before this was noted.
    #[serde(default)]
    pub(crate) verdict: Option<VerdictFacts>,
    /// The highest rate at which the client stays trustworthy.
    pub(crate) ceiling_per_s: Option<f64>,
    /// Latency against the null server at a low rate: nothing faster can be told apart.
    pub(crate) floor_us: LatencySummary,
    pub(crate) lateness_us: LatencySummary,
    /// Of the machine, while the floor was measured. Without samples in results of before this was noted.
    #[serde(default)]
    pub(crate) machine_stalls_us: LatencySummary,
    /// Whether the threads that watched for them had the raised priority.
    #[serde(default)]
    pub(crate) machine_stalls_raised_priority: Option<bool>,
    pub(crate) steps: Vec<CapacityStep>,
}
