//! Waking: cheap, and never lost, whatever becomes of the futures that are woken.
//!
//! A small executor stands in for a worker thread: it polls what was woken, its courier after all others, and counts
//! the wake-ups that came from another thread.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use ledger::sim::{Fault, Random, SimDisk};
use ledger::{AppendError, Courier, Gathered, Gatherer, Ledger, Options, Receipt};

use crate::support::{LEDGER, entry, keys, open, options, reader, segment_len};

const PATIENCE: Duration = Duration::from_secs(20);
/// The task of a worker's courier: above all others, so that it is polled last.
const COURIER: usize = usize::MAX;

struct Worker {
    thread: ThreadId,
    woken: Mutex<BTreeSet<usize>>,
    changed: Condvar,
    remote_wakes: AtomicUsize,
}

struct TaskWaker {
    worker: Arc<Worker>,
    task: usize,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if std::thread::current().id() != self.worker.thread {
            self.worker.remote_wakes.fetch_add(1, Ordering::Relaxed);
        }
        self.worker.woken.lock().unwrap().insert(self.task);
        self.worker.changed.notify_one();
    }
}

impl Worker {
    fn new() -> Arc<Worker> {
        Arc::new(Worker {
            thread: std::thread::current().id(),
            woken: Mutex::new(BTreeSet::new()),
            changed: Condvar::new(),
            remote_wakes: AtomicUsize::new(0),
        })
    }

    fn poll<F: Future + Unpin>(self: &Arc<Self>, task: usize, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::new(TaskWaker { worker: self.clone(), task }));
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    /// A task that was woken.
    fn next_woken(&self) -> usize {
        let begun = Instant::now();
        let mut woken = self.woken.lock().unwrap();
        loop {
            if let Some(task) = woken.pop_first() {
                return task;
            }
            assert!(begun.elapsed() < PATIENCE, "a wake-up was lost");
            woken = self.changed.wait_timeout(woken, PATIENCE).unwrap().0;
        }
    }
}

/// A worker with its end of a ledger, and the tasks that wait.
struct Desk {
    worker: Arc<Worker>,
    gatherer: Gatherer,
    courier: Courier,
    tasks: BTreeMap<usize, Gathered>,
}

impl Desk {
    /// With a courier that has run once, as a runtime does with a new task.
    fn new(ledger: &Ledger) -> Desk {
        let (gatherer, courier) = ledger.gather();
        let mut desk = Desk { worker: Worker::new(), gatherer, courier, tasks: BTreeMap::new() };
        desk.run_courier();
        desk
    }

    /// Appends entry number `task`, and waits for it unless it has an outcome at once.
    fn append(&mut self, task: usize) {
        let mut gathered = self.gatherer.append(entry(task as u64)).unwrap();
        if self.worker.poll(task, &mut gathered).is_pending() {
            self.tasks.insert(task, gathered);
        }
    }

    fn run_courier(&mut self) {
        self.worker.woken.lock().unwrap().remove(&COURIER);
        assert!(self.worker.poll(COURIER, &mut self.courier).is_pending());
    }

    /// Polls what was woken until each task has its outcome.
    fn run(&mut self) -> BTreeMap<usize, Result<Receipt, AppendError>> {
        let mut outcomes = BTreeMap::new();
        while !self.tasks.is_empty() {
            let woken = self.worker.next_woken();
            if woken == COURIER {
                self.run_courier();
            } else if let Some(gathered) = self.tasks.get_mut(&woken)
                && let Poll::Ready(outcome) = self.worker.poll(woken, gathered)
            {
                self.tasks.remove(&woken);
                outcomes.insert(woken, outcome);
            }
        }
        outcomes
    }
}

/// Appends, waits for all, and tells how many syncs and how long it took.
fn append_and_wait(ledger: &Ledger, count: u64) -> (u64, Duration) {
    let (syncs, begun) = (ledger.stats().syncs, Instant::now());
    let pending: Vec<_> = (0..count).map(|n| ledger.append(entry(n)).unwrap()).collect();
    pending.into_iter().for_each(|pending| assert!(pending.wait().is_ok()));
    (ledger.stats().syncs - syncs, begun.elapsed())
}

