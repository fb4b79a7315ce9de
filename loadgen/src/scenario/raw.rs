//! The scenario file as it stands, and the checks that turn it into a `Scenario`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::goals::Limits;
use crate::scenario::shape::RawStage;
use crate::scenario::{Pace, Scenario, ScenarioError, facts};
use crate::schedule::{Arrivals, Plan};

/// What a request is about, for the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// Covered or not, nothing odd.
    Ordinary,
    /// An ID that nobody holds.
    Unknown,
    /// An ID whose check digit is wrong.
    Mistyped,
    /// Cover that has ended.
    Lapsed,
    Inpatient,
}

impl Class {
    pub(crate) const ALL: [Class; 5] =
        [Class::Ordinary, Class::Unknown, Class::Mistyped, Class::Lapsed, Class::Inpatient];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Ordinary => "ordinary",
            Class::Unknown => "unknown",
            Class::Mistyped => "mistyped",
            Class::Lapsed => "lapsed",
            Class::Inpatient => "inpatient",
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traffic {
    /// Share of requests to the personal endpoint.
    #[serde(default)]
    pub(crate) personal_share: f64,
    /// Exponent of Zipf's law over people; 0 asks all alike.
    #[serde(default)]
    pub(crate) zipf: f64,
    /// Share of requests that ask again about the person of a recent one.
    #[serde(default)]
    pub(crate) reinquiry_share: f64,
    /// Weights; a class that is left out is not asked. Without the table, as the targets have them.
    pub(crate) mix: Option<Mix>,
    pub(crate) retries: Option<Retries>,
}

/// Weights of the classes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mix {
    pub(crate) ordinary: f64,
    pub(crate) unknown: f64,
    pub(crate) mistyped: f64,
    pub(crate) lapsed: f64,
    pub(crate) inpatient: f64,
}

impl Mix {
    pub(crate) fn weight(&self, class: Class) -> f64 {
        match class {
            Class::Ordinary => self.ordinary,
            Class::Unknown => self.unknown,
            Class::Mistyped => self.mistyped,
            Class::Lapsed => self.lapsed,
            Class::Inpatient => self.inpatient,
        }
    }
}

/// Callers who ask again after an error.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retries {
    /// At most so often for one inquiry.
    pub(crate) max: u32,
    /// Doubles with each try.
    pub(crate) after_ms: u64,
}

/// One kind of provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) kind: String,
    /// Which keys are theirs: those whose id begins so.
    pub(crate) key_prefix: String,
    /// Their part of the rate, as a weight.
    pub(crate) weight: f64,
    /// Whether they may ask for inpatient care.
    #[serde(default)]
    pub(crate) inpatient: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    name: Option<String>,
    #[serde(rename = "about")]
    _about: Option<String>,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    arrivals: RawArrivals,
    burst_size: Option<u32>,
    requests_max: Option<u64>,
    connections: Option<usize>,
    #[serde(default)]
    requests_per_connection: u64,
    timeout_ms: Option<u64>,
    #[serde(default)]
    abort_on_miss: bool,
    #[serde(default)]
    goals: Limits,
    #[serde(default, rename = "stage")]
    stages: Vec<RawStage>,
    traffic: Option<Traffic>,
    #[serde(default, rename = "provider")]
    providers: Vec<Provider>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawArrivals {
    #[default]
    Poisson,
    Uniform,
    Bursts,
    ClosedLoop,
}

fn one() -> u64 {
    1
}

const DAY_S: f64 = 86_400.0 * 7.0;
const RATE_MAX_PER_S: f64 = 10_000_000.0;

