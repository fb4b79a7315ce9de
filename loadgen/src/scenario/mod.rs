//! A scenario: what is asked, how often, for how long, and what must hold. TOML, or flags written as TOML.
//!
//! `raw` is the file as it stands, `shape` turns its stages into rates over time. The text stays with the
//! scenario and goes into every result, with its digest.

mod raw;
mod shape;

use std::path::Path;
use std::sync::Arc;

use crate::goals::Limits;
use crate::result::ScenarioFacts;
use crate::schedule::{Arrivals, Plan};

pub(crate) use raw::{Class, Provider, Retries, Traffic};

/// Ready scenarios: their names and texts.
pub(crate) const READY: [(&str, &str); 4] = [
    ("demand", include_str!("../../scenarios/demand.toml")),
    ("national-peak", include_str!("../../scenarios/national-peak.toml")),
    ("retry-storm", include_str!("../../scenarios/retry-storm.toml")),
    ("record-day", include_str!("../../scenarios/record-day.toml")),
];

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    #[error(
        "--scenario {name}: {source}; give a file or one of demand, national-peak, retry-storm, record-day"
    )]
    Read { name: String, source: std::io::Error },
    #[error("the scenario {name} is not valid TOML of a scenario: {message}")]
    Malformed { name: String, message: String },
    #[error("the scenario {name}, stage {stage}: {message}")]
    Stage { name: String, stage: String, message: String },
    #[error("the scenario {name}: {message}")]
    Setting { name: String, message: String },
}

/// How requests become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Open(Arrivals),
    Closed { requests_max: u64 },
}

/// A scenario after all checks.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) facts: ScenarioFacts,
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
    pub(crate) plan: Arc<Plan>,
    /// One for each stage of the plan.
    pub(crate) goals: Vec<Limits>,
    pub(crate) abort_on_miss: bool,
    pub(crate) connections: usize,
    pub(crate) requests_per_connection: u64,
    pub(crate) timeout_ms: u64,
    /// Absent: every target once in each pass.
    pub(crate) traffic: Option<Traffic>,
    pub(crate) providers: Vec<Provider>,
}

impl Scenario {
    /// A ready scenario by its name, or a file.
    pub(crate) fn load(name_or_path: &str) -> Result<Scenario, ScenarioError> {
        if let Some((name, text)) = READY.iter().find(|(name, _)| *name == name_or_path) {
            return Scenario::parse(name, text);
        }
        let failed = |source| ScenarioError::Read { name: name_or_path.to_owned(), source };
        let text = std::fs::read_to_string(name_or_path).map_err(failed)?;
        // Some editors put a BOM before it.
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let stem = Path::new(name_or_path).file_stem().unwrap_or_default().to_string_lossy();
        Scenario::parse(&stem, text)
    }

    /// Reads a scenario's text; `name` counts when the text has none.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let raw = toml::from_str::<raw::RawScenario>(text).map_err(|error| ScenarioError::Malformed {
            name: name.to_owned(),
            message: error.to_string(),
        })?;
        raw.check(name, text)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.pace, Pace::Closed { .. })
    }

    /// How requests follow each other in an open loop at this scenario's rates; by chance where it is a closed one.
    pub(crate) fn arrivals(&self) -> Arrivals {
        match self.pace {
            Pace::Open(arrivals) => arrivals,
            Pace::Closed { .. } => Arrivals::Poisson,
        }
    }

    /// The same traffic, settings and goals, at one steady rate: what capacity search tries.
    pub(crate) fn at_rate(&self, rate_per_s: f64, warmup_s: f64, duration_s: f64) -> Scenario {
        let mut plan = Plan::default();
        let shape = format!("constant {rate_per_s}/s");
        if warmup_s > 0.0 {
            plan.push("warm-up", shape.clone(), true, &[(rate_per_s, rate_per_s, warmup_s)]);
        }
        plan.push("steady", shape, false, &[(rate_per_s, rate_per_s, duration_s)]);
        let goals = self.measured_goals().cloned().unwrap_or_default();
        let goals = vec![goals; plan.stages.len()];
        let pace = Pace::Open(self.arrivals());
        Scenario { plan: Arc::new(plan), goals, pace, ..self.clone() }
    }

    /// The strictest goal on latency of any stage.
    pub(crate) fn strictest_us(&self) -> Option<u64> {
        self.goals.iter().filter_map(Limits::strictest_us).min()
    }

    /// The goals of the first measured stage.
    pub(crate) fn measured_goals(&self) -> Option<&Limits> {
        self.plan.stages.iter().zip(&self.goals).find(|(stage, _)| !stage.warmup).map(|(_, goals)| goals)
    }
}

/// Name, text and digest as results carry them.
fn facts(name: &str, text: &str) -> ScenarioFacts {
    let blake3 = blake3::hash(text.as_bytes()).to_hex().to_string();
    ScenarioFacts { name: name.to_owned(), blake3, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_scenarios_hold_and_give_their_percentiles_enough_samples() {
        for (name, _) in READY {
            let scenario = Scenario::load(name).unwrap();
            assert_eq!(scenario.facts.name, name);
            let measured =
                scenario.plan.stages.iter().zip(&scenario.goals).filter(|(stage, _)| !stage.warmup);
            for (stage, goals) in measured {
                let beyond = |ppm: u64| stage.mass * (1_000_000 - ppm) as f64 / 1e6;
                assert!(
                    goals.latency_goals().all(|(_, ppm, _)| beyond(ppm) > 101.0),
                    "{name}: {}",
                    stage.mass
                );
            }
        }
        let rates = READY.map(|(name, _)| Scenario::load(name).unwrap().plan.rate_max_per_s());
        assert_eq!(rates, [500.0, 3_500.0, 5_000.0, 10_000.0]);
    }

    #[test]
    fn every_kind_of_stage_lasts_as_long_as_it_says() {
        let kinds = [
            ("constant", "rate_per_s = 10", 100.0),
            ("soak", "rate_per_s = 10", 100.0),
            ("ramp", "from_per_s = 0\nto_per_s = 20", 100.0),
            ("step", "from_per_s = 10\nto_per_s = 40\nsteps = 4", 250.0),
            ("spike", "base_per_s = 10\npeak_per_s = 50\nspike_s = 2", 180.0),
            ("retry_storm", "base_per_s = 10\npeak_per_s = 50\noutage_s = 2\nspike_s = 4", 320.0),
        ];
        for (kind, fields, mass) in kinds {
            let text = format!("[[stage]]\nkind = \"{kind}\"\nduration_s = 10\n{fields}\n");
            let stage = Scenario::parse("x", &text).unwrap().plan.stages[0].clone();
            assert_eq!((stage.duration_ns, stage.mass.round()), (10_000_000_000, mass), "{kind}");
        }
        for kind in ["working_day", "month_start"] {
            let text = format!("[[stage]]\nkind = \"{kind}\"\nduration_s = 48\npeak_per_s = 100\n");
            let scenario = Scenario::parse("x", &text).unwrap();
            assert_eq!(scenario.plan.rate_max_per_s(), 100.0);
            assert!((1_500.0..3_500.0).contains(&scenario.plan.stages[0].mass), "{kind}");
        }
    }
}