/// Where syncs are slow, few entries wait for the interval and share the next one; 16 do not wait.
#[test]
fn few_entries_share_a_slow_sync_and_many_wait_for_no_interval() {
    const INTERVAL: Duration = Duration::from_millis(800);
    let len = segment_len(100);
    let lengths = Options { segment_len_min_bytes: len, segment_len_max_bytes: len, ..options() };
    let options = Options { sync_interval_max: INTERVAL, ..lengths };
    let disk = SimDisk::new();
    let ledger = Ledger::open_or_init(&disk, LEDGER, keys(), options).unwrap();
    disk.hold();
    let slow = ledger.append(entry(1)).unwrap();
    disk.wait_until_held();
    std::thread::sleep(INTERVAL / 4);
    disk.release();
    assert!(slow.wait().is_ok());
    let (syncs, took) = append_and_wait(&ledger, 7);
    assert!(syncs == 1 && took > INTERVAL / 2, "{syncs} syncs in {took:?}");
    let (syncs, took) = append_and_wait(&ledger, 16);
    assert!(syncs == 1 && took < INTERVAL / 2, "{syncs} syncs in {took:?}");
    let begun = Instant::now();
    let last = ledger.append(entry(1)).unwrap();
    ledger.close().unwrap();
    assert!(last.wait().is_ok() && begun.elapsed() < INTERVAL / 2, "an end waits for nothing");
}

#[test]
fn where_syncs_are_quick_nothing_waits_long() {
    const INTERVAL: Duration = Duration::from_secs(10);
    let options = Options { sync_interval_max: INTERVAL, ..options() };
    let ledger = Ledger::open_or_init(&SimDisk::new(), LEDGER, keys(), options).unwrap();
    for count in [1, 7, 1] {
        let (_, took) = append_and_wait(&ledger, count);
        assert!(took < INTERVAL / 2, "{took:?}");
    }
}

#[test]
fn a_turn_is_one_batch_and_one_wake_up_from_outside() {
    let disk = SimDisk::new();
    let options = Options { segment_len_min_bytes: segment_len(100), ..options() };
    let ledger = Ledger::open_or_init(&disk, 1, keys(), options).unwrap();
    let mut desk = Desk::new(&ledger);
    (0..60).for_each(|task| desk.append(task));
    assert_eq!(ledger.stats().queue_len, 0, "nothing is handed over while tasks run");
    // So that the sync ends after the courier has come to wait for it.
    disk.hold();
    desk.run_courier();
    disk.release();
    let outcomes = desk.run();
    let sequences: Vec<u64> = outcomes.values().map(|outcome| outcome.unwrap().sequence).collect();
    assert!(sequences.is_sorted_by(|a, b| a + 1 == *b), "in the order in which they were appended");
    for (task, outcome) in outcomes {
        let found = ledger.find(&outcome.unwrap().tracking_code).unwrap().unwrap();
        assert_eq!(found.entry, entry(task as u64));
    }
    assert_eq!(ledger.stats().batches, 1);
    assert_eq!(desk.worker.remote_wakes.load(Ordering::Relaxed), 1);
    assert_eq!(ledger.stats().waiting, 0);
}

/// What waits after one sync is woken by the next one: a turn that does not fit a segment is two batches.
#[test]
fn a_turn_may_be_several_batches() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let mut desk = Desk::new(&ledger);
    (0..40).for_each(|task| desk.append(task));
    assert!(desk.run().values().all(Result::is_ok));
    assert!(ledger.stats().batches > 2);
}

#[test]
fn beyond_the_bound_entries_are_refused_and_later_ones_taken() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let bound = options().queue_len_max;
    let mut desk = Desk::new(&ledger);
    disk.hold();
    desk.append(0);
    desk.run_courier();
    disk.wait_until_held();
    (1..bound + 21).for_each(|task| desk.append(task));
    desk.run_courier();
    assert_eq!(ledger.stats().queue_len, bound as u64);
    disk.release();
    let outcomes = desk.run();
    for (task, outcome) in outcomes {
        assert_eq!(outcome.err(), (task > bound).then_some(AppendError::Full), "entry {task}");
    }
    desk.append(1000);
    assert!(desk.run()[&1000].is_ok());
}

#[test]
fn a_courier_that_ends_hands_over_what_is_left() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let Desk { worker, gatherer, courier, mut tasks } = {
        let mut desk = Desk::new(&ledger);
        (0..20).for_each(|task| desk.append(task));
        desk
    };
    drop(courier);
    assert_eq!(gatherer.append(entry(99)).err(), Some(AppendError::Closed));
    for (task, gathered) in &mut tasks {
        assert!(worker.woken.lock().unwrap().remove(task), "task {task} is told");
        let outcome = worker.poll(*task, gathered);
        assert!(matches!(outcome, Poll::Ready(Ok(_) | Err(AppendError::Closed))), "{outcome:?}");
    }
    ledger.close().unwrap();
    assert_eq!(reader(&disk).verify().report.inquiries, 20);
}

