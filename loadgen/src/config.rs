//! Arguments made sense of: raw flags become a scenario and a setup, or an error that says what to change.
//!
//! A run without a scenario file has one all the same: its flags, written as TOML. Messages never repeat what
//! was given as a URL, which may hold a password.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base_url::{BaseUrl, UrlError};
use crate::cli::{ArrivalsArg, EndpointArg, RunArgs, TrafficArgs};
use crate::goals::{ALL, Limits};
use crate::keys::{self, KeysError};
use crate::run::Setup;
use crate::scenario::{Class, Scenario, ScenarioError};
use crate::schedule::Share;
use crate::sender::{TlsError, Trust};
use crate::server_says::{ServerMetrics, ServerMetricsError};
use crate::targets::{Targets, TargetsError};
use crate::vocabulary::Endpoint;

/// Arguments that contradict each other or say nothing usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("--url: {0}")]
    Url(#[from] UrlError),
    #[error("--ca would be ignored: no URL begins with https://; leave it out")]
    CaUnused,
    #[error("--endpoint {0} needs a key: put one `id.secret` a line into a file and name it with --key-file")]
    KeyFileNeeded(&'static str),
    #[error("--key-file would be ignored: --endpoint personal sends no key; leave one of the two out")]
    KeyFileUnused,
    #[error("--shard {0}: write I/N with I from 1 to N, such as 2/3")]
    Shard(String),
    #[error("--goal {0}: write a goal and its limit, such as p99_9_us=5000 or errors_share_max=0.001")]
    Goal(String),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("--a is given {0} times and --b {1} times: give as many results of each side")]
    UnequalSides(usize, usize),
    #[error("--shard has no meaning in a closed loop; give --rate or --scenario")]
    ClosedShard,
    #[error("{0}")]
    NoGoals(&'static str),
    #[error("--from-rate must not exceed --rate-max")]
    RateBounds,
    #[error(
        "--budget-s {budget_s}: one try at --from-rate and the rounds that confirm it take {needed_s} s; give more, \
         begin with a higher --from-rate, or ask for a lower percentile, which needs fewer samples"
    )]
    Budget { budget_s: u32, needed_s: u64 },
    #[error(transparent)]
    ServerMetrics(#[from] ServerMetricsError),
    #[error("the goals of the {0} endpoint would be ignored: it is never asked; leave them out")]
    GoalsUnused(&'static str),
}

/// What reading the arguments' files can meet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Targets(#[from] TargetsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "the goals of the {0} endpoint cannot be judged: the targets have no inquiry for it; leave these goals out or add \
         targets"
    )]
    GoalsWithoutTargets(&'static str),
}

/// How many mistyped inquiries are made where the targets have none.
const MISTYPED_MAX: usize = 10_000;

/// Reads the servers' URLs; `ca` must be of use to one of them.
pub(crate) fn urls<const N: usize>(texts: [&str; N], ca: Option<&Path>) -> Result<[BaseUrl; N], ConfigError> {
    let mut urls = Vec::with_capacity(N);
    for text in texts {
        urls.push(BaseUrl::parse(text)?);
    }
    if ca.is_some() && !urls.iter().any(BaseUrl::is_tls) {
        return Err(ConfigError::CaUnused);
    }
    Ok(urls.try_into().expect("there is one for each text"))
}

/// Where a run looks at the server's own metrics.
pub(crate) fn server_metrics(args: &RunArgs) -> Result<Option<ServerMetrics>, ConfigError> {
    let url = args.server_metrics.as_deref();
    Ok(url.map(|url| ServerMetrics::new(url, &args.server_histogram)).transpose()?)
}

/// The scenario that the flags of a run name or describe.
pub(crate) fn run_scenario(args: &RunArgs) -> Result<Scenario, ConfigError> {
    let scenario = scenario(&args.traffic, &pace_toml(args))?;
    if scenario.is_closed() && args.shard.is_some() {
        return Err(ConfigError::ClosedShard);
    }
    Ok(scenario)
}

/// The named scenario, or one of this pace and the flags; flags that stand beside a scenario override it.
pub(crate) fn scenario(args: &TrafficArgs, pace_toml: &str) -> Result<Scenario, ConfigError> {
    let mut scenario = match &args.scenario {
        Some(name) => Scenario::load(name)?,
        None => Scenario::parse("flags", &flags_toml(args, pace_toml)?)?,
    };
    if let Some(connections) = args.connections {
        scenario.connections = connections as usize;
    }
    if let Some(timeout_ms) = args.timeout_ms {
        scenario.timeout_ms = timeout_ms.into();
    }
    if let Some(seed) = args.seed {
        scenario.seed = seed;
    }
    let endpoints = endpoints(args, &scenario);
    check_keys(args, &endpoints)?;
    for limits in &scenario.goals {
        for (name, _) in limits.by_endpoint().into_iter().filter(|(name, _)| *name != ALL) {
            if !endpoints.iter().any(|endpoint| endpoint.code() == name) {
                return Err(ConfigError::GoalsUnused(name));
            }
        }
    }
    Ok(scenario)
}

fn check_keys(args: &TrafficArgs, endpoints: &[Endpoint]) -> Result<(), ConfigError> {
    let general = endpoints.contains(&Endpoint::General);
    match (&args.key_file, general) {
        (None, true) => {
            Err(ConfigError::KeyFileNeeded(if endpoints.len() > 1 { "mixed" } else { "general" }))
        }
        (Some(_), false) => Err(ConfigError::KeyFileUnused),
        _ => Ok(()),
    }
}

