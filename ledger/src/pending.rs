//! An entry on its way to stable storage, as a future that needs no particular runtime.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::commit::Shared;
use crate::error::AppendError;
use crate::tracking_code::TrackingCode;

/// Resolves when the entry is on stable storage, or when it is known that it will not get there. Dropping it
/// does not take the entry back.
#[must_use = "an answer may leave only after its entry is on stable storage"]
pub struct Pending {
    shared: Arc<Shared>,
    receipt: Receipt,
    /// Once it has had to wait.
    registered: bool,
}

/// Where an entry is, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the ledger's order.
    pub sequence: u64,
    /// What leads back to it.
    pub tracking_code: TrackingCode,
}

impl Receipt {
    pub(crate) fn new(shared: &Shared, sequence: u64) -> Receipt {
        Receipt { sequence, tracking_code: shared.keys.code(shared.ledger, sequence) }
    }
}

impl Pending {
    pub(crate) fn new(shared: Arc<Shared>, sequence: u64) -> Pending {
        // Computed here, beside the sync and outside of every lock.
        let receipt = Receipt::new(&shared, sequence);
        Pending { shared, receipt, registered: false }
    }

    /// The sequence that the entry has, if it gets to stable storage.
    pub fn sequence(&self) -> u64 {
        self.receipt.sequence
    }

    /// Waits, blocking this thread.
    ///
    /// # Errors
    /// [`AppendError::Failed`] when a write or sync failed.
    pub fn wait(mut self) -> Result<Receipt, AppendError> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl Future for Pending {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (shared, sequence) = (&this.shared, this.receipt.sequence);
        if shared.outcome(sequence).is_none() {
            this.registered |=
                shared.waiters.enter(sequence, context.waker(), || shared.outcome(sequence).is_some());
        }
        match shared.outcome(sequence) {
            Some(result) => Poll::Ready(result.map(|()| this.receipt)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.registered {
            self.shared.waiters.leave(self.receipt.sequence);
        }
    }
}

/// Wakes a blocked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
