//! What one thread appends, gathered while its tasks run, and handed over once they have.
//!
//! A lock, a wake-up of the commit thread and one back for each request would cost more than the entry itself. So
//! each thread that serves requests has a [`Gatherer`], which takes entries without any lock, and a [`Courier`], a task
//! beside those that append. The first entry wakes the courier; a runtime of one thread runs it after the tasks that
//! are ready already, so that it finds what all of them appended. It queues that in one go, and is the one that the
//! commit thread wakes after a sync; it wakes the tasks, on their own thread. An idle thread runs it at once.
//!
//! Nothing here waits for a time to pass.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::commit::{Queued, Shared};
use crate::error::AppendError;
use crate::pending::Receipt;
use crate::record::Record;

/// Where the tasks of one thread append; [`crate::Ledger::gather`] makes it.
#[derive(Clone)]
pub struct Gatherer(Rc<Thread>);

/// Hands over what its [`Gatherer`] took, and wakes those who wait. To be spawned on the gatherer's thread, where it
/// runs until it is dropped; then it hands over what is left, and the gatherer takes no more.
#[must_use = "nothing is handed over until it runs"]
pub struct Courier(Rc<Thread>);

/// An entry on its way to stable storage. Dropping it does not take the entry back.
#[must_use = "an answer may leave only after its entry is on stable storage"]
pub struct Gathered {
    thread: Rc<Thread>,
    turn: Rc<Turn>,
    /// The entry's place in its turn.
    place: usize,
}

/// What gatherer, courier and waiting tasks of a thread share.
struct Thread {
    shared: Arc<Shared>,
    records: RefCell<Vec<Record>>,
    /// The turn that `records` belong to.
    turn: RefCell<Rc<Turn>>,
    /// Turns that are queued and not all durable yet, in order.
    queued: RefCell<VecDeque<Rc<Turn>>>,
    /// Once the courier has run for the first time.
    courier: RefCell<Option<Waker>>,
    /// The sequence that the courier is to be woken for.
    registered: Cell<Option<u64>>,
    ended: Cell<bool>,
}

/// Entries that are handed over together.
#[derive(Default)]
struct Turn {
    /// What became of them; none until they are handed over.
    handed_over: Cell<Option<Result<Queued, AppendError>>>,
    /// The task of each entry, as far as it has had to wait.
    wakers: RefCell<Vec<Option<Waker>>>,
}

pub(crate) fn gather(shared: Arc<Shared>) -> (Gatherer, Courier) {
    let thread = Rc::new(Thread {
        shared,
        records: RefCell::default(),
        turn: RefCell::default(),
        queued: RefCell::default(),
        courier: RefCell::default(),
        registered: Cell::default(),
        ended: Cell::new(false),
    });
    (Gatherer(thread.clone()), Courier(thread))
}

impl Gatherer {
    /// Takes an entry or an act. It is queued when the tasks that are ready now have run, or refused then.
    ///
    /// # Errors
    /// [`AppendError::Closed`] when the courier has ended.
    pub fn append(&self, record: impl Into<Record>) -> Result<Gathered, AppendError> {
        let thread = &self.0;
        if thread.ended.get() {
            return Err(AppendError::Closed);
        }
        let mut records = thread.records.borrow_mut();
        let place = records.len();
        records.push(record.into());
        drop(records);
        if place == 0
            && let Some(courier) = thread.courier.borrow().as_ref()
        {
            courier.wake_by_ref();
        }
        Ok(Gathered { thread: thread.clone(), turn: thread.turn.borrow().clone(), place })
    }
}

