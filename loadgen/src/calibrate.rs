//! What this machine can do as a client: the highest trustworthy rate against a server that does nothing, and
//! the latency below which nothing can be told apart.

use std::sync::Arc;
use std::time::SystemTime;

use crate::assemble;
use crate::base_url::BaseUrl;
use crate::capacity::{Search, Searcher, try_at};
use crate::cli::CalibrateArgs;
use crate::null_server::NullServer;
use crate::result::{CalibrationResult, CapacityStep};
use crate::run::{RunError, Setup};
use crate::scenario::{Scenario, ScenarioError};
use crate::schedule::Share;
use crate::sender::Trust;
use crate::targets::Targets;

/// The floor is measured where nothing waits for anything.
const FLOOR_PER_S: f64 = 1_000.0;
const FLOOR_S: f64 = 10.0;
const FROM_PER_S: f64 = 8_000.0;
const MAX_PER_S: f64 = 1_000_000.0;

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
    let floor = try_at(&setup, scenario, &url, FLOOR_PER_S, FLOOR_S)?;
    let search = Search { from_per_s: FROM_PER_S, max_per_s: MAX_PER_S, step_s, repeats: 1 };
    let mut searcher = Searcher::new(|rate| try_at(&setup, scenario, &url, rate, step_s), tell);
    let (ceiling_per_s, ..) = searcher.bracket(&search)?;
    Ok(CalibrationResult {
        provenance: assemble::provenance(scenario, setup.seed, started_at),
        ceiling_per_s,
        floor_us: floor.total.latency_us.summary(),
        lateness_us: floor.lateness_us.summary(),
        steps: searcher.into_steps(),
    })
}
