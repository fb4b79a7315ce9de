//! What this machine can do as a client: the highest trustworthy rate against a server that does nothing, and
//! the latency below which nothing can be told apart.

use std::time::{Duration, Instant, SystemTime};

use crate::base_url::BaseUrl;
use crate::capacity::{Search, Searcher, Tries, Trying};
use crate::cli::CalibrateArgs;
use crate::null_server::NullServer;
use crate::provenance::provenance;
use crate::result::{CalibrationResult, CapacityStep, RunResult, Verdict, VerdictFacts};
use crate::run::{RunError, Setup};
use crate::scenario::{Scenario, ScenarioError};
use crate::stop;

/// The floor is measured where nothing waits for anything.
const FLOOR_PER_S: f64 = 1_000.0;
const FLOOR_S: f64 = 10.0;
/// More than doubling and bisecting can take at the longest step.
const BUDGET: Duration = Duration::from_secs(86_400);

/// The scenario of a calibration, as TOML.
pub(crate) fn scenario(args: &CalibrateArgs) -> Result<Scenario, ScenarioError> {
    let text = format!(
        "name = \"calibrate\"\nconnections = {}\n[goals]\np99_us = {}\n[[stage]]\nkind = \"constant\"\n\
         rate_per_s = {FLOOR_PER_S}\nduration_s = {FLOOR_S}\n",
        args.connections, args.goal_us
    );
    Scenario::parse("calibrate", &text)
}

/// Runs against a null server of its own.
pub(crate) fn calibrate(
    args: &CalibrateArgs,
    scenario: &Scenario,
    tell: &mut dyn FnMut(&CapacityStep),
) -> Result<CalibrationResult, RunError> {
    let started_at = SystemTime::now();
    let server = NullServer::start().map_err(RunError::Sender)?;
    let url = BaseUrl::of(server.address);
    let setup = Setup::made_up(args.threads as usize, scenario.seed);
    let step_s = f64::from(args.step_s);
    let tries = |step_s| Tries { setup: &setup, scenario, url: &url, step_s };
    let floor = tries(FLOOR_S).at(FLOOR_PER_S)?;
    let (tries, started) = (tries(step_s), Instant::now());
    let (from_per_s, max_per_s) = (args.from_rate.into(), args.rate_max.into());
    let search = Search { from_per_s, max_per_s, repeats: 1, budget: BUDGET };
    let trying = Trying {
        run: &mut |rate| tries.at(rate),
        seconds: &|rate| tries.seconds(rate),
        elapsed: &|| started.elapsed(),
        is_ended: &stop::is_asked,
    };
    let mut searcher = Searcher::new(search, trying, tell);
    let ceiling_per_s = searcher.bracket()?.low_per_s;
    Ok(CalibrationResult {
        provenance: provenance(scenario, setup.seed, started_at),
        verdict: Some(verdict(&floor, ceiling_per_s, stop::is_asked())),
        ceiling_per_s,
        floor_us: floor.total.latency_us.summary(),
        lateness_us: floor.lateness_us.summary(),
        machine_stalls_us: floor.machine_stalls_us.summary(),
        machine_stalls_raised_priority: floor.client.machine_stalls_raised_priority,
        steps: searcher.steps,
    })
}

/// A floor that a distrusted client measured is none, and one that could be trusted at no rate has no ceiling.
fn verdict(floor: &RunResult, ceiling_per_s: Option<f64>, is_ended: bool) -> VerdictFacts {
    if is_ended {
        let reasons = vec!["it was ended early: neither floor nor ceiling is known".to_owned()];
        return VerdictFacts { verdict: Verdict::Invalid, reasons };
    }
    let mut reasons = Vec::new();
    if !floor.client.trusted {
        reasons.push(
            "the client could not be trusted while the floor was measured: it may lie lower".to_owned(),
        );
        reasons.extend(floor.verdict.reasons.iter().map(|reason| format!("the floor, {reason}")));
    }
    if ceiling_per_s.is_none() {
        reasons.push("there is no ceiling: the lowest rate was too much for this machine".to_owned());
    }
    let verdict = if reasons.is_empty() { Verdict::Met } else { Verdict::Invalid };
    VerdictFacts { verdict, reasons }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::sample_run;

    #[test]
    fn a_floor_that_the_client_could_not_be_trusted_with_is_invalid() {
        let floor = |trusted| {
            let mut floor = sample_run();
            floor.client.trusted = trusted;
            floor.verdict.reasons = vec!["stage 1: the client itself was late".to_owned()];
            floor
        };
        let good = verdict(&floor(true), Some(60_000.0), false);
        assert_eq!(good, VerdictFacts { verdict: Verdict::Met, reasons: Vec::new() });
        let bad = verdict(&floor(false), Some(60_000.0), false);
        assert_eq!(bad.verdict, Verdict::Invalid);
        assert!(bad.reasons[0].contains("while the floor was measured"), "{bad:?}");
        assert_eq!(bad.reasons[1], "the floor, stage 1: the client itself was late");
        assert_eq!(verdict(&floor(true), None, false).verdict, Verdict::Invalid);
        let ended = verdict(&floor(true), Some(60_000.0), true);
        assert!(ended.verdict == Verdict::Invalid && ended.reasons[0].contains("ended early"), "{ended:?}");
    }
}
