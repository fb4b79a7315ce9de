//! Results for the tests of the writers: seeded by nothing but arithmetic, so always the same.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::HostFacts;
use crate::latency::Latencies;
use crate::result::beside::ClientFacts;
use crate::result::model::{
    ConnectionFacts, FirstWrongFacts, Mode, Provenance, RunResult, SCHEMA_VERSION, ScenarioFacts, ShardFacts,
    StageResult, Swap, Tallied, TargetFacts, Timeline, TimelinePoint, TrackingCodeFacts,
};
use crate::result::search::{
    CalibrationResult, CapacityResult, CapacityStep, CompareResult, CompareRound, CompareSide, Limit, Ratio,
    SearchSettings, StepPhase,
};
use crate::result::verdict::{Goal, GoalVerdict, Verdict, VerdictFacts};

/// A long-tailed latency: most near `base` µs, one in a thousand forty times that.
fn latencies(base: u64, count: u64) -> Latencies {
    let mut latencies = Latencies::new();
    for n in 0..count {
        let spread = (n * 7_919) % 1_000;
        let tail = 1_000 / (1_000 - spread).max(25);
        latencies.record(Duration::from_micros(base + base * tail + spread / 10));
    }
    latencies
}

fn provenance(name: &str) -> Provenance {
    let text = format!("name = \"{name}\"\n\n[[stages]]\nname = \"peak\"\nconstant_per_s = 2000\n# <&>\n");
    Provenance {
        schema_version: SCHEMA_VERSION,
        loadgen_version: "0.1.0".to_owned(),
        commit: Some("0123abcd".to_owned()),
        seed: 20_261_125,
        scenario: ScenarioFacts {
            name: name.to_owned(),
            blake3: blake3::hash(text.as_bytes()).to_hex().to_string(),
            text,
        },
        started_at_unix_ms: 1_795_305_600_000,
        hosts: vec![HostFacts::sample("one")],
    }
}

fn tallied(base: u64, count: u64) -> Tallied {
    Tallied {
        intended: count,
        requests: count,
        right: count - 7,
        unchecked: 2,
        wrong_answers: 1,
        errors: 4,
        wrong_by_kind: BTreeMap::from([("notices".to_owned(), 1)]),
        errors_by_http_status: BTreeMap::from([("503".to_owned(), 3)]),
        errors_by_connection: BTreeMap::from([("timeout".to_owned(), 1)]),
        latency_us: latencies(base, count),
        service_us: latencies(base / 2, count),
        gap_us: latencies(base / 2, count),
        retries: 0,
        in_flight_when_ended: 0,
    }
}

fn point(second: u64, count: u64) -> TimelinePoint {
    let stalled = second == 17;
    let base = if stalled { 9_000 } else { 110 + (second % 5) * 8 };
    let point = TimelinePoint {
        t_ms: second * 1_000,
        stage: u32::from(second >= 5) + u32::from(second >= 20),
        intended: count,
        sent: if stalled { count * 3 / 4 } else { count },
        completed: if stalled { count / 2 } else { count },
        errors: if stalled { 4 } else { 0 },
        wrong_answers: u64::from(second == 9),
        generation: Some(
            if second < 12 { "2026-11-21-000000000001" } else { "2026-11-22-3fa9c1d2e4b5" }.to_owned(),
        ),
        ..TimelinePoint::default()
    };
    let point = point.measured(&latencies(base, count), &latencies(base / 2, count), &latencies(6, count));
    point.stalled(&latencies(if stalled { 900 } else { 4 }, 2_000))
}

fn goal(what: &str, limit: f64, value: Option<f64>, verdict: GoalVerdict) -> Goal {
    Goal { what: what.to_owned(), endpoint: "all".to_owned(), limit, value, verdict }
}

fn stage(name: &str, shape: &str, starts_at_ms: u64, duration_ms: u64, goals: Vec<Goal>) -> StageResult {
    let count = 2_000 * duration_ms / 1_000;
    StageResult {
        name: name.to_owned(),
        shape: shape.to_owned(),
        warmup: name == "warm-up",
        starts_at_ms,
        duration_ms,
        intended_per_s: 2_000.0,
        sent_per_s: 1_999.5,
        total: tallied(110, count),
        endpoints: BTreeMap::from([("general".to_owned(), tallied(110, count))]),
        lateness_us: latencies(6, count),
        machine_stalls_us: latencies(4, 2 * duration_ms),
        goals,
    }
}

