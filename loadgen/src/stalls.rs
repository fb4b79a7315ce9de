//! How often and how long the machine itself stood still: a thread on each core that does nothing but sleep, and
//! notes by how much it woke too late.
//!
//! A thousand wake-ups a second cost each core little (see benches/RESULTS.md). The threads have the senders' own priority and
//! timers, so what delays them would have delayed a sender and, all the more, the server. They send nothing, and no
//! verdict asks them: they only stand beside the client's lateness and the server's latency. A wake-up that was
//! missed while the thread could not run counts too, each from its own time, as for requests of an open loop.
//! Where the priority is refused, what is measured is another thing, the competition for a core included: so whether it
//! was granted is part of what was seen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::clock::Clock;
use crate::latency::Latencies;
use crate::run::prefer_this_thread;
use crate::schedule::Plan;

/// From one wake-up to the next.
const PERIOD_NS: u64 = 1_000_000;
/// On a machine of many cores it is enough to watch some.
const CORES_MAX: usize = 64;
/// So many wake-ups are handed over at a time to whoever looks on, and so many lots wait for them at most.
const LOT: usize = 100;
const LOTS_MAX: usize = 1_024;

/// The threads that sleep.
pub(crate) struct StallWatch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<CoreStalls>>,
    recent: mpsc::Receiver<Vec<Duration>>,
}

/// What all of them saw. Kept packed: a long run has many intervals.
#[derive(Debug, Default)]
pub(crate) struct Stalls(Vec<CoreStalls>);

/// What the thread on one core saw.
#[derive(Debug)]
struct CoreStalls {
    raised: bool,
    stages: Vec<Latencies>,
    /// Intervals of the timeline that are over, by their number, each encoded.
    intervals: Vec<(u32, String)>,
    open: (u32, Latencies),
}

impl StallWatch {
    /// Watches from the start of the clock to the end of the plan, in these intervals. A core that no thread can be
    /// started for goes unwatched.
    pub(crate) fn start(clock: Clock, plan: &Arc<Plan>, interval_ns: u64) -> StallWatch {
        let stop = Arc::new(AtomicBool::new(false));
        let (out, recent) = mpsc::sync_channel(LOTS_MAX);
        let start = |core: usize| {
            let (plan, stop, out) = (Arc::clone(plan), Arc::clone(&stop), out.clone());
            let builder = std::thread::Builder::new().name("stalls".to_owned());
            builder.spawn(move || watch(core, clock, &plan, interval_ns, &stop, &out)).ok()
        };
        let threads = usable_cores().into_iter().take(CORES_MAX).filter_map(start).collect();
        StallWatch { stop, threads, recent }
    }

    /// What was seen since the last look, for whoever looks on: the last tenth of a second may be missing.
    pub(crate) fn recent(&self) -> Latencies {
        let mut seen = Latencies::new();
        self.recent.try_iter().flatten().for_each(|late| seen.record(late));
        seen
    }

    /// Ends the watch.
    pub(crate) fn finish(self) -> Stalls {
        self.stop.store(true, Ordering::Relaxed);
        // A panic there has been printed already, and concerns no request.
        Stalls(self.threads.into_iter().filter_map(|thread| thread.join().ok()).collect())
    }
}

fn usable_cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Sleeps on one core from millisecond to millisecond.
fn watch(
    core: usize,
    clock: Clock,
    plan: &Plan,
    interval_ns: u64,
    stop: &AtomicBool,
    out: &mpsc::SyncSender<Vec<Duration>>,
) -> CoreStalls {
    let mut only = CpuSet::new();
    only.set(core);
    // Where it is refused, the thread sleeps wherever it is put.
    let _ = sched_setaffinity(None, &only);
    let raised = prefer_this_thread();
    clock.wait_for_start();
    let (mut seen, mut due_ns, end_ns) = (CoreStalls::new(plan, raised), PERIOD_NS, plan.duration_ns());
    let mut lot = Vec::with_capacity(LOT);
    while due_ns < end_ns && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(clock.now_ns())));
        let now_ns = clock.now_ns();
        while due_ns <= now_ns && due_ns < end_ns {
            seen.record(plan, interval_ns, due_ns, now_ns - due_ns);
            lot.push(Duration::from_nanos(now_ns - due_ns));
            if lot.len() == LOT {
                // Nobody looks on where it is full; the thread must not wait for them.
                let _ = out.try_send(std::mem::replace(&mut lot, Vec::with_capacity(LOT)));
            }
            due_ns += PERIOD_NS;
        }
    }
    seen.close(0);
    seen
}

impl CoreStalls {
    fn new(plan: &Plan, raised: bool) -> CoreStalls {
        let stages = plan.stages.iter().map(|_| Latencies::new()).collect();
        CoreStalls { raised, stages, intervals: Vec::new(), open: (0, Latencies::new()) }
    }