impl Gathered {
    /// None while it is under way.
    fn outcome(&self) -> Option<Result<Receipt, AppendError>> {
        let shared = &self.thread.shared;
        let on_its_way = match self.turn.handed_over.get() {
            Some(Ok(Queued { first, count })) if self.place < count => {
                let sequence = first + self.place as u64;
                let outcome = shared.outcome(sequence);
                outcome.map(|result| result.map(|()| Receipt::new(shared, sequence)))
            }
            Some(Ok(_)) => Some(Err(AppendError::Full)),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        on_its_way.or_else(|| self.thread.ended.get().then_some(Err(AppendError::Closed)))
    }
}

impl Future for Gathered {
    type Output = Result<Receipt, AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.outcome();
        if outcome.is_none() {
            self.turn.enter(self.place, context.waker());
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Future for Courier {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let thread = &self.0;
        thread.set_courier(context.waker());
        thread.hand_over();
        loop {
            thread.tell();
            if thread.is_registered(context.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        let thread = &self.0;
        thread.hand_over();
        thread.ended.set(true);
        if let Some(sequence) = thread.registered.take() {
            thread.shared.waiters.leave(sequence);
        }
        let turns = thread.queued.take();
        turns.iter().for_each(|turn| turn.wake(0..usize::MAX));
    }
}

impl Thread {
    fn set_courier(&self, waker: &Waker) {
        let mut courier = self.courier.borrow_mut();
        if !courier.as_ref().is_some_and(|known| known.will_wake(waker)) {
            let replaced = courier.replace(waker.clone());
            drop(courier);
            drop(replaced);
            self.registered.set(None);
        }
    }

    /// Queues what is gathered, as far as there is room.
    fn hand_over(&self) {
        let mut records = self.records.borrow_mut();
        if records.is_empty() {
            return;
        }
        let result = self.shared.push(records.drain(..));
        drop(records);
        let turn = self.turn.take();
        turn.handed_over.set(Some(result));
        // Who was refused hears of it now: what was queued before may wait long for the disk.
        match result {
            Ok(Queued { count, .. }) => {
                turn.wake(count..usize::MAX);
                self.queued.borrow_mut().push_back(turn);
            }
            Err(_) => turn.wake(0..usize::MAX),
        }
    }

    /// Wakes the tasks of all entries whose outcome is known.
    fn tell(&self) {
        let through = if self.shared.has_failed() { u64::MAX - 1 } else { self.shared.durable() };
        loop {
            let turn = self.queued.borrow().front().cloned();
            let Some(turn) = turn else { return };
            if !turn.tell(through) {
                return;
            }
            self.queued.borrow_mut().pop_front();
        }
    }

    /// Whether the courier will be woken for the first entry that is not durable; also if there is none.
    fn is_registered(&self, waker: &Waker) -> bool {
        let next = self.queued.borrow().front().and_then(|turn| turn.next(self.shared.durable()));
        let Some(sequence) = next else { return self.queued.borrow().is_empty() };
        let is_ready = || self.shared.outcome(sequence).is_some();
        if self.registered.get() == Some(sequence) {
            return !is_ready();
        }
        let entered = self.shared.waiters.enter(sequence, waker, is_ready);
        self.registered.set(entered.then_some(sequence));
        entered
    }
}

impl Turn {
    fn enter(&self, place: usize, waker: &Waker) {
        let mut wakers = self.wakers.borrow_mut();
        if wakers.len() <= place {
            wakers.resize(place + 1, None);
        }
        if !wakers[place].as_ref().is_some_and(|known| known.will_wake(waker)) {
            let replaced = wakers[place].replace(waker.clone());
            drop(wakers);
            drop(replaced);
        }
    }

    /// Wakes the tasks of entries up to sequence `through`; whether none is left.
    fn tell(&self, through: u64) -> bool {
        let Some(Ok(Queued { first, count })) = self.handed_over.get() else { return true };
        let ready = usize::try_from((through + 1).saturating_sub(first)).unwrap_or(usize::MAX).min(count);
        self.wake(0..ready);
        ready == count
    }

    fn wake(&self, places: Range<usize>) {
        for place in places {
            // Not under the borrow: whoever is woken may append.
            let waker = match self.wakers.borrow_mut().get_mut(place) {
                Some(waker) => waker.take(),
                None => return,
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The first sequence behind `durable`.
    fn next(&self, durable: u64) -> Option<u64> {
        let Queued { first, count } = self.handed_over.get()?.ok()?;
        let next = first.max(durable + 1);
        (next < first + count as u64).then_some(next)
    }
}
