//! Fills counts and histograms from what the senders report, on a thread that sends nothing.
//!
//! An interval of the timeline is closed once every sender is past it and every request due in it has ended;
//! then its histograms are packed. So memory does not grow with the length of a run, but for the closed
//! intervals, whose number is bounded.

mod interval;

use std::collections::{BTreeMap, VecDeque};

use crate::generations::Generations;
use crate::latency::Latencies;
use crate::record::{Batch, FirstWrong, Handshake, Record};
use crate::result::{StageResult, Timeline, TimelinePoint};
use crate::schedule::Plan;
use crate::stalls::Stalls;
use crate::tally::{Tally, us};
use crate::vocabulary::Endpoint;
use interval::Interval;

/// One stage's counts.
#[derive(Debug)]
struct Stage {
    general: Tally,
    personal: Tally,
    lateness: Latencies,
    /// Of each sender: nanoseconds busy and passed.
    busy: Vec<(u64, u64)>,
}

/// What the connections did.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) opened: u64,
    pub(crate) reconnects: u64,
    pub(crate) requests_first: u64,
    pub(crate) requests_reused: u64,
    pub(crate) service_first: Latencies,
    pub(crate) service_reused: Latencies,
    pub(crate) tcp: Latencies,
    pub(crate) tls_full: Latencies,
    pub(crate) tls_resumed: Latencies,
}

impl Connections {
    fn add(&mut self, record: &Record) {
        let Some(service_us) = record.service_us else { return };
        let (count, service) = if record.first_on_connection {
            (&mut self.requests_first, &mut self.service_first)
        } else {
            (&mut self.requests_reused, &mut self.service_reused)
        };
        *count += 1;
        if record.is_timed {
            service.record(us(service_us));
        }
    }
}

/// Counts of the whole run for whoever watches.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) intended: u64,
    pub(crate) sent: u64,
    pub(crate) ended: u64,
    pub(crate) answered: u64,
    pub(crate) wrong: u64,
    pub(crate) errors: u64,
}

/// Everything of one run.
#[derive(Debug)]
pub(crate) struct Collector {
    plan: std::sync::Arc<Plan>,
    interval_ns: u64,
    stages: Vec<Stage>,
    /// By number and stage: an interval in which stages meet is one for each of them.
    open: BTreeMap<(u32, u32), Interval>,
    points: Vec<TimelinePoint>,
    /// How far each sender is.
    until_ns: Vec<u64>,
    /// How many requests wait at each sender.
    waiting: Vec<u64>,
    pub(crate) last_end_ns: u64,
    pub(crate) busy_ns: u64,
    pub(crate) first_wrong: Option<FirstWrong>,
    pub(crate) connections: Connections,
    pub(crate) generations: Generations,
    pub(crate) progress: Progress,
    pub(crate) recent: Recent,
    /// Known when the run is over.
    pub(crate) stalls: Stalls,
    /// Each sending thread has got the priority that it asked for; the same.
    pub(crate) senders_raised: bool,
}

/// The last second or so, for whoever watches.
#[derive(Debug)]
pub(crate) struct Recent {
    pub(crate) latency: Latencies,
    pub(crate) service: Latencies,
    pub(crate) lateness: Latencies,
    pub(crate) busy: VecDeque<f64>,
}

impl Collector {
    pub(crate) fn new(plan: std::sync::Arc<Plan>, interval_ns: u64, senders: usize) -> Collector {
        let stage = |_: &_| Stage {
            general: Tally::new(),
            personal: Tally::new(),
            lateness: Latencies::new(),
            busy: vec![(0, 0); senders],
        };
        Collector {
            stages: plan.stages.iter().map(stage).collect(),
            plan,
            interval_ns,
            open: BTreeMap::new(),
            points: Vec::new(),
            until_ns: vec![0; senders],
            waiting: vec![0; senders],
            last_end_ns: 0,
            busy_ns: 0,
            first_wrong: None,
            connections: Connections {
                opened: 0,
                reconnects: 0,
                requests_first: 0,
                requests_reused: 0,
                service_first: Latencies::new(),
                service_reused: Latencies::new(),
                tcp: Latencies::new(),
                tls_full: Latencies::new(),
                tls_resumed: Latencies::new(),
            },
            generations: Generations::new(interval_ns),
            progress: Progress::default(),
            recent: Recent::new(),
            stalls: Stalls::default(),
            senders_raised: true,
        }
    }

