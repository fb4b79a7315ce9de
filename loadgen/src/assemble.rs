//! Makes the result of a run out of what was collected, and of several results one: totals, goals, verdict.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base_url::BaseUrl;
use crate::collector::Collector;
use crate::goals::{self, BUSY_SHARE_MAX, Limits, StageTrust, lateness_limit_us};
use crate::host::HostFacts;
use crate::latency::Latencies;
use crate::record::FirstWrong;
use crate::result::{
    ClientFacts, ConnectionFacts, FirstWrongFacts, Goal, Mode, Provenance, RunResult, StageResult, Tallied,
    TargetFacts, TrackingCodeFacts, Verdict, VerdictFacts,
};
use crate::run::{Ended, Setup};
use crate::scenario::{Pace, Scenario};
use crate::schedule::CLOSED_LOOP_CAVEAT;
use crate::tally::name_of;
use crate::tracking::SeenCodes;

const SCHEMA_VERSION: u32 = 1;

/// The totals over the measured stages.
pub(crate) struct Totals {
    pub(crate) total: Tallied,
    pub(crate) endpoints: BTreeMap<String, Tallied>,
    pub(crate) lateness: Latencies,
}

pub(crate) fn totals(stages: &[StageResult]) -> Totals {
    let mut totals =
        Totals { total: Tallied::default(), endpoints: BTreeMap::new(), lateness: Latencies::new() };
    for stage in stages.iter().filter(|stage| !stage.warmup) {
        totals.total.merge(&stage.total);
        totals.lateness.merge(&stage.lateness_us);
        for (name, tallied) in &stage.endpoints {
            totals.endpoints.entry(name.clone()).or_default().merge(tallied);
        }
    }
    totals
}

/// Judges each stage, then the whole; a closed loop without goals on latency asks nothing of its client.
pub(crate) fn judge(
    stages: &mut [StageResult],
    limits: &[Limits],
    busy: &[f64],
    closed: bool,
) -> VerdictFacts {
    for (stage, limits) in stages.iter_mut().zip(limits) {
        stage.goals = stage_goals(stage, limits);
    }
    let measured: Vec<(&StageResult, &Limits)> =
        stages.iter().zip(limits).filter(|(stage, _)| !stage.warmup).collect();
    let trust: Vec<StageTrust<'_>> = measured
        .iter()
        .map(|(stage, limits)| StageTrust {
            name: &stage.name,
            lateness: &stage.lateness_us,
            strictest_us: limits.strictest_us(),
        })
        .collect();
    let asked = !closed || trust.iter().any(|stage| stage.strictest_us.is_some());
    let distrust = if asked { goals::distrust(&trust, busy) } else { Vec::new() };
    goals::verdict(distrust, stages.iter().map(|stage| (stage.name.as_str(), stage.goals.as_slice())))
}

/// In a warm-up a wrong answer is still wrong; nothing else is judged there.
fn stage_goals(stage: &StageResult, limits: &Limits) -> Vec<Goal> {
    if !stage.warmup {
        return limits.judge(|endpoint| match endpoint {
            "all" => Some(&stage.total),
            name => stage.endpoints.get(name),
        });
    }
    let wrong = Limits { wrong_answers_max: limits.wrong_answers_max, ..Limits::default() };
    let goals = wrong.judge(|endpoint| (endpoint == "all").then_some(&stage.total));
    goals.into_iter().filter(|goal| goal.what == "wrong_answers_max").collect()
}

/// Whether some goal of a measured stage cannot be met any more.
pub(crate) fn is_lost(collector: &Collector, scenario: &Scenario) -> bool {
    let stages = scenario.plan.stages.iter().zip(&scenario.goals).enumerate();
    let mut measured = stages.filter(|(_, (plan, _))| !plan.warmup);
    measured.any(|(index, (plan, limits))| {
        let stage = collector.stage(index);
        let expected = |tallied: &Tallied| {
            let share = tallied.intended as f64 / stage.total.intended.max(1) as f64;
            (plan.mass * share).max(tallied.intended as f64)
        };
        let endpoints = stage.endpoints.iter().map(|(name, tallied)| (name.as_str(), tallied));
        let mut all = std::iter::once(("all", &stage.total)).chain(endpoints);
        all.any(|(name, tallied)| limits.is_lost(name, tallied, expected(tallied)))
    })
}

pub(crate) fn provenance(scenario: &Scenario, seed: u64, started_at: SystemTime) -> Provenance {
    let since = started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Provenance {
        schema_version: SCHEMA_VERSION,
        loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit(),
        seed,
        scenario: scenario.facts.clone(),
        started_at_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        hosts: vec![HostFacts::read()],
    }
}