    fn record(&mut self, plan: &Plan, interval_ns: u64, due_ns: u64, late_ns: u64) {
        let number = u32::try_from(due_ns / interval_ns).unwrap_or(u32::MAX);
        if number != self.open.0 {
            self.close(number);
        }
        let late = Duration::from_nanos(late_ns);
        self.open.1.record(late);
        self.stages[plan.stage_at(due_ns) as usize].record(late);
    }

    /// Packs the open interval; the next has this number.
    fn close(&mut self, next: u32) {
        if !self.open.1.histogram().is_empty() {
            self.intervals.push((self.open.0, self.open.1.encode()));
            self.open.1.clear();
        }
        self.open.0 = next;
    }
}

impl Stalls {
    /// How many cores were watched.
    pub(crate) fn cores(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether all watching threads had the senders' priority; nothing is known where none watched.
    pub(crate) fn raised(&self) -> Option<bool> {
        (!self.0.is_empty()).then(|| self.0.iter().all(|core| core.raised))
    }

    /// During one stage, on all cores together.
    pub(crate) fn stage(&self, index: usize) -> Latencies {
        let mut whole = Latencies::new();
        self.0.iter().filter_map(|core| core.stages.get(index)).for_each(|stage| whole.merge(stage));
        whole
    }

    /// During one interval of the timeline, on all cores together.
    pub(crate) fn interval(&self, number: u32) -> Latencies {
        let mut whole = Latencies::new();
        for core in &self.0 {
            let at = core.intervals.binary_search_by_key(&number, |(number, _)| *number);
            let seen = at.ok().and_then(|at| Latencies::decode(&core.intervals[at].1));
            seen.iter().for_each(|seen| whole.merge(seen));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Two stages of a tenth of a second each.
    fn plan() -> Arc<Plan> {
        let mut plan = Plan::default();
        plan.push("one", String::new(), true, &[(1.0, 1.0, 0.1)]);
        plan.push("two", String::new(), false, &[(1.0, 1.0, 0.1)]);
        Arc::new(plan)
    }

    #[test]
    fn each_core_wakes_a_thousand_times_a_second_and_each_time_counts_in_its_place() {
        let watch = StallWatch::start(Clock::starting_at(Instant::now()), &plan(), 50_000_000);
        std::thread::sleep(Duration::from_millis(260));
        let cores = std::thread::available_parallelism().unwrap().get() as u64;
        assert!((1..200 * cores).contains(&watch.recent().summary().samples), "lots of some cores at least");
        assert_eq!(watch.recent().summary().samples, 0, "they are handed over once");
        let stalls = watch.finish();
        assert_eq!(stalls.cores(), cores);
        let of_stages: Vec<u64> = (0..2).map(|at| stalls.stage(at).summary().samples).collect();
        assert_eq!(of_stages, [99 * cores, 100 * cores], "1 to 99 ms, 100 to 199 ms");
        let of_intervals: Vec<u64> = (0..5).map(|at| stalls.interval(at).summary().samples).collect();
        assert_eq!(of_intervals, [49 * cores, 50 * cores, 50 * cores, 50 * cores, 0]);
    }

    /// One wake-up 10 ms too late is ten that were due and did not come.
    #[test]
    fn wake_ups_that_were_missed_count_from_their_own_times() {
        let plan = plan();
        let mut seen = CoreStalls::new(&plan, true);
        let woke_ns = 30_000_000;
        for due_ms in 20..=30 {
            let due_ns = due_ms * 1_000_000;
            seen.record(&plan, 1_000_000_000, due_ns, woke_ns - due_ns);
        }
        seen.close(0);
        let seen = Stalls(vec![seen]).interval(0);
        assert_eq!((seen.summary().samples, seen.summary().max.us()), (11, Some(10_007)), "to three digits");
        assert!((4_000..6_100).contains(&seen.histogram().value_at_quantile(0.5)));
    }

    #[test]
    fn one_thread_without_the_priority_is_told() {
        let seen = |raised: &[bool]| {
            Stalls(raised.iter().map(|raised| CoreStalls::new(&plan(), *raised)).collect()).raised()
        };
        assert_eq!(
            [seen(&[true, true]), seen(&[true, false]), seen(&[])],
            [Some(true), Some(false), None],
            "and where nobody watched nothing is claimed"
        );
        let granted = std::thread::spawn(|| {
            let granted = prefer_this_thread();
            (granted, rustix::process::getpriority_process(None).unwrap())
        });
        let (granted, nice) = granted.join().unwrap();
        assert_eq!(granted, nice == -15, "what is claimed is what the kernel says: {nice}");
    }

    #[test]
    fn a_watch_that_is_stopped_ends_at_once() {
        let mut plan = Plan::default();
        plan.push("long", String::new(), false, &[(1.0, 1.0, 3_600.0)]);
        let watch = StallWatch::start(Clock::starting_at(Instant::now()), &Arc::new(plan), 1_000_000_000);
        let begun = Instant::now();
        watch.finish();
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
