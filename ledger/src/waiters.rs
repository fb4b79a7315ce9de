//! Who waits for which sequence. The commit thread tells after each sync.

use std::collections::VecDeque;
use std::task::Waker;

use parking_lot::Mutex;

/// Wakers by sequence, the lowest first. No sequence has two.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<VecDeque<(u64, Waker)>>);

impl Waiters {
    /// Registers a waker, or puts it in the place of the one before; false when the sequence is ready, which
    /// `is_ready` is asked under the lock, so that none slips in behind the commit thread's back.
    pub(crate) fn enter(&self, sequence: u64, waker: &Waker, is_ready: impl Fn() -> bool) -> bool {
        let mut waiting = self.0.lock();
        if is_ready() {
            return false;
        }
        let replaced = match waiting.binary_search_by_key(&sequence, |entry| entry.0) {
            Ok(at) => Some(std::mem::replace(&mut waiting[at].1, waker.clone())),
            Err(at) => {
                waiting.insert(at, (sequence, waker.clone()));
                None
            }
        };
        // Dropping a waker may drop a task, and with it one that leaves: not under the lock.
        drop(waiting);
        drop(replaced);
        true
    }

    /// Forgets a waker.
    pub(crate) fn leave(&self, sequence: u64) {
        let mut waiting = self.0.lock();
        let place = waiting.binary_search_by_key(&sequence, |entry| entry.0).ok();
        let own = place.and_then(|at| waiting.remove(at));
        drop(waiting);
        drop(own);
    }

    /// Wakes all up to `sequence`.
    pub(crate) fn wake(&self, sequence: u64) {
        let mut waiting = self.0.lock();
        let count = waiting.partition_point(|entry| entry.0 <= sequence);
        let ready: Vec<_> = waiting.drain(..count).collect();
        drop(waiting);
        ready.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// How many are registered now.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