fn verdict() -> VerdictFacts {
    let reasons = ["stage peak: the goal p99_9_us rests on too few samples", "<one wrong answer>"];
    VerdictFacts { verdict: Verdict::Invalid, reasons: reasons.map(str::to_owned).to_vec() }
}

fn connections() -> ConnectionFacts {
    ConnectionFacts {
        opened: 65,
        reconnects: 1,
        requests_reused: 49_935,
        requests_new: 65,
        service_new_us: latencies(150, 65),
        service_reused_us: latencies(90, 49_935),
        tcp_connect_us: latencies(40, 65),
        tls_full_us: latencies(900, 64),
        tls_resumed_us: latencies(400, 1),
    }
}

/// A run of 30 s with a stall, a swap, errors, a wrong answer and goals of all three verdicts.
pub(crate) fn run() -> RunResult {
    let goals = vec![
        goal("p99_us", 5_000.0, Some(4_400.0), GoalVerdict::Met),
        goal("p99_9_us", 5_000.0, None, GoalVerdict::Insufficient),
        goal("wrong_answers_max", 0.0, Some(1.0), GoalVerdict::Missed),
    ];
    let mut timeline = Timeline::for_run(30_000, 2_000.0);
    timeline.points = (0..30).map(|second| point(second, if second == 23 { 50 } else { 2_000 })).collect();
    RunResult {
        provenance: provenance("record-day"),
        mode: Mode::OpenLoop,
        mode_caveat: None,
        verdict: verdict(),
        url: "https://127.0.0.1:8443".to_owned(),
        connections_configured: 64,
        timeout_ms: Some(5_000),
        targets: TargetFacts {
            path: "targets.ndjson".to_owned(),
            blake3: "ab".repeat(32),
            lines: 10_000,
            inquiries: 20_000,
        },
        shard: ShardFacts { numbers: vec![1], count: 1 },
        ended_by: "schedule".to_owned(),
        elapsed_ms: 25_000,
        answers_per_s: 1_987.6,
        total: tallied(110, 50_000),
        endpoints: BTreeMap::from([
            ("general".to_owned(), tallied(100, 40_000)),
            ("personal".to_owned(), tallied(140, 10_000)),
        ]),
        lateness_us: latencies(6, 50_000),
        machine_stalls_us: latencies(4, 50_000),
        stages: vec![
            stage("warm-up", "constant 2000/s", 0, 5_000, Vec::new()),
            stage("peak", "constant 2000/s", 5_000, 15_000, goals),
            stage("after", "ramp 2000/s to 2000/s", 20_000, 10_000, Vec::new()),
        ],
        timeline,
        swaps: vec![Swap {
            t_ms: 12_000,
            from: "2026-11-21-000000000001".to_owned(),
            to: "2026-11-22-3fa9c1d2e4b5".to_owned(),
        }],
        first_wrong: Some(FirstWrongFacts {
            line: 12,
            endpoint: "general".to_owned(),
            kind: "notices".to_owned(),
            expected: "none".to_owned(),
            got: "objection_line".to_owned(),
        }),
        connections: connections(),
        client: ClientFacts {
            trusted: true,
            busy_share_by_thread: vec![0.31],
            cpu_ns_per_request: Some(9_400),
            busy_share_max: 0.8,
            lateness_us_p99_max: Some(500),
            senders_raised_priority: Some(true),
            machine_stalls_raised_priority: Some(true),
            machine_stalls_cores: Some(2),
        },
        tracking_codes: TrackingCodeFacts { remembered: 49_990, unremembered: 0 },
        server_says: None,
    }
}

fn step(at: u64, phase: StepPhase, rate: u64, verdict: Verdict) -> CapacityStep {
    let base = if verdict == Verdict::Missed { 6_000 } else { 80 + rate * rate / 2_000_000 };
    CapacityStep {
        phase,
        rate_per_s: rate as f64,
        answered_per_s: rate as f64 * 0.99,
        started_at_ms: at * 5_000,
        duration_ms: 5_000,
        verdict,
        reasons: if verdict == Verdict::Met { Vec::new() } else { vec!["p99_us above 5000".to_owned()] },
        latency_us: latencies(base + at * 3, 20_000).summary(),
        lateness_us: latencies(6, 20_000).summary(),
        machine_stalls_us: latencies(5, 20_000).summary(),
    }
}