    pub(crate) fn add(&mut self, batch: Batch) {
        self.add_busy(&batch);
        for intended in &batch.intended {
            let count = u64::from(intended.general) + u64::from(intended.personal);
            self.progress.intended += count;
            self.interval(intended.interval, intended.stage).intended += count;
            let stage = &mut self.stages[intended.stage as usize];
            stage.general.intended += u64::from(intended.general);
            stage.personal.intended += u64::from(intended.personal);
        }
        for record in &batch.records {
            self.add_record(record);
        }
        for opened in &batch.opened {
            self.connections.opened += 1;
            self.connections.reconnects += u64::from(opened.is_reconnect);
            self.connections.tcp.record(us(opened.tcp_us));
            match opened.tls {
                Some((took_us, Handshake::Full)) => self.connections.tls_full.record(us(took_us)),
                Some((took_us, Handshake::Resumed)) => self.connections.tls_resumed.record(us(took_us)),
                None => {}
            }
        }
        batch.generations.into_iter().for_each(|(at_ns, name)| self.generations.add(at_ns, name));
        let earlier =
            |new: &FirstWrong, old: &Option<FirstWrong>| old.as_ref().is_none_or(|old| new.at_ns < old.at_ns);
        if let Some(first) = batch.first_wrong.filter(|new| earlier(new, &self.first_wrong)) {
            self.first_wrong = Some(first);
        }
        self.until_ns[batch.sender] = batch.until_ns;
        self.waiting[batch.sender] = batch.waiting;
        self.close_intervals();
    }

    fn add_busy(&mut self, batch: &Batch) {
        self.busy_ns += batch.busy_ns;
        if batch.wall_ns == 0 || batch.is_last {
            return;
        }
        let stage = self.plan.stage_at(batch.until_ns.saturating_sub(batch.wall_ns / 2)) as usize;
        let (busy, wall) = &mut self.stages[stage].busy[batch.sender];
        *busy += batch.busy_ns;
        *wall += batch.wall_ns;
        self.recent.busy.push_back(batch.busy_ns as f64 / batch.wall_ns as f64);
        if self.recent.busy.len() > self.until_ns.len() * 5 {
            self.recent.busy.pop_front();
        }
    }

    fn add_record(&mut self, record: &Record) {
        let stage = &mut self.stages[record.stage as usize];
        match record.endpoint {
            Endpoint::General => stage.general.add(record),
            Endpoint::Personal => stage.personal.add(record),
        }
        stage.lateness.record(us(record.lateness_us));
        let end_ns = record.due_ns + u64::from(record.latency_us) * 1_000;
        self.last_end_ns = self.last_end_ns.max(end_ns);
        self.connections.add(record);
        self.progress.add(record);
        self.recent.add(record);
        let number = u32::try_from(record.due_ns / self.interval_ns).unwrap_or(u32::MAX);
        let interval = self.interval(number, record.stage);
        interval.add(record);
    }

    fn interval(&mut self, number: u32, stage: u32) -> &mut Interval {
        self.open.entry((number, stage)).or_insert_with(Interval::new)
    }

    fn close_intervals(&mut self) {
        let past = self.until_ns.iter().copied().min().unwrap_or(0);
        while let Some((&(number, _), interval)) = self.open.first_key_value() {
            let start_ns = u64::from(number) * self.interval_ns;
            if start_ns.saturating_add(self.interval_ns) > past || interval.ended < interval.intended {
                return;
            }
            self.close_first();
        }
    }

    fn close_first(&mut self) {
        if let Some(((number, stage), interval)) = self.open.pop_first() {
            let start_ns = u64::from(number) * self.interval_ns;
            let generation = self.generations.close(number);
            self.points.push(interval.point(start_ns / 1_000_000, stage, generation));
        }
    }

