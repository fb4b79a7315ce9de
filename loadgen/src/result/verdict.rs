//! Goals and what became of them.
//!
//! Three words, never mixed up: a server that is too slow or wrong is *missed*; a measurement that cannot be
//! trusted is *invalid*; everything else is *met*.

use serde::{Deserialize, Serialize};

/// What a measurement as a whole comes to; also its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    Invalid,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Met => "MET",
            Verdict::Missed => "MISSED",
            Verdict::Invalid => "INVALID",
        }
    }

    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Verdict::Met => 0,
            Verdict::Missed => 3,
            Verdict::Invalid => 4,
        }
    }
}

/// The verdict with each reason as a sentence, the weightiest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerdictFacts {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<String>,
}

/// One goal of the scenario, with what was measured against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Goal {
    /// The scenario's own word for it, with its unit: `p99_9_us`, `errors_share_max`, `wrong_answers_max`.
    pub(crate) what: String,
    /// `all`, `general` or `personal`.
    pub(crate) endpoint: String,
    pub(crate) limit: f64,
    /// Absent where too few samples lie beyond the percentile.
    pub(crate) value: Option<f64>,
    pub(crate) verdict: GoalVerdict,
}

/// What became of one goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GoalVerdict {
    Met,
    Missed,
    /// Too few samples to say; makes the whole measurement invalid.
    Insufficient,
}

impl GoalVerdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            GoalVerdict::Met => "met",
            GoalVerdict::Missed => "missed",
            GoalVerdict::Insufficient => "insufficient",
        }
    }
}