/// The endpoints asked, in the order in which results name them.
fn endpoints(args: &TrafficArgs, scenario: &Scenario) -> Vec<Endpoint> {
    if let Some(traffic) = &scenario.traffic {
        let share = traffic.personal_share;
        let asked = [(share < 1.0, Endpoint::General), (share > 0.0, Endpoint::Personal)];
        return asked.into_iter().filter(|(asked, _)| *asked).map(|(_, endpoint)| endpoint).collect();
    }
    match args.endpoint {
        Some(EndpointArg::Personal) => vec![Endpoint::Personal],
        Some(EndpointArg::Mixed) => vec![Endpoint::General, Endpoint::Personal],
        None | Some(EndpointArg::General) => vec![Endpoint::General],
    }
}

/// Each endpoint that a goal names must have something to ask: of nothing no goal is met.
fn check_goals(scenario: &Scenario, targets: &Targets) -> Result<(), SetupError> {
    let named = scenario.goals.iter().flat_map(Limits::by_endpoint).map(|(name, _)| name);
    let is_asked = |name: &str| targets.inquiries.iter().any(|inquiry| inquiry.endpoint.code() == name);
    match named.filter(|name| *name != ALL).find(|name| !is_asked(name)) {
        Some(name) => Err(SetupError::GoalsWithoutTargets(name)),
        None => Ok(()),
    }
}

/// Reads keys and targets.
pub(crate) fn setup(args: &TrafficArgs, scenario: &Scenario) -> Result<Setup, SetupError> {
    let keys = match &args.key_file {
        Some(path) => keys::read(path)?,
        None => Vec::new(),
    };
    let mut targets = Targets::read(&args.targets, &endpoints(args, scenario))?;
    check_goals(scenario, &targets)?;
    let mix = scenario.traffic.as_ref().and_then(|traffic| traffic.mix.as_ref());
    let wants_mistyped = mix.is_some_and(|mix| mix.weight(Class::Mistyped) > 0.0);
    if wants_mistyped && !targets.inquiries.iter().any(|inquiry| inquiry.class == Class::Mistyped) {
        targets.add_mistyped(MISTYPED_MAX)?;
    }
    let trust = args.ca.as_deref().map(Trust::read).transpose()?.unwrap_or_default();
    Ok(Setup {
        keys,
        targets: Arc::new(targets),
        trust,
        threads: args.threads.max(1) as usize,
        seed: scenario.seed,
        share: Share::ALL,
        start_at: None,
        tracking_codes_max: args.tracking_codes_max as usize,
        handicap_ns: u64::from(args.handicap_us) * 1_000,
    })
}

/// `2/3` as the second of three shares.
pub(crate) fn shard(text: Option<&str>) -> Result<Share, ConfigError> {
    let Some(text) = text else { return Ok(Share::ALL) };
    let wrong = || ConfigError::Shard(text.to_owned());
    let (number, count) = text.split_once('/').ok_or_else(wrong)?;
    let (number, count): (u64, u64) =
        (number.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
    if number == 0 || number > count || count > 10_000 {
        return Err(wrong());
    }
    Ok(Share { number: number - 1, count })
}

pub(crate) fn start_at(unix_ms: Option<u64>) -> Option<SystemTime> {
    unix_ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms))
}

fn flags_toml(args: &TrafficArgs, pace_toml: &str) -> Result<String, ConfigError> {
    let mut goals = String::new();
    for goal in &args.goal {
        let wrong = || ConfigError::Goal(goal.clone());
        let (name, limit) = goal.split_once('=').ok_or_else(wrong)?;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        if !plain || limit.parse::<f64>().is_err() {
            return Err(wrong());
        }
        goals.push_str(&format!("{name} = {limit}\n"));
    }
    let endpoint = match args.endpoint {
        Some(EndpointArg::Personal) => "personal",
        Some(EndpointArg::Mixed) => "mixed",
        None | Some(EndpointArg::General) => "general",
    };
    let connections = args.connections.unwrap_or(16);
    let text = format!(
        "about = \"flags, endpoint {endpoint}\"\nconnections = {connections}\n{pace_toml}\n[goals]\n{goals}"
    );
    // A goal's name is the user's word, not a broken file.
    match Scenario::parse("flags", &text) {
        Err(ScenarioError::Malformed { .. }) if !args.goal.is_empty() => {
            Err(ConfigError::Goal(args.goal.join(" --goal ")))
        }
        _ => Ok(text),
    }
}

/// Rate, duration and warm-up of a run without a scenario. The stages come last in TOML, but `[goals]` after
/// them is a table of its own all the same.
fn pace_toml(args: &RunArgs) -> String {
    let arrivals = match (args.rate, args.arrivals) {
        (None, _) => "closed_loop",
        (Some(_), Some(ArrivalsArg::Uniform)) => "uniform",
        (Some(_), _) => "poisson",
    };
    let mut text = format!("arrivals = \"{arrivals}\"\n");
    if let Some(requests_max) = args.requests_max {
        text.push_str(&format!("requests_max = {requests_max}\n"));
    }
    let rate = args.rate.map_or(String::new(), |rate| format!("rate_per_s = {rate}\n"));
    let mut stage = |name: &str, seconds: u32, warmup: bool| {
        text.push_str(&format!(
            "[[stage]]\nname = \"{name}\"\nkind = \"constant\"\n{rate}duration_s = {seconds}\nwarmup = {warmup}\n"
        ));
    };
    if let Some(warmup_s @ 1..) = args.warmup_s {
        stage("warm-up", warmup_s, true);
    }
    stage("steady", args.duration_s.unwrap_or(10), false);
    text
}
