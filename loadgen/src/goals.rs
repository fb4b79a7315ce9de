//! What a run must reach, and whether it did. Pure: takes counts and histograms, gives verdicts.
//!
//! Three words, never mixed up: a goal that the server missed, a goal that too few samples lie beyond, and a
//! client that cannot be trusted. The last two make a run invalid, however good its figures look.

use serde::{Deserialize, Serialize};

use crate::latency::Latencies;
use crate::result::{Goal, GoalVerdict, Tallied, Verdict, VerdictFacts};

/// A sender that computes for longer than this share of its time cannot be on time.
pub(crate) const BUSY_SHARE_MAX: f64 = 0.8;
/// The part of a latency goal that the client may use up itself, at p99.
pub(crate) const LATENESS_PART: u64 = 10;

/// Goals as a scenario states them; latency is from the intended send time, in microseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p90_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_9_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_99_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) errors_share_max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wrong_answers_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) general: Option<Box<Limits>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) personal: Option<Box<Limits>>,
}

/// The percentile goals: their name and parts per million.
const PERCENTILES: [(&str, u64); 5] = [
    ("p50_us", 500_000),
    ("p90_us", 900_000),
    ("p99_us", 990_000),
    ("p99_9_us", 999_000),
    ("p99_99_us", 999_900),
];

/// Which requests a goal is about, and its limits.
pub(crate) const ALL: &str = "all";

impl Limits {
    fn percentile_limits(&self) -> [Option<u64>; 5] {
        [self.p50_us, self.p90_us, self.p99_us, self.p99_9_us, self.p99_99_us]
    }

    /// The percentile goals that are set: name, parts per million, limit.
    pub(crate) fn latency_goals(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let limits = self.percentile_limits();
        PERCENTILES.iter().zip(limits).filter_map(|(&(what, ppm), limit)| Some((what, ppm, limit?)))
    }

    /// The same over all endpoints, each with whose goal it is: `all`, `general` or `personal`.
    pub(crate) fn all_latency_goals(&self) -> Vec<(&'static str, (&'static str, u64, u64))> {
        let by_endpoint = self.by_endpoint().into_iter();
        by_endpoint
            .flat_map(|(endpoint, limits)| limits.latency_goals().map(move |goal| (endpoint, goal)))
            .collect()
    }

    /// `all` first, then the endpoints that have goals of their own.
    pub(crate) fn by_endpoint(&self) -> Vec<(&'static str, &Limits)> {
        let own = [("general", &self.general), ("personal", &self.personal)];
        let own = own.into_iter().filter_map(|(name, limits)| Some((name, limits.as_deref()?)));
        std::iter::once((ALL, self)).chain(own).collect()
    }

    /// The strictest limit on latency, which bounds how late the client itself may be.
    pub(crate) fn strictest_us(&self) -> Option<u64> {
        self.all_latency_goals().into_iter().map(|(_, (.., limit))| limit).min()
    }

    /// Judges what came; unless the scenario allows them, no wrong answer and no error is accepted. An endpoint of which
    /// nothing is tallied has come to nothing, and its goals are not met by that.
    pub(crate) fn judge<'a>(&self, tallied: impl Fn(&str) -> Option<&'a Tallied>) -> Vec<Goal> {
        let (mut goals, nothing) = (Vec::new(), Tallied::default());
        for (endpoint, limits) in self.by_endpoint() {
            let tallied = tallied(endpoint).unwrap_or(&nothing);
            let latency = limits.latency_goals();
            goals.extend(latency.map(|(what, ppm, limit)| {
                let value = tallied.latency_us.percentile(ppm).us();
                judged(what, endpoint, limit as f64, value.map(|us| us as f64))
            }));
            let default = |set: Option<f64>| if endpoint == ALL { set.or(Some(0.0)) } else { set };
            let of_any = |value: f64| (tallied.intended > 0).then_some(value);
            if let Some(limit) = default(limits.wrong_answers_max.map(|max| max as f64)) {
                let wrong = of_any(tallied.wrong_answers as f64);
                goals.push(judged("wrong_answers_max", endpoint, limit, wrong));
            }
            if let Some(limit) = default(limits.errors_share_max) {
                let share = of_any(tallied.errors as f64 / tallied.intended as f64);
                goals.push(judged("errors_share_max", endpoint, limit, share));
            }
        }
        goals
    }

    /// A goal that can no longer be met, whatever still comes of `expected` requests.
    pub(crate) fn lost(&self, endpoint: &str, tallied: &Tallied, expected: f64) -> Option<&'static str> {
        let limits = match endpoint {
            "general" => self.general.as_deref()?,
            "personal" => self.personal.as_deref()?,
            _ => self,
        };
        let late = limits.latency_goals().find(|(_, ppm, limit)| {
            let allowed = expected * (1_000_000 - ppm) as f64 / 1e6;
            over(&tallied.latency_us, *limit) as f64 > allowed + 4.0 * allowed.sqrt() + 1.0
        });
        let errors = limits.errors_share_max.unwrap_or(if endpoint == ALL { 0.0 } else { 1.0 });
        if limits.is_wrong(endpoint, tallied) {
            return Some("wrong_answers_max");
        }
        if tallied.errors as f64 > errors * expected * 1.01 {
            return Some("errors_share_max");
        }
        late.map(|(what, ..)| what)
    }

    /// Whether more answers were wrong than these limits of the endpoint's own allow; it holds in a warm-up too.
    pub(crate) fn is_wrong(&self, endpoint: &str, tallied: &Tallied) -> bool {
        let unless_set = if endpoint == ALL { 0 } else { u64::MAX };
        tallied.wrong_answers > self.wrong_answers_max.unwrap_or(unless_set)
    }
}

