//! Waking: cheap, and never lost, whatever becomes of the futures that are woken.
//!
//! A small executor stands in for a worker thread: it polls what was woken, and counts the wake-ups that came
//! from another thread.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use ledger::sim::{Random, SimDisk};
use ledger::{AppendError, Ledger, Options, Pending};

use crate::support::{entry, keys, open, options, segment_len};

const PATIENCE: Duration = Duration::from_secs(20);

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
            woken: Mutex::default(),
            changed: Condvar::new(),
            remote_wakes: AtomicUsize::new(0),
        })
    }

    fn poll(
        self: &Arc<Self>,
        task: usize,
        pending: &mut Pending,
    ) -> Poll<Result<ledger::Receipt, AppendError>> {
        let waker = Waker::from(Arc::new(TaskWaker { worker: self.clone(), task }));
        Pin::new(pending).poll(&mut Context::from_waker(&waker))
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

#[test]
fn one_remote_wake_up_serves_a_thread() {
    // A slow machine may make the commit thread step in for stragglers; not every time.
    let wakes: Vec<usize> = (0..20).map(|_| remote_wakes_of_sixty()).collect();
    assert!(
        wakes.iter().any(|remote| *remote < 30),
        "wake-ups from another thread for 60 futures: {wakes:?}"
    );
}

/// Sixty futures of one thread, in two batches at most; how many of them the commit thread woke.
fn remote_wakes_of_sixty() -> usize {
    let disk = SimDisk::new();
    let options = Options { segment_len_min_bytes: segment_len(100), ..options() };
    let ledger = Ledger::open_or_init(&disk, 1, keys(), options).unwrap();
    let worker = Worker::new();
    disk.hold();
    let mut tasks: Vec<_> = (0..60).map(|n| ledger.append(entry(n)).unwrap()).collect();
    for (task, pending) in tasks.iter_mut().enumerate() {
        assert!(worker.poll(task, pending).is_pending());
    }
    disk.release();
    let mut left: BTreeSet<usize> = (0..60).collect();
    while !left.is_empty() {
        let task = worker.next_woken();
        if left.contains(&task) && worker.poll(task, &mut tasks[task]).is_ready() {
            left.remove(&task);
        }
    }
    assert_eq!(ledger.stats().waiting, 0);
    worker.remote_wakes.load(Ordering::Relaxed)
}

/// Futures are dropped before and after their first poll, when they are woken, or forgotten: all others
/// resolve.
#[test]
fn dropped_and_forgotten_futures_hold_nobody_up() {
    let disk = SimDisk::new();
    let options = Options { queue_len_max: 10_000, ..options() };
    let ledger = Ledger::open_or_init(&disk, 1, keys(), options).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let ledger = &ledger;
            scope.spawn(move || drop_at_random(ledger, seed));
        }
    });
    assert_eq!(ledger.stats().queue_len, 0);
}

fn drop_at_random(ledger: &Ledger, seed: u64) {
    let (worker, mut random) = (Worker::new(), Random(seed));
    let mut tasks: BTreeMap<usize, Pending> = BTreeMap::new();
    let mut task = 0;
    for round in 0..150 {
        for _ in 0..random.below(30) {
            task += 1;
            let mut pending = ledger.append(entry(task as u64)).unwrap();
            if random.below(8) > 0 && worker.poll(task, &mut pending).is_pending() {
                tasks.insert(task, pending);
            }
        }
        if round % 10 == 0 {
            // Somebody else's choice: gone while it waits, or kept without ever being polled again.
            let keys: Vec<usize> = tasks.keys().copied().filter(|_| random.below(4) == 0).collect();
            for key in keys {
                let pending = tasks.remove(&key).unwrap();
                if random.below(3) == 0 { std::mem::forget(pending) } else { drop(pending) }
            }
        }
        let mut to_do = if round == 149 { usize::MAX } else { random.below(40) };
        while to_do > 0 && !tasks.is_empty() {
            to_do -= 1;
            let woken = worker.next_woken();
            let Some(mut pending) = tasks.remove(&woken) else { continue };
            match random.below(10) {
                0 => drop(pending),
                1 => std::mem::forget(pending),
                _ => {
                    if worker.poll(woken, &mut pending).is_pending() {
                        tasks.insert(woken, pending);
                    }
                }
            }
        }
    }
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
}

#[test]
fn all_that_wait_hear_of_a_failure() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let worker = Worker::new();
    disk.hold();
    let mut tasks: Vec<_> = (0..20).map(|n| ledger.append(entry(n)).unwrap()).collect();
    for (task, pending) in tasks.iter_mut().enumerate() {
        assert!(worker.poll(task, pending).is_pending());
    }
    let blocked = ledger.append(entry(20)).unwrap();
    disk.set_fault(disk.steps(), ledger::sim::Fault::Fails);
    disk.release();
    let mut left: BTreeSet<usize> = (0..20).collect();
    while !left.is_empty() {
        let task = worker.next_woken();
        if left.remove(&task) {
            assert_eq!(worker.poll(task, &mut tasks[task]), Poll::Ready(Err(AppendError::Failed)));
        }
    }
    assert_eq!(blocked.wait(), Err(AppendError::Failed));
    assert!(!ledger.is_writable());
}