    /// Due, but without a connection when the senders last told.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.iter().sum()
    }

    pub(crate) fn timeline(&mut self) -> Timeline {
        while !self.open.is_empty() {
            self.close_first();
        }
        let interval_ms = self.interval_ns / 1_000_000;
        let mut earlier = None;
        let mut stalled = |point: TimelinePoint| {
            // Where stages meet, the first of them has the stalls of the whole interval: nothing is there twice.
            let is_first = earlier.replace(point.t_ms) != Some(point.t_ms);
            let number = u32::try_from(point.t_ms / interval_ms.max(1)).unwrap_or(u32::MAX);
            let stalls = if is_first { self.stalls.interval(number) } else { Latencies::new() };
            point.stalled(&stalls)
        };
        let points = std::mem::take(&mut self.points).into_iter().map(&mut stalled).collect();
        Timeline { interval_ms, points }
    }

    /// The stage as results carry it, goals not judged yet.
    pub(crate) fn stage(&self, index: usize) -> StageResult {
        let (plan, stage) = (&self.plan.stages[index], &self.stages[index]);
        let (general, personal) = (stage.general.tallied(), stage.personal.tallied());
        let mut total = general.clone();
        total.merge(&personal);
        let seconds = (plan.duration_ns as f64 / 1e9).max(1e-9);
        let by_name = [("general", general), ("personal", personal)];
        let asked = by_name.into_iter().filter(|(_, tallied)| tallied.intended > 0);
        StageResult {
            name: plan.name.clone(),
            shape: plan.shape.clone(),
            warmup: plan.warmup,
            starts_at_ms: plan.starts_at_ns / 1_000_000,
            duration_ms: plan.duration_ns / 1_000_000,
            intended_per_s: total.intended as f64 / seconds,
            sent_per_s: total.requests as f64 / seconds,
            endpoints: asked.map(|(name, tallied)| (name.to_owned(), tallied)).collect(),
            total,
            lateness_us: stage.lateness.clone(),
            machine_stalls_us: self.stalls.stage(index),
            goals: Vec::new(),
        }
    }

    /// The greatest share of its time that each sender was busy in any measured stage.
    pub(crate) fn busy_shares(&self) -> Vec<f64> {
        let measured = self.plan.stages.iter().zip(&self.stages).filter(|(plan, _)| !plan.warmup);
        let stages: Vec<&Stage> = measured.map(|(_, stage)| stage).collect();
        let share = |sender: usize| {
            let shares = stages.iter().map(|stage| stage.busy[sender]);
            shares.map(|(busy, wall)| busy as f64 / wall.max(1) as f64).fold(0.0, f64::max)
        };
        (0..self.until_ns.len()).map(share).collect()
    }
}

impl Progress {
    fn add(&mut self, record: &Record) {
        self.ended += 1;
        self.sent += u64::from(record.service_us.is_some());
        self.errors += u64::from(record.outcome.is_error());
        self.answered += u64::from(record.outcome.is_answer());
        self.wrong += u64::from(matches!(record.outcome, crate::record::Outcome::Wrong(_)));
    }
}

impl Recent {
    pub(crate) fn new() -> Recent {
        let (latency, service, lateness) = (Latencies::new(), Latencies::new(), Latencies::new());
        Recent { latency, service, lateness, busy: VecDeque::new() }
    }

    fn add(&mut self, record: &Record) {
        self.lateness.record(us(record.lateness_us));
        if record.is_timed {
            self.latency.record(us(record.latency_us));
            if let Some(service_us) = record.service_us {
                self.service.record(us(service_us));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Intended, Outcome};
    use crate::schedule::Plan;

    const MS: u64 = 1_000_000;

    /// Two stages of 1.5 s, intervals of a second, and an answer each 100 ms that took as many µs as it was due in ms.
    fn collected() -> Collector {
        let mut plan = Plan::default();
        for (name, warmup) in [("warm-up", true), ("peak", false)] {
            plan.push(name, "constant 10/s".to_owned(), warmup, &[(10.0, 10.0, 1.5)]);
        }
        let mut collector = Collector::new(std::sync::Arc::new(plan), 1_000 * MS, 1);
        for at in 0..30_u32 {
            let (due_ns, stage) = (u64::from(at) * 100 * MS, u32::from(at >= 15));
            let record = Record {
                due_ns,
                stage,
                latency_us: at * 100 + 1,
                service_us: Some(1),
                lateness_us: 1,
                endpoint: Endpoint::General,
                outcome: Outcome::Right,
                is_timed: true,
                first_on_connection: false,
                is_retry: false,
            };
            let intended = vec![Intended { interval: at / 10, stage, general: 1, personal: 0 }];
            let until_ns = due_ns + 100 * MS;
            collector.add(Batch { until_ns, intended, records: vec![record], ..Batch::default() });
        }
        collector
    }

    #[test]
    fn an_interval_in_which_stages_meet_is_one_for_each_of_them() {
        let mut collector = collected();
        let points = collector.timeline().points;
        let found: Vec<_> = points.iter().map(|point| (point.t_ms, point.stage, point.completed)).collect();
        assert_eq!(found, [(0, 0, 10), (1_000, 0, 5), (1_000, 1, 5), (2_000, 1, 10)]);
        for stage in [0, 1] {
            let mut merged = Latencies::new();
            let of_stage = points.iter().filter(|point| point.stage == stage);
            of_stage.for_each(|point| merged.merge(&Latencies::decode(&point.latency_histogram).unwrap()));
            let whole = collector.stage(stage as usize).total.latency_us;
            assert_eq!(merged.histogram(), whole.histogram(), "no answer is another stage's");
        }
    }
}