fn over(latencies: &Latencies, limit_us: u64) -> u64 {
    let histogram = latencies.histogram();
    histogram.len() - histogram.count_between(0, limit_us)
}

/// A goal without a value rests on too few samples, or on none.
fn judged(what: &str, endpoint: &str, limit: f64, value: Option<f64>) -> Goal {
    let verdict = match value {
        None => GoalVerdict::Insufficient,
        Some(value) if value > limit => GoalVerdict::Missed,
        Some(_) => GoalVerdict::Met,
    };
    Goal { what: what.to_owned(), endpoint: endpoint.to_owned(), limit, value, verdict }
}

/// How the client itself did in one measured stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageTrust<'a> {
    pub(crate) name: &'a str,
    pub(crate) lateness: &'a Latencies,
    /// The strictest latency goal of the stage.
    pub(crate) strictest_us: Option<u64>,
}

/// How late the client may be at p99 where this is the strictest goal.
pub(crate) fn lateness_limit_us(strictest_us: u64) -> u64 {
    strictest_us / LATENESS_PART
}

/// Why the client cannot be trusted; nothing when it can.
pub(crate) fn distrust(stages: &[StageTrust<'_>], busy_shares: &[f64]) -> Vec<String> {
    let mut reasons = Vec::new();
    for stage in stages {
        let Some(goal) = stage.strictest_us else { continue };
        let (limit, histogram) = (lateness_limit_us(goal), stage.lateness.histogram());
        // Few samples are enough for distrust: the client must show that it was on time.
        let p99 = histogram.value_at_quantile(0.99);
        if !histogram.is_empty() && p99 > limit {
            reasons.push(format!(
                "stage {}: the client itself was late by {p99} µs at p99, more than {limit} µs, a tenth of the \
                 latency goal; use a faster or idler machine, or more of them",
                stage.name
            ));
        }
    }
    for (thread, share) in busy_shares.iter().enumerate().filter(|(_, share)| **share > BUSY_SHARE_MAX) {
        reasons.push(format!(
            "sender thread {} was busy {:.0} % of the time, more than {:.0} %; use more --threads or machines",
            thread + 1,
            share * 100.0,
            BUSY_SHARE_MAX * 100.0
        ));
    }
    reasons
}

/// What a goal without a value lacks; a share of nothing and a count of nothing say nothing either.
fn lacking(goal: &Goal) -> &'static str {
    if goal.what.ends_with("_us") {
        "has too few samples beyond it; run longer"
    } else {
        "says nothing: no such request fell due; run longer, or raise the rate"
    }
}

/// The verdict over the goals of all measured stages. A client that cannot be trusted outweighs everything:
/// neither a goal met nor one missed means anything then. A goal that lacks samples outweighs only goals met.
pub(crate) fn verdict<'a>(
    distrust: Vec<String>,
    stages: impl Iterator<Item = (&'a str, &'a [Goal])>,
) -> VerdictFacts {
    let (mut missed, mut insufficient) = (Vec::new(), Vec::new());
    for (stage, goals) in stages {
        for goal in goals {
            let place = if goal.endpoint == ALL { String::new() } else { format!(" of {}", goal.endpoint) };
            match goal.verdict {
                GoalVerdict::Met => {}
                GoalVerdict::Missed => missed.push(format!(
                    "stage {stage}: {}{place} is {}, over {}",
                    goal.what,
                    goal.value.unwrap_or_default(),
                    goal.limit
                )),
                GoalVerdict::Insufficient => {
                    insufficient.push(format!("stage {stage}: {}{place} {}", goal.what, lacking(goal)));
                }
            }
        }
    }
    if !distrust.is_empty() {
        let reasons = distrust.into_iter().chain(missed).chain(insufficient).collect();
        return VerdictFacts { verdict: Verdict::Invalid, reasons };
    }
    let verdict = match (missed.is_empty(), insufficient.is_empty()) {
        (false, _) => Verdict::Missed,
        (true, false) => Verdict::Invalid,
        (true, true) => Verdict::Met,
    };
    VerdictFacts { verdict, reasons: missed.into_iter().chain(insufficient).collect() }
}
