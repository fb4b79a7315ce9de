//! Makes the result of a run out of what was collected, and of several results one: totals, goals, verdict.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::base_url::BaseUrl;
use crate::collector::Collector;
use crate::goals::{self, BUSY_SHARE_MAX, Limits, StageTrust, lateness_limit_us};
use crate::latency::Latencies;
use crate::provenance::provenance;
use crate::record::FirstWrong;
use crate::result::{
    ClientFacts, ConnectionFacts, FirstWrongFacts, Goal, Mode, RunResult, StageResult, Tallied, TargetFacts,
    TrackingCodeFacts, Verdict, VerdictFacts,
};
use crate::run::{Ended, Setup};
use crate::scenario::{Pace, Scenario};
use crate::schedule::CLOSED_LOOP_CAVEAT;
use crate::tally::name_of;
use crate::tracking::SeenCodes;

/// The totals over the measured stages.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) total: Tallied,
    pub(crate) endpoints: BTreeMap<String, Tallied>,
    pub(crate) lateness: Latencies,
    pub(crate) machine_stalls: Latencies,
}

pub(crate) fn totals(stages: &[StageResult]) -> Totals {
    let mut totals = Totals::default();
    for stage in stages.iter().filter(|stage| !stage.warmup) {
        totals.total.merge(&stage.total);
        totals.lateness.merge(&stage.lateness_us);
        totals.machine_stalls.merge(&stage.machine_stalls_us);
        for (name, tallied) in &stage.endpoints {
            totals.endpoints.entry(name.clone()).or_default().merge(tallied);
        }
    }
    totals
}

/// A verdict, and whether the client itself could be trusted.
pub(crate) struct Judged {
    pub(crate) facts: VerdictFacts,
    pub(crate) trusted: bool,
}

/// Why the client that measured these stages cannot be trusted; a closed loop without goals on latency asks nothing of
/// its client.
pub(crate) fn distrust(stages: &[StageResult], limits: &[Limits], busy: &[f64], closed: bool) -> Vec<String> {
    let measured = stages.iter().zip(limits).filter(|(stage, _)| !stage.warmup);
    let trust: Vec<StageTrust<'_>> = measured
        .map(|(stage, limits)| StageTrust {
            name: &stage.name,
            lateness: &stage.lateness_us,
            strictest_us: limits.strictest_us(),
        })
        .collect();
    let asked = !closed || trust.iter().any(|stage| stage.strictest_us.is_some());
    if asked { goals::distrust(&trust, busy) } else { Vec::new() }
}

/// Judges each stage, then the whole, which was measured by a client that this is to be said against.
pub(crate) fn judge(stages: &mut [StageResult], limits: &[Limits], distrust: Vec<String>) -> Judged {
    for (stage, limits) in stages.iter_mut().zip(limits) {
        stage.goals = stage_goals(stage, limits);
    }
    let trusted = distrust.is_empty();
    let judged = stages.iter().map(|stage| (stage.name.as_str(), stage.goals.as_slice()));
    Judged { facts: goals::verdict(distrust, judged), trusted }
}

/// In a warm-up a wrong answer is still wrong; nothing else is judged there, and nothing of one without requests.
fn stage_goals(stage: &StageResult, limits: &Limits) -> Vec<Goal> {
    if !stage.warmup {
        return limits.judge(|endpoint| match endpoint {
            "all" => Some(&stage.total),
            name => stage.endpoints.get(name),
        });
    }
    if stage.total.intended == 0 {
        return Vec::new();
    }
    let wrong = Limits { wrong_answers_max: limits.wrong_answers_max, ..Limits::default() };
    let goals = wrong.judge(|endpoint| (endpoint == "all").then_some(&stage.total));
    goals.into_iter().filter(|goal| goal.what == "wrong_answers_max").collect()
}

