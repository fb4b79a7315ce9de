//! What this machine can do as a client: the highest trustworthy rate against a server that does nothing, and
//! the latency below which nothing can be told apart.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::base_url::BaseUrl;
use crate::capacity::{Search, Searcher, Tries, Trying};
use crate::cli::CalibrateArgs;
use crate::null_server::NullServer;
use crate::provenance::provenance;
use crate::result::{CalibrationResult, CapacityStep};
use crate::run::{RunError, Setup};
use crate::scenario::{Scenario, ScenarioError};
use crate::schedule::Share;
use crate::sender::Trust;
use crate::targets::Targets;

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
    let setup = Setup {
        keys: Vec::new(),
        targets: Arc::new(Targets::made_up()),
        trust: Trust::default(),
        threads: args.threads as usize,
        seed: scenario.seed,
        share: Share::ALL,
        start_at: None,
        tracking_codes_max: 0,
        handicap_ns: 0,
    };
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
    };
    let mut searcher = Searcher::new(search, trying, tell);
    let ceiling_per_s = searcher.bracket()?.low_per_s;
    Ok(CalibrationResult {
        provenance: provenance(scenario, setup.seed, started_at),
        ceiling_per_s,
        floor_us: floor.total.latency_us.summary(),
        lateness_us: floor.lateness_us.summary(),
        machine_stalls_us: floor.machine_stalls_us.summary(),
        machine_stalls_raised_priority: floor.client.machine_stalls_raised_priority,
        steps: searcher.steps,
    })
}