/// The revision, as told at build or run time, or as git tells where this is run.
fn commit() -> Option<String> {
    let told =
        option_env!("LOADGEN_COMMIT").map(str::to_owned).or_else(|| std::env::var("LOADGEN_COMMIT").ok());
    let ask_git = || {
        let output = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    told.or_else(ask_git)
}

pub(crate) fn run_result(
    setup: &Setup,
    scenario: &Scenario,
    url: &BaseUrl,
    seen: &SeenCodes,
    mut collector: Collector,
    started_at: SystemTime,
    ended: Ended,
) -> RunResult {
    let timeline = collector.timeline();
    let mut stages: Vec<StageResult> = (0..scenario.plan.stages.len()).map(|i| collector.stage(i)).collect();
    let busy = collector.busy_shares();
    let mut verdict = judge(&mut stages, &scenario.goals, &busy, scenario.is_closed());
    verdict = with_ending(verdict, ended);
    let totals = totals(&stages);
    let from_ns =
        scenario.plan.stages.iter().find(|stage| !stage.warmup).map_or(0, |stage| stage.starts_at_ns);
    let elapsed_ns = collector.last_end_ns.saturating_sub(from_ns);
    let answers = totals.total.right + totals.total.unchecked + totals.total.wrong_answers;
    let strictest = scenario.goals.iter().filter_map(Limits::strictest_us).min();
    RunResult {
        provenance: provenance(scenario, setup.seed, started_at),
        mode: if scenario.is_closed() { Mode::ClosedLoop } else { Mode::OpenLoop },
        mode_caveat: scenario.is_closed().then(|| CLOSED_LOOP_CAVEAT.to_owned()),
        verdict,
        url: url.text(),
        connections_configured: scenario.connections as u64,
        targets: target_facts(setup),
        shard: setup.shard(),
        ended_by: ended_by(scenario, ended, totals.total.intended).to_owned(),
        elapsed_ms: elapsed_ns / 1_000_000,
        answers_per_s: (answers as f64 / (elapsed_ns as f64 / 1e9).max(1e-9) * 10.0).round() / 10.0,
        lateness_us: totals.lateness,
        total: totals.total,
        endpoints: totals.endpoints,
        stages,
        timeline,
        swaps: collector.swaps(),
        first_wrong: collector.first_wrong.as_ref().map(first_wrong_facts),
        client: ClientFacts {
            busy_share_by_thread: busy.iter().map(|share| (share * 1_000.0).round() / 1_000.0).collect(),
            cpu_ns_per_request: collector.busy_ns.checked_div(collector.progress.sent),
            busy_share_max: BUSY_SHARE_MAX,
            lateness_us_p99_max: strictest.map(lateness_limit_us),
        },
        connections: connection_facts(&collector),
        tracking_codes: TrackingCodeFacts {
            remembered: seen.remembered(),
            unremembered: seen.unremembered(),
        },
    }
}

/// What an early end, by its name, means for the verdict.
pub(crate) fn with_early_end(verdict: VerdictFacts, ended_by: &str) -> VerdictFacts {
    match ended_by {
        "goal_missed" => with_ending(verdict, Ended::GoalMissed),
        "interrupted" => with_ending(verdict, Ended::Interrupted),
        _ => verdict,
    }
}

/// A run that was ended early cannot be met: nobody knows what the rest would have brought.
fn with_ending(mut facts: VerdictFacts, ended: Ended) -> VerdictFacts {
    match ended {
        Ended::AsPlanned => {}
        Ended::GoalMissed if facts.verdict != Verdict::Invalid || facts.reasons.is_empty() => {
            facts.verdict = Verdict::Missed;
            facts.reasons.push("the run was ended as soon as a goal could not be met any more".to_owned());
        }
        Ended::GoalMissed => facts.reasons.push("the run was ended early".to_owned()),
        Ended::Interrupted => {
            if facts.verdict == Verdict::Met {
                facts.verdict = Verdict::Invalid;
            }
            facts.reasons.push("the run was interrupted".to_owned());
        }
    }
    facts
}

fn ended_by(scenario: &Scenario, ended: Ended, intended: u64) -> &'static str {
    match (ended, scenario.pace) {
        (Ended::GoalMissed, _) => "goal_missed",
        (Ended::Interrupted, _) => "interrupted",
        (Ended::AsPlanned, Pace::Open(_)) => "schedule",
        (Ended::AsPlanned, Pace::Closed { requests_max }) if intended >= requests_max => "requests_max",
        (Ended::AsPlanned, Pace::Closed { .. }) => "duration",
    }
}

pub(crate) fn target_facts(setup: &Setup) -> TargetFacts {
    TargetFacts {
        path: setup.targets.path.display().to_string(),
        blake3: setup.targets.digest.clone(),
        lines: u64::from(setup.targets.lines),
        inquiries: setup.targets.inquiries.len() as u64,
    }
}

fn first_wrong_facts(first: &FirstWrong) -> FirstWrongFacts {
    FirstWrongFacts {
        line: first.line.into(),
        endpoint: first.endpoint.code().to_owned(),
        kind: name_of(&first.kind),
        expected: first.expected.clone(),
        got: first.got.clone(),
    }
}

fn connection_facts(collector: &Collector) -> ConnectionFacts {
    let connections = &collector.connections;
    ConnectionFacts {
        opened: connections.opened,
        reconnects: connections.reconnects,
        requests_reused: connections.requests_reused,
        requests_new: connections.requests_first,
        service_new_us: connections.service_first.clone(),
        service_reused_us: connections.service_reused.clone(),
        tcp_connect_us: connections.tcp.clone(),
        tls_full_us: connections.tls_full.clone(),
        tls_resumed_us: connections.tls_resumed.clone(),
    }
}