/// A search that ended between 17,000 and 18,000 a second.
pub(crate) fn capacity() -> CapacityResult {
    use StepPhase::{Bisect, Confirm, Exponential};
    let tries = [
        (Exponential, 1_000, Verdict::Met),
        (Exponential, 2_000, Verdict::Met),
        (Exponential, 4_000, Verdict::Met),
        (Exponential, 8_000, Verdict::Met),
        (Exponential, 16_000, Verdict::Met),
        (Exponential, 32_000, Verdict::Invalid),
        (Bisect, 24_000, Verdict::Missed),
        (Bisect, 20_000, Verdict::Missed),
        (Bisect, 18_000, Verdict::Missed),
        (Confirm, 17_000, Verdict::Met),
        (Confirm, 18_000, Verdict::Missed),
        (Confirm, 17_000, Verdict::Met),
    ];
    let steps = (0..).zip(tries).map(|(at, (phase, rate, verdict))| step(at, phase, rate, verdict));
    CapacityResult {
        provenance: provenance("capacity"),
        url: "http://127.0.0.1:8080".to_owned(),
        verdict: VerdictFacts { verdict: Verdict::Met, reasons: Vec::new() },
        settings: Some(SearchSettings {
            targets: run().targets,
            connections_configured: 64,
            timeout_ms: 5_000,
            threads: 1,
            from_per_s: 1_000,
            rate_max_per_s: 100_000,
            step_s: 5,
            repeats: 3,
        }),
        goals: vec!["p99_us <= 5000".to_owned()],
        goal_latency_us: Some(5_000),
        goal_percentile: Some("p99".to_owned()),
        capacity_per_s: Some(17_000.0),
        interval_per_s: Some([17_000.0, 18_000.0]),
        limited_by: Limit::Server,
        budget_s: 1_800,
        ended_by_budget: false,
        steps: steps.collect(),
    }
}

/// b a third slower at p99, and no different in rate.
pub(crate) fn compare() -> CompareResult {
    let side = |label: &str, base| CompareSide {
        label: label.to_owned(),
        provenance: provenance("demand"),
        verdict: Verdict::Met,
        latency_us: latencies(base, 40_000).summary(),
    };
    let ratio = |what: &str, a: f64, b: f64, low: f64, high: f64| {
        let what = what.to_owned();
        Ratio { what, a, b, ratio: b / a, low, high }
    };
    let turns = ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b", "b", "a"];
    let round = |(at, turn): (u64, &str)| CompareRound {
        side: turn.to_owned(),
        verdict: Verdict::Met,
        latency_us: latencies(if turn == "a" { 110 } else { 146 } + at, 10_000).summary(),
    };
    CompareResult {
        provenance: provenance("demand"),
        a: side("http://127.0.0.1:8080", 110),
        b: side("http://127.0.0.1:8081", 146),
        warnings: vec!["scenario".to_owned()],
        notes: vec!["measured by different builds of loadgen".to_owned()],
        confidence: 0.95,
        resamples: 2_000,
        ratios: vec![
            ratio("p50_us", 221.0, 233.0, 0.97, 1.12),
            ratio("p99_us", 4_400.0, 5_840.0, 1.21, 1.46),
            ratio("answers_per_s", 2_000.0, 1_999.0, 0.999, 1.001),
        ],
        turns_a_side: 6,
        rounds: (0..).zip(turns).map(round).collect(),
    }
}

/// A machine that can send 60,000 a second.
pub(crate) fn calibration() -> CalibrationResult {
    let steps = [(10_000, Verdict::Met), (60_000, Verdict::Met), (80_000, Verdict::Invalid)];
    let steps = (0..).zip(steps).map(|(at, (rate, verdict))| step(at, StepPhase::Bisect, rate, verdict));
    CalibrationResult {
        provenance: provenance("calibrate"),
        verdict: Some(VerdictFacts { verdict: Verdict::Met, reasons: Vec::new() }),
        ceiling_per_s: Some(60_000.0),
        floor_us: latencies(30, 20_000).summary(),
        lateness_us: latencies(6, 20_000).summary(),
        machine_stalls_us: latencies(5, 20_000).summary(),
        machine_stalls_raised_priority: Some(false),
        steps: steps.collect(),
    }
}
