//! One run: finds the server, opens the connections, starts a sender on each thread, collects what they report.
//!
//! Connections are opened before the clock starts. The main thread only counts and shows.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use crate::assemble;
use crate::base_url::BaseUrl;
use crate::clock::Clock;
use crate::collector::{Collector, Recent};
use crate::keys::ApiKey;
use crate::live::{LiveFeed, LiveSnapshot};
use crate::record::Batch;
use crate::result::{Mode, RunResult, ShardFacts, Timeline};
use crate::scenario::{Pace, Scenario};
use crate::schedule::{ClosedLoop, OpenLoop, Schedule, Share};
use crate::sender::{Dealt, Heads, OpenError, Opening, Sender, Shared, Tls, TlsError, Trust};
use crate::stalls::StallWatch;
use crate::targets::Targets;
use crate::tracking::SeenCodes;
use crate::traffic::{Picker, TrafficError};

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot start a sender: {0}; is the limit of open files or threads too low?")]
    Sender(#[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    #[error("--start-at has passed by {0} s; give a time that is still to come")]
    StartPassed(u64),
}

/// Everything about a run but its scenario and its server.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) keys: Vec<ApiKey>,
    pub(crate) targets: Arc<Targets>,
    /// Asked only where the URL is one of TLS.
    pub(crate) trust: Trust,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) share: Share,
    pub(crate) start_at: Option<SystemTime>,
    pub(crate) tracking_codes_max: usize,
    pub(crate) handicap_ns: u64,
}

impl Setup {
    /// Made-up targets without keys, for the null server.
    pub(crate) fn made_up(threads: usize, seed: u64) -> Setup {
        Setup {
            keys: Vec::new(),
            targets: Arc::new(Targets::made_up()),
            trust: Trust::default(),
            threads,
            seed,
            share: Share::ALL,
            start_at: None,
            tracking_codes_max: 0,
            handicap_ns: 0,
        }
    }

    pub(crate) fn shard(&self) -> ShardFacts {
        let number = u32::try_from(self.share.number + 1).unwrap_or(u32::MAX);
        ShardFacts { numbers: vec![number], count: u32::try_from(self.share.count).unwrap_or(u32::MAX) }
    }
}

/// How a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    AsPlanned,
    /// This goal could not be met any more.
    GoalMissed(String),
    Interrupted,
}

/// Spinning takes at most this part of the mean gap between two requests of a sender, and this long.
const SPIN_PART: f64 = 0.05;
const SPIN_NS_MAX: f64 = 20_000.0;
/// Between opening the connections and the first request.
const LEAD: Duration = Duration::from_millis(20);
const PUBLISH: Duration = Duration::from_millis(200);