#[test]
fn a_closed_ledger_refuses_what_is_gathered() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let mut desk = Desk::new(&ledger);
    desk.append(1);
    ledger.close().unwrap();
    assert_eq!(desk.run()[&1], Err(AppendError::Closed));
}

/// Futures are dropped before and after their first poll, when they are woken, or forgotten: all others resolve,
/// and every entry is in the ledger.
#[test]
fn dropped_and_forgotten_futures_hold_nobody_up() {
    let disk = SimDisk::new();
    let options = Options { queue_len_max: 100_000, ..options() };
    let ledger = Ledger::open_or_init(&disk, 1, keys(), options).unwrap();
    let appended: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                scope.spawn({
                    let ledger = &ledger;
                    move || drop_at_random(ledger, seed)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    ledger.close().unwrap();
    assert_eq!(ledger.stats().entries, appended);
}

/// How many it appended.
fn drop_at_random(ledger: &Ledger, seed: u64) -> u64 {
    let (mut desk, mut random) = (Desk::new(ledger), Random(seed));
    let mut task = 0;
    for round in 0..150 {
        for _ in 0..random.below(30) {
            task += 1;
            match random.below(8) {
                0 => drop(desk.gatherer.append(entry(task as u64)).unwrap()),
                _ => desk.append(task),
            }
        }
        if round % 10 == 0 {
            // Somebody else's choice: gone while it waits, or kept without ever being polled again.
            let gone: Vec<usize> = desk.tasks.keys().copied().filter(|_| random.below(4) == 0).collect();
            for task in gone {
                let gathered = desk.tasks.remove(&task).unwrap();
                if random.below(3) == 0 { std::mem::forget(gathered) } else { drop(gathered) }
            }
        }
        let mut to_do = random.below(40);
        while to_do > 0 && !desk.tasks.is_empty() {
            to_do -= 1;
            let woken = desk.worker.next_woken();
            if woken == COURIER {
                desk.run_courier();
                continue;
            }
            let Some(mut gathered) = desk.tasks.remove(&woken) else { continue };
            match random.below(10) {
                0 => drop(gathered),
                1 => std::mem::forget(gathered),
                _ => {
                    if desk.worker.poll(woken, &mut gathered).is_pending() {
                        desk.tasks.insert(woken, gathered);
                    }
                }
            }
        }
    }
    desk.run();
    task as u64
}

/// A future that moves to another thread, and gets another waker there, still resolves.
#[test]
fn futures_may_move_between_threads() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    disk.hold();
    let mut pending = ledger.append(entry(1)).unwrap();
    let here = Worker::new();
    assert!(here.poll(0, &mut pending).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let there = Worker::new();
            assert!(there.poll(5, &mut pending).is_pending());
            disk.release();
            while there.poll(5, &mut pending).is_pending() {
                assert_eq!(there.next_woken(), 5);
            }
        });
    });
    assert!(here.woken.lock().unwrap().is_empty(), "the old waker is forgotten");
    assert_eq!(ledger.stats().waiting, 0);
}

#[test]
fn all_that_wait_hear_of_a_failure() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let mut desk = Desk::new(&ledger);
    disk.hold();
    let blocked = ledger.append(entry(20)).unwrap();
    disk.wait_until_held();
    (0..20).for_each(|task| desk.append(task));
    desk.run_courier();
    disk.set_fault(disk.steps(), Fault::Fails);
    disk.release();
    let outcomes = desk.run();
    assert!(outcomes.values().all(|outcome| *outcome == Err(AppendError::Failed)), "{outcomes:?}");
    assert_eq!(blocked.wait(), Err(AppendError::Failed));
    desk.append(21);
    assert_eq!(desk.run()[&21], Err(AppendError::Failed));
    assert!(!ledger.is_writable());
}

#[test]
fn who_is_refused_hears_of_it_while_the_disk_is_held() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let bound = options().queue_len_max;
    let mut desk = Desk::new(&ledger);
    disk.hold();
    desk.append(0);
    desk.run_courier();
    disk.wait_until_held();
    (1..bound + 1).for_each(|task| desk.append(task));
    desk.run_courier();
    desk.append(1000);
    desk.run_courier();
    let woken = desk.worker.woken.lock().unwrap().contains(&1000);
    disk.release();
    let outcomes = desk.run();
    assert_eq!(outcomes[&1000], Err(AppendError::Full));
    assert!(woken, "refused, but not told while the disk is held");
}