impl RawScenario {
    pub(super) fn check(self, file_name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let name = self.name.clone().unwrap_or_else(|| file_name.to_owned());
        let wrong =
            |message: &str| ScenarioError::Setting { name: name.clone(), message: message.to_owned() };
        let pace = self.pace().map_err(wrong)?;
        self.check_traffic().map_err(wrong)?;
        let (mut plan, mut goals) = (Plan::default(), Vec::new());
        for (index, stage) in self.stages.iter().enumerate() {
            let title = stage.name.clone().unwrap_or_else(|| format!("{}", index + 1));
            let failed = |message| ScenarioError::Stage { name: name.clone(), stage: title.clone(), message };
            let closed = matches!(pace, Pace::Closed { .. });
            let (shape, pieces) = stage.pieces(closed).map_err(failed)?;
            plan.push(&title, shape, stage.warmup, &pieces);
            let is_silent = !closed && plan.stages[index].mass == 0.0;
            if stage.warmup && is_silent && stage.goals.is_some() {
                return Err(failed("a warm-up without a request cannot meet goals of its own".to_owned()));
            }
            goals.push(stage.goals.clone().unwrap_or_else(|| self.goals.clone()));
        }
        if !plan.stages.iter().any(|stage| !stage.warmup) {
            return Err(wrong("needs a [[stage]] that is no warm-up"));
        }
        if plan.duration_ns() as f64 > DAY_S * 1e9 || plan.rate_max_per_s() > RATE_MAX_PER_S {
            return Err(wrong("lasts longer than a week or asks for more than 10,000,000 requests a second"));
        }
        Ok(Scenario {
            facts: facts(&name, text),
            seed: self.seed,
            pace,
            plan: Arc::new(plan),
            goals,
            abort_on_miss: self.abort_on_miss,
            connections: self.connections.unwrap_or(64),
            requests_per_connection: self.requests_per_connection,
            timeout_ms: self.timeout_ms.unwrap_or(5_000),
            traffic: self.traffic,
            providers: self.providers,
        })
    }

    fn pace(&self) -> Result<Pace, &'static str> {
        if self.burst_size.is_some() != (self.arrivals == RawArrivals::Bursts) {
            return Err("`burst_size` and `arrivals = \"bursts\"` go together");
        }
        if self.requests_max.is_some() && self.arrivals != RawArrivals::ClosedLoop {
            return Err("`requests_max` needs `arrivals = \"closed_loop\"`; an open loop has its rate");
        }
        if self.connections.is_some_and(|n| !(1..=10_000).contains(&n)) {
            return Err("`connections` must be from 1 to 10,000");
        }
        if self.timeout_ms.is_some_and(|ms| !(1..=600_000).contains(&ms)) {
            return Err("`timeout_ms` must be from 1 to 600,000");
        }
        Ok(match self.arrivals {
            RawArrivals::Poisson => Pace::Open(Arrivals::Poisson),
            RawArrivals::Uniform => Pace::Open(Arrivals::Uniform),
            RawArrivals::Bursts => match self.burst_size {
                Some(size @ 1..=100_000) => Pace::Open(Arrivals::Bursts(size)),
                _ => return Err("`burst_size` must be from 1 to 100,000"),
            },
            RawArrivals::ClosedLoop => Pace::Closed { requests_max: self.requests_max.unwrap_or(u64::MAX) },
        })
    }

    fn check_traffic(&self) -> Result<(), &'static str> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        if let Some(traffic) = &self.traffic {
            if !share(traffic.personal_share) || !share(traffic.reinquiry_share) {
                return Err("shares in [traffic] must be from 0 to 1");
            }
            if !(0.0..=5.0).contains(&traffic.zipf) {
                return Err("`zipf` in [traffic] must be from 0 to 5");
            }
            let weights = traffic.mix.as_ref().map(|mix| Class::ALL.map(|class| mix.weight(class)));
            if weights
                .is_some_and(|w| w.iter().any(|x| !(0.0..=1e9).contains(x)) || w.iter().sum::<f64>() <= 0.0)
            {
                return Err("weights in [traffic.mix] must not be negative, and one must be positive");
            }
            if traffic.retries.is_some_and(|r| r.max > 10 || r.after_ms > 600_000) {
                return Err("[traffic.retries] allows `max` up to 10 and `after_ms` up to 600,000");
            }
        }
        if self.providers.iter().any(|provider| !(0.0..=1e9).contains(&provider.weight)) {
            return Err("`weight` in [[provider]] must not be negative");
        }
        Ok(())
    }
}