/// Carries a scenario out to its end. What happens meanwhile goes to `feed`.
pub(crate) fn run(
    setup: &Setup,
    scenario: &Scenario,
    url: &BaseUrl,
    feed: &LiveFeed,
) -> Result<RunResult, RunError> {
    let picker = Picker::new(scenario, setup.seed, &setup.targets, &setup.keys)?;
    let tls = url.is_tls().then(|| Tls::new(url.host(), &setup.trust)).transpose()?;
    let timeout = Duration::from_millis(scenario.timeout_ms);
    let opening = Opening { url, tls: tls.as_ref(), wanted: scenario.connections, timeout };
    let (connections, opened) = opening.open(setup.keys.len(), setup.threads)?;
    let lead = match setup.start_at {
        None => LEAD,
        Some(at) => at
            .duration_since(SystemTime::now())
            .map_err(|late| RunError::StartPassed(late.duration().as_secs()))?,
    };
    let (clock, started_at) = (Clock::starting_at(Instant::now() + lead), SystemTime::now() + lead);
    let timeline = Timeline::for_run(scenario.plan.duration_ns() / 1_000_000, scenario.plan.rate_max_per_s());
    let shared = Arc::new(Shared {
        clock,
        targets: Arc::clone(&setup.targets),
        picker,
        heads: heads(url, &setup.keys),
        seen: SeenCodes::new(setup.tracking_codes_max, codes_expected(scenario)),
        stop: AtomicBool::new(false),
        timeout_ns: scenario.timeout_ms * 1_000_000,
        slow_error_us: scenario.strictest_us().unwrap_or(u64::MAX),
        requests_per_connection: scenario.requests_per_connection,
        retries: scenario.traffic.as_ref().and_then(|traffic| traffic.retries),
        interval_ns: timeline.interval_ms * 1_000_000,
        tls,
        handicap_ns: setup.handicap_ns,
    });
    let stalls = StallWatch::start(clock, &scenario.plan, shared.interval_ns);
    let (out, batches) = mpsc::channel();
    let threads = start_senders(setup, scenario, &shared, connections, &out)?;
    drop(out);
    let mut collector = Collector::new(Arc::clone(&scenario.plan), shared.interval_ns, threads.len());
    collector.add(Batch { opened, ..Batch::default() });
    let ended = collect(&batches, &mut collector, scenario, &shared, &stalls, feed);
    for thread in threads {
        collector.senders_raised &= thread.join().expect("a sender does not panic");
    }
    collector.stalls = stalls.finish();
    Ok(assemble::run_result(setup, scenario, url, &shared.seen, collector, started_at, ended))
}

fn codes_expected(scenario: &Scenario) -> u64 {
    match scenario.pace {
        Pace::Closed { requests_max } => requests_max,
        Pace::Open(_) => scenario.plan.stages.iter().map(|stage| stage.mass).sum::<f64>() as u64 * 2,
    }
}

fn heads(url: &BaseUrl, keys: &[ApiKey]) -> Vec<Heads> {
    let authority = url.authority();
    if keys.is_empty() {
        return vec![Heads::new(&authority, None)];
    }
    keys.iter().map(|key| Heads::new(&authority, Some(key))).collect()
}

/// Each thread says in the end whether its priority was raised.
fn start_senders(
    setup: &Setup,
    scenario: &Scenario,
    shared: &Arc<Shared>,
    connections: Dealt,
    out: &mpsc::Sender<Batch>,
) -> Result<Vec<std::thread::JoinHandle<bool>>, RunError> {
    let count = connections.len() as u64;
    let rate_per_sender = scenario.plan.rate_max_per_s() / setup.share.split(0, count).count as f64;
    let spin_ns = (SPIN_PART * 1e9 / rate_per_sender.max(1.0)).min(SPIN_NS_MAX) as u64;
    let mut senders = Vec::new();
    for (number, connections) in connections.into_iter().enumerate() {
        let schedule = schedule(setup, scenario, setup.share.split(number as u64, count));
        let sender = Sender::new(number, Arc::clone(shared), schedule, connections, spin_ns, out.clone());
        senders.push(sender.map_err(RunError::Sender)?);
    }
    let start = |sender: Sender| {
        let builder = std::thread::Builder::new().name("sender".to_owned());
        builder.spawn(move || {
            let raised = prefer_this_thread();
            sender.run();
            raised
        })
    };
    senders.into_iter().map(|sender| start(sender).map_err(RunError::Sender)).collect()
}

fn schedule(setup: &Setup, scenario: &Scenario, share: Share) -> Box<dyn Schedule> {
    match scenario.pace {
        Pace::Open(arrivals) => {
            Box::new(OpenLoop::new(Arc::clone(&scenario.plan), arrivals, setup.seed, share))
        }
        Pace::Closed { requests_max } => {
            Box::new(ClosedLoop::new(Arc::clone(&scenario.plan), requests_max, share))
        }
    }
}

/// Timers that are exact, and a core as soon as one is wanted, where the system allows it: a sender sleeps most
/// of the time and must be on time. Whether the priority was granted: it takes root, CAP_SYS_NICE or RLIMIT_NICE.
pub(crate) fn prefer_this_thread() -> bool {
    // Every thread may have this of itself.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    rustix::process::setpriority_process(None, -15).is_ok()
}