/// A goal that cannot be met any more, in words.
pub(crate) fn lost_goal(collector: &Collector, scenario: &Scenario) -> Option<String> {
    let mut stages = scenario.plan.stages.iter().zip(&scenario.goals).enumerate();
    stages.find_map(|(index, (plan, limits))| {
        let stage = collector.stage(index);
        if plan.warmup {
            let wrong = limits.is_wrong(goals::ALL, &stage.total);
            return wrong.then(|| format!("stage {}: wrong_answers_max", plan.name));
        }
        // A closed loop knows how many are to come only where somebody said so.
        let planned = match scenario.pace {
            Pace::Open(_) => plan.mass,
            Pace::Closed { requests_max } => requests_max as f64,
        };
        let expected = |tallied: &Tallied| {
            let share = tallied.intended as f64 / stage.total.intended.max(1) as f64;
            (planned * share).max(tallied.intended as f64)
        };
        let endpoints = stage.endpoints.iter().map(|(name, tallied)| (name.as_str(), tallied));
        let mut all = std::iter::once((goals::ALL, &stage.total)).chain(endpoints);
        let (name, what) = all.find_map(|(name, tallied)| {
            limits.lost(name, tallied, expected(tallied)).map(|what| (name, what))
        })?;
        let place = if name == goals::ALL { String::new() } else { format!(" of {name}") };
        Some(format!("stage {}: {what}{place}", plan.name))
    })
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
    let distrust = distrust(&stages, &scenario.goals, &busy, scenario.is_closed());
    let judged = judge(&mut stages, &scenario.goals, distrust);
    let trusted = judged.trusted;
    let verdict = with_ending(judged, &ended);
    let totals = totals(&stages);
    let from_ns =
        scenario.plan.stages.iter().find(|stage| !stage.warmup).map_or(0, |stage| stage.starts_at_ns);
    let elapsed_ns = collector.last_end_ns.saturating_sub(from_ns);
    let answers = totals.total.right + totals.total.unchecked + totals.total.wrong_answers;
    RunResult {
        provenance: provenance(scenario, setup.seed, started_at),
        mode: if scenario.is_closed() { Mode::ClosedLoop } else { Mode::OpenLoop },
        mode_caveat: scenario.is_closed().then(|| CLOSED_LOOP_CAVEAT.to_owned()),
        verdict,
        url: url.text(),
        connections_configured: scenario.connections as u64,
        timeout_ms: Some(scenario.timeout_ms),
        targets: target_facts(setup),
        shard: setup.shard(),
        ended_by: ended_by(scenario, &ended, totals.total.intended).to_owned(),
        elapsed_ms: elapsed_ns / 1_000_000,
        answers_per_s: (answers as f64 / (elapsed_ns as f64 / 1e9).max(1e-9) * 10.0).round() / 10.0,
        lateness_us: totals.lateness,
        machine_stalls_us: totals.machine_stalls,
        total: totals.total,
        endpoints: totals.endpoints,
        stages,
        timeline,
        swaps: collector.generations.swaps(),
        first_wrong: collector.first_wrong.as_ref().map(first_wrong_facts),
        client: ClientFacts {
            trusted,
            busy_share_by_thread: busy.iter().map(|share| (share * 1_000.0).round() / 1_000.0).collect(),
            cpu_ns_per_request: collector.busy_ns.checked_div(collector.progress.sent),
            busy_share_max: BUSY_SHARE_MAX,
            lateness_us_p99_max: scenario.strictest_us().map(lateness_limit_us),
            senders_raised_priority: Some(collector.senders_raised),
            machine_stalls_raised_priority: collector.stalls.raised(),
            machine_stalls_cores: Some(collector.stalls.cores()),
        },
        connections: connection_facts(&collector),
        // Known when the run is over and the server was looked at again.
        server_says: None,
        tracking_codes: TrackingCodeFacts {
            remembered: seen.remembered(),
            unremembered: seen.unremembered(),
        },
    }
}

/// What an early end of some shard, by its name, means for the verdict of the whole.
pub(crate) fn with_early_end(judged: Judged, ended_by: &str) -> VerdictFacts {
    let ended = match ended_by {
        "goal_missed" => Ended::GoalMissed("a goal".to_owned()),
        "interrupted" => Ended::Interrupted,
        _ => Ended::AsPlanned,
    };
    with_ending(judged, &ended)
}

/// A run that was ended early cannot be met: nobody knows what the rest would have brought. A goal that was lost
/// is missed even where its percentile has too few samples by then; not so where the client is not to be trusted.
fn with_ending(judged: Judged, ended: &Ended) -> VerdictFacts {
    let Judged { mut facts, trusted } = judged;
    match ended {
        Ended::AsPlanned => {}
        Ended::GoalMissed(what) => {
            let reason = format!("{what} could not be met any more: the run was ended");
            if trusted {
                facts.verdict = Verdict::Missed;
                facts.reasons.insert(0, reason);
            } else {
                facts.reasons.push(reason);
            }
        }
        Ended::Interrupted => {
            if facts.verdict == Verdict::Met {
                facts.verdict = Verdict::Invalid;
            }
            facts.reasons.push("the run was interrupted".to_owned());
        }
    }
    facts
}

fn ended_by(scenario: &Scenario, ended: &Ended, intended: u64) -> &'static str {
    match (ended, scenario.pace) {
        (Ended::GoalMissed(_), _) => "goal_missed",
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
