//! What a connection's stream and the application above actix-http tell each other. Both run on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

/// Why a request is answered without having been understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its head is not HTTP/1.
    Malformed,
    /// Its head is too long, or has too many lines.
    HeadTooLarge,
    /// Its head did not come in time.
    HeadTimeout,
}

/// One connection, shared by its stream and the application.
#[derive(Clone, Default)]
pub(super) struct Connection(Rc<Shared>);

#[derive(Default)]
struct Shared {
    answer: Cell<Answer>,
    fault: Cell<Option<Fault>>,
    /// The stream's task, while it holds bytes back.
    stream: RefCell<Option<Waker>>,
}

/// What is known of the answer to the request that was passed on last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answer {
    /// The application is at work.
    #[default]
    Awaited,
    /// There is one; another request may follow.
    Given,
    /// There is one, and it is the last on this connection.
    Last,
}

impl Connection {
    /// The stream passes a request on.
    pub(super) fn asked(&self, fault: Option<Fault>) {
        self.0.answer.set(Answer::Awaited);
        self.0.fault.set(fault);
    }

    /// Why the request that was passed on stands for another one, if it does.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.0.fault.take()
    }

    /// The application has an answer.
    pub(super) fn answered(&self, is_last: bool) {
        self.0.answer.set(if is_last { Answer::Last } else { Answer::Given });
        if let Some(stream) = self.0.stream.take() {
            stream.wake();
        }
    }

    /// How the request that was passed on last fares.
    pub(super) fn answer(&self) -> Answer {
        self.0.answer.get()
    }

    /// The stream holds bytes back until there is an answer.
    pub(super) fn wake_when_answered(&self, stream: &Waker) {
        self.0.stream.replace(Some(stream.clone()));
    }
}