/// Counts until every sender has ended. Ends the run early when a goal is lost or somebody asks for it.
fn collect(
    batches: &mpsc::Receiver<Batch>,
    collector: &mut Collector,
    scenario: &Scenario,
    shared: &Shared,
    stalls: &StallWatch,
    feed: &LiveFeed,
) -> Ended {
    let (mut ended, mut watch) = (Ended::AsPlanned, Watch::new());
    loop {
        match batches.recv_timeout(PUBLISH) {
            Ok(batch) => collector.add(batch),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return ended,
        }
        if watch.published.elapsed() < PUBLISH {
            continue;
        }
        feed.publish(watch.snapshot(collector, scenario, stalls, shared.clock));
        if ended == Ended::AsPlanned {
            if feed.stop_requested() {
                ended = Ended::Interrupted;
            } else if scenario.abort_on_miss
                && let Some(goal) = assemble::lost_goal(collector, scenario)
            {
                ended = Ended::GoalMissed(goal);
            }
            shared.stop.store(ended != Ended::AsPlanned, Ordering::Relaxed);
        }
    }
}

/// What changes from one look at a run to the next.
struct Watch {
    published: Instant,
    second: Instant,
    earlier: crate::collector::Progress,
    shown: LiveSnapshot,
}

impl Watch {
    fn new() -> Watch {
        let (now, shown) = (Instant::now(), LiveSnapshot::default());
        Watch { published: now, second: now, earlier: crate::collector::Progress::default(), shown }
    }

    fn snapshot(
        &mut self,
        collector: &mut Collector,
        scenario: &Scenario,
        stalls: &StallWatch,
        clock: Clock,
    ) -> LiveSnapshot {
        self.published = Instant::now();
        let (now, plan) = (collector.progress, &scenario.plan);
        let number = plan.stage_at(clock.now_ns()) as usize;
        let span = self.second.elapsed().as_secs_f64();
        if span >= 1.0 {
            let per_s = |now: u64, earlier: u64| (now - earlier) as f64 / span;
            self.shown.intended_per_s = per_s(now.intended, self.earlier.intended);
            self.shown.sent_per_s = per_s(now.sent, self.earlier.sent);
            self.shown.answered_per_s = per_s(now.answered, self.earlier.answered);
            let recent = std::mem::replace(&mut collector.recent, Recent::new());
            self.shown.latency_us = recent.latency.summary();
            self.shown.service_us = recent.service.summary();
            self.shown.lateness_us = recent.lateness.summary();
            self.shown.stalls_us = stalls.recent().summary();
            self.shown.busy_share = recent.busy.iter().copied().fold(0.0, f64::max);
            (self.earlier, self.second) = (now, Instant::now());
            let stage = collector.stage(number);
            self.shown.goals = scenario.goals[number].judge(|endpoint| match endpoint {
                "all" => Some(&stage.total),
                name => stage.endpoints.get(name),
            });
        }
        self.shown.mode = if scenario.is_closed() { Mode::ClosedLoop } else { Mode::OpenLoop };
        self.shown.scenario.clone_from(&scenario.facts.name);
        self.shown.stage.clone_from(&plan.stages[number].name);
        (self.shown.stage_number, self.shown.stages) = (number + 1, plan.stages.len());
        (self.shown.elapsed, self.shown.total) = (clock.elapsed(), Duration::from_nanos(plan.duration_ns()));
        self.shown.waiting = collector.waiting();
        self.shown.in_flight = now.intended.saturating_sub(now.ended + self.shown.waiting);
        (self.shown.intended, self.shown.answered) = (now.intended, now.answered);
        (self.shown.wrong_answers, self.shown.errors) = (now.wrong, now.errors);
        self.shown.generation = collector.generations.newest().map(str::to_owned);
        self.shown.swaps = collector.generations.swaps().len() as u64;
        self.shown.clone()
    }
}
