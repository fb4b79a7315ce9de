//! What each subcommand does: arguments in, a document out, an exit code.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::alike;
use crate::base_url::BaseUrl;
use crate::calibrate;
use crate::capacity::{self, Search, Tries};
use crate::cli::{CalibrateArgs, CapacityArgs, Cli, Command, CompareArgs, MergeArgs, RunArgs, TrafficArgs};
use crate::compare::{self, CompareError, Side};
use crate::config::{self, ConfigError, SetupError};
use crate::live::{Live, LiveFeed, Show};
use crate::merge::{self, MergeError};
use crate::result::{
    self, CapacityStep, CompareResult, CompareRound, CompareSide, Document, DocumentError, OutputError,
    Outputs, ReportError, RunResult, Verdict,
};
use crate::run::{self, RunError, Setup};
use crate::scenario::Scenario;
use crate::server_says::ServerMetrics;
use crate::stop;

/// Why there is no result. The message says what failed and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] FailureCause);

#[derive(Debug, thiserror::Error)]
pub(crate) enum FailureCause {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Report(ReportError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot catch signals: {0}; look at the limits of this process")]
    Signals(#[source] std::io::Error),
}

impl Failure {
    /// 2 when the arguments were at fault, 1 for what happened while following them.
    pub fn exit_code(&self) -> u8 {
        match self.0 {
            FailureCause::Config(_)
            | FailureCause::Setup(SetupError::GoalsWithoutTargets(_))
            | FailureCause::Output(OutputError::NoIntervals) => 2,
            _ => 1,
        }
    }
}

/// Does what the arguments ask for: the result goes to `out`, progress to `notes`. The exit code says what the
/// result comes to: 0 met, 3 missed, 4 invalid.
///
/// # Errors
/// When the arguments contradict each other, a file cannot be used, or no connection can be opened. A
/// server that answers wrongly is a result, not an error.
pub fn execute(cli: Cli, out: &mut dyn Write, notes: Box<dyn Write + Send>) -> Result<u8, Failure> {
    stop::catch_signals().map_err(FailureCause::Signals)?;
    Ok(match cli.command {
        Command::Run(args) => run_command(&args, out, notes)?,
        Command::Report(args) => {
            result::report(&args, out).map_err(FailureCause::Report)?;
            0
        }
        Command::Capacity(args) => capacity_command(&args, out, notes)?,
        Command::Compare(args) => compare_command(&args, out, notes)?,
        Command::Calibrate(args) => calibrate_command(&args, out, notes)?,
        Command::Merge(args) => merge_command(&args, out)?,
    })
}

fn run_command(
    args: &RunArgs,
    out: &mut dyn Write,
    notes: Box<dyn Write + Send>,
) -> Result<u8, FailureCause> {
    let metrics = config::server_metrics(args)?;
    let ca = args.traffic.ca.as_deref();
    let [url] =
        config::urls([&args.url], ca.filter(|_| !metrics.as_ref().is_some_and(ServerMetrics::is_tls)))?;
    let scenario = config::run_scenario(args)?;
    let share = config::shard(args.shard.as_deref())?;
    let mut setup = config::setup(&args.traffic, &scenario)?;
    (setup.share, setup.start_at) = (share, config::start_at(args.start_at));
    let outputs = args.output.open(true)?;
    let before = metrics.as_ref().map(|metrics| metrics.look(&setup.trust));
    let mut result = shown_run(&setup, &scenario, &url, notes)?;
    let looked = metrics.zip(before);
    result.server_says = looked.map(|(metrics, before)| metrics.between(before, metrics.look(&setup.trust)));
    let verdict = result.verdict.verdict;
    write(outputs, result, verdict, out)
}

fn shown_run(
    setup: &Setup,
    scenario: &Scenario,
    url: &BaseUrl,
    notes: Box<dyn Write + Send>,
) -> Result<RunResult, RunError> {
    let feed = Arc::new(LiveFeed::default());
    let live = Live::start(Arc::clone(&feed), Show::for_stderr(), notes);
    let result = run::run(setup, scenario, url, &feed);
    live.finish();
    result
}

fn write(
    outputs: Outputs,
    document: impl Into<Document>,
    verdict: Verdict,
    out: &mut dyn Write,
) -> Result<u8, FailureCause> {
    outputs.write(&document.into(), out)?;
    Ok(verdict.exit_code())
}

/// A line for each try of a search, told as it ends.
fn step_teller(mut notes: Box<dyn Write + Send>) -> impl FnMut(&CapacityStep) {
    move |step| {
        let (rate, p99, late) = (step.rate_per_s, step.latency_us.p99, step.lateness_us.p99);
        let word = step.verdict.word();
        // A stream that takes no more must not end the search.
        let _ = writeln!(
            notes,
            "{rate}/s: {word}, p99 {p99} µs, p99.9 {} µs, late p99 {late} µs, machine stalls max {} µs",
            step.latency_us.p99_9, step.machine_stalls_us.max
        );
    }
}

fn capacity_command(
    args: &CapacityArgs,
    out: &mut dyn Write,
    notes: Box<dyn Write + Send>,
) -> Result<u8, FailureCause> {
    let [url] = config::urls([&args.url], args.traffic.ca.as_deref())?;
    if args.from_rate > args.rate_max {
        return Err(ConfigError::RateBounds.into());
    }
    let scenario = config::scenario(&args.traffic, STEADY_TOML)?;
    if scenario.measured_goals().is_none_or(|goals| goals.all_latency_goals().is_empty()) {
        let advice =
            "capacity needs a goal on latency: give --scenario with [goals], or --goal p99_9_us=5000";
        return Err(ConfigError::NoGoals(advice).into());
    }
    let setup = config::setup(&args.traffic, &scenario)?;
    let search = Search {
        from_per_s: args.from_rate.into(),
        max_per_s: args.rate_max.into(),
        repeats: args.repeats,
        budget: Duration::from_secs(args.budget_s.into()),
    };
    let tries = Tries { setup: &setup, scenario: &scenario, url: &url, step_s: args.step_s.into() };
    let needed_s = capacity::least_seconds(&tries, &search).ceil() as u64;
    if needed_s > args.budget_s.into() {
        return Err(ConfigError::Budget { budget_s: args.budget_s, needed_s }.into());
    }
    let outputs = args.output.open(false)?;
    let result = capacity::search(&tries, search, &mut step_teller(notes))?;
    let verdict = result.verdict.verdict;
    write(outputs, result, verdict, out)
}

/// The pace of a scenario made of flags whose rate is chosen later.
const STEADY_TOML: &str =
    "arrivals = \"poisson\"\n[[stage]]\nkind = \"constant\"\nrate_per_s = 1\nduration_s = 1\n";

fn calibrate_command(
    args: &CalibrateArgs,
    out: &mut dyn Write,
    notes: Box<dyn Write + Send>,
) -> Result<u8, FailureCause> {
    if args.from_rate > args.rate_max {
        return Err(ConfigError::RateBounds.into());
    }
    let scenario = calibrate::scenario(args).map_err(ConfigError::Scenario)?;
    let outputs = args.output.open(false)?;
    let result = calibrate::calibrate(args, &scenario, &mut step_teller(notes))?;
    let verdict = result.verdict.as_ref().map_or(Verdict::Met, |facts| facts.verdict);
    write(outputs, result, verdict, out)
}

fn merge_command(args: &MergeArgs, out: &mut dyn Write) -> Result<u8, FailureCause> {
    let outputs = args.output.open(true)?;
    let mut parts = Vec::new();
    for (index, path) in args.results.iter().enumerate() {
        parts.push(*read_run(path)?.ok_or(MergeError::NotARun(index + 1))?);
    }
    let result = merge::merge(parts)?;
    let verdict = result.verdict.verdict;
    write(outputs, result, verdict, out)
}

fn read_run(path: &std::path::Path) -> Result<Option<Box<RunResult>>, FailureCause> {
    Ok(match Document::read(path)? {
        Document::Run(run) => Some(run),
        _ => None,
    })
}

fn compare_command(
    args: &CompareArgs,
    out: &mut dyn Write,
    notes: Box<dyn Write + Send>,
) -> Result<u8, FailureCause> {
    let outputs = args.output.open(false)?;
    let (runs, files) = match (&args.a_url, &args.b_url) {
        (Some(a), Some(b)) => (live_rounds(args, a, b, notes)?, None),
        _ => {
            let files = stored_files(args)?;
            (stored_runs(&files)?, Some(files))
        }
    };
    let mut result = compared(&runs, files.as_ref(), args.allow_different)?;
    if stop::is_asked() {
        result.notes.push(format!("ended early, after {} turns", runs.len()));
    }
    let verdict = result.a.verdict.max(result.b.verdict);
    let verdict = if verdict == Verdict::Invalid { Verdict::Invalid } else { Verdict::Met };
    write(outputs, result, verdict, out)
}

/// Runs in their order; true for side B.
type Rounds = Vec<(bool, RunResult)>;

/// The result files of side A and of side B, as many of each.
type Files = [Vec<PathBuf>; 2];

fn stored_files(args: &CompareArgs) -> Result<Files, ConfigError> {
    if let [a, b] = args.results.as_slice() {
        return Ok([vec![a.clone()], vec![b.clone()]]);
    }
    if args.a.len() != args.b.len() {
        return Err(ConfigError::UnequalSides(args.a.len(), args.b.len()));
    }
    Ok([args.a.clone(), args.b.clone()])
}

fn stored_runs([a, b]: &Files) -> Result<Rounds, FailureCause> {
    let mut runs = Vec::new();
    for (index, path) in a.iter().chain(b).enumerate() {
        let run = *read_run(path)?.ok_or(CompareError::NotARun(index + 1))?;
        runs.push((index >= a.len(), run));
    }
    Ok(runs)
}

/// A B B A, as often as asked: what drifts in a straight line meets both sides alike.
fn live_rounds(
    args: &CompareArgs,
    a: &str,
    b: &str,
    mut notes: Box<dyn Write + Send>,
) -> Result<Rounds, FailureCause> {
    let [a, b] = config::urls([a, b], args.ca.as_deref())?;
    let traffic = TrafficArgs {
        targets: args.targets.clone().unwrap_or_default(),
        key_file: args.key_file.clone(),
        ca: args.ca.clone(),
        scenario: args.scenario.clone(),
        tracking_codes_max: 2_000_000,
        ..TrafficArgs::default()
    };
    let mut scenario = config::scenario(&traffic, STEADY_TOML)?;
    // A turn that ended early would be unlike the others.
    scenario.abort_on_miss = false;
    let mut setup = config::setup(&traffic, &scenario)?;
    let (mut runs, turns) = (Rounds::new(), args.rounds as usize * 4);
    let turn_s = scenario.plan.duration_ns() as f64 / 1e9;
    let _ = writeln!(notes, "{turns} turns of {turn_s:.0} s, {:.1} minutes", turn_s * turns as f64 / 60.0);
    for round in 0..turns {
        let is_b = matches!(round % 4, 1 | 2);
        // Each pair of turns asks the same.
        setup.seed = scenario.seed + round as u64 / 2;
        let result = run::run(&setup, &scenario, if is_b { &b } else { &a }, &LiveFeed::default())?;
        if stop::is_asked() {
            break; // A turn that was cut short is unlike the others.
        }
        let (side, word) = (if is_b { "b" } else { "a" }, result.verdict.verdict.word());
        let _ = writeln!(notes, "{side}: {word}, p99 {} µs", result.total.latency_us.summary().p99);
        runs.push((is_b, result));
    }
    runs.truncate(runs.len() / 2 * 2); // A B B A: each pair has both.
    Ok(runs)
}

fn compared(runs: &Rounds, files: Option<&Files>, allowed: bool) -> Result<CompareResult, CompareError> {
    let side = |wanted: bool| runs.iter().filter(move |(is_b, _)| *is_b == wanted).map(|(_, run)| run);
    let (Some(first_a), Some(first_b)) = (side(false).next(), side(true).next()) else {
        return Err(CompareError::NoTurns);
    };
    let warnings = alike::over_all(alike::differences, first_a, side(true).chain(side(false).skip(1)));
    if !warnings.is_empty() && !allowed {
        return Err(CompareError::Different(warnings.join(", ")));
    }
    let told = |wanted: bool| {
        let (mut blocks, mut total, mut verdict) =
            (Side::default(), result::Tallied::default(), Verdict::Met);
        for run in side(wanted) {
            blocks.add(run);
            total.merge(&run.total);
            verdict = verdict.max(run.verdict.verdict);
        }
        let label = match files {
            Some(files) => {
                let paths = files[usize::from(wanted)].iter().map(|path| path.display().to_string());
                paths.collect::<Vec<_>>().join(", ")
            }
            None => (if wanted { first_b } else { first_a }).url.clone(),
        };
        let provenance = (if wanted { first_b } else { first_a }).provenance.clone();
        (blocks, CompareSide { label, provenance, verdict, latency_us: total.latency_us.summary() })
    };
    let ((blocks_a, a), (blocks_b, b)) = (told(false), told(true));
    // Turns of one process cannot differ in what is told of results.
    let mut notes = files.map_or_else(Vec::new, |_| {
        alike::over_all(alike::notes, first_a, side(true).chain(side(false).skip(1)))
    });
    notes.extend(compare::cautions(&blocks_a, &blocks_b, files.is_none()));
    let turns = runs.len() as u64 / 2;
    let rounds = runs.iter().filter(|_| files.is_none()).map(|(is_b, run)| CompareRound {
        side: if *is_b { "b" } else { "a" }.to_owned(),
        verdict: run.verdict.verdict,
        latency_us: run.total.latency_us.summary(),
    });
    Ok(CompareResult {
        provenance: first_a.provenance.clone(),
        warnings,
        notes,
        confidence: compare::CONFIDENCE,
        resamples: compare::RESAMPLES,
        ratios: compare::ratios(&blocks_a, &blocks_b, first_a.provenance.seed),
        turns_a_side: if files.is_none() || turns > 1 { turns } else { 0 },
        rounds: rounds.collect(),
        a,
        b,
    })
}
