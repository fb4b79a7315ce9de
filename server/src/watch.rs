//! A plain thread that looks at something again and again, and at once when it is told to. Off the request path:
//! what it does may take minutes.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Why it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The time has come.
    Due,
    /// Something that it had set going is done.
    Told,
    /// Somebody asked for it: also what was refused is tried again.
    Asked,
}

enum Wake {
    Look(Look),
    Stop,
}

/// Makes a watcher look.
#[derive(Clone)]
pub(crate) struct Waker(Sender<Wake>);

impl Waker {
    /// Looks as soon as the thread is free.
    pub(crate) fn look(&self, why: Look) {
        let _ = self.0.send(Wake::Look(why)); // A thread that is gone looks no more.
    }
}

/// The hold on the thread. Dropping it lets the thread end by itself, after a look under way: nothing depends on
/// its end.
pub(crate) struct Watcher(Waker);

impl Watcher {
    /// Starts a thread of this name. `look` is called at once and then at that interval.
    pub(crate) fn start(
        name: &str,
        interval: Duration,
        mut look: impl FnMut(Look, &Waker) + Send + 'static,
    ) -> io::Result<Watcher> {
        let (wake, woken) = channel();
        let waker = Waker(wake);
        let watcher = Watcher(waker.clone());
        let run = move || {
            look(Look::Due, &waker);
            while let Some(why) = next(&woken, interval) {
                look(why, &waker);
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(watcher)
    }

    /// For others who may tell it to look.
    pub(crate) fn waker(&self) -> &Waker {
        &self.0
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.0.send(Wake::Stop); // A thread that is gone has stopped.
    }
}

/// Why to look next; none when it is to stop.
fn next(woken: &Receiver<Wake>, interval: Duration) -> Option<Look> {
    match woken.recv_timeout(interval) {
        Ok(Wake::Look(why)) => Some(why),
        Err(RecvTimeoutError::Timeout) => Some(Look::Due),
        Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => None,
    }
}
