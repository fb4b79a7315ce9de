//! A plain thread that looks at something every second, and at once when it is asked to. Off the request
//! path: what it does may take minutes.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The hold on the thread. Dropping it lets the thread end by itself, after a look under way: an opening that
/// takes minutes must not hold up a stop, and nothing depends on its end.
pub(crate) struct Watcher {
    wake: Sender<()>,
}

impl Watcher {
    /// Starts a thread of this name. `look` is called at once and then every second; its argument says
    /// whether it was asked for.
    pub(crate) fn start(name: &str, mut look: impl FnMut(bool) + Send + 'static) -> io::Result<Watcher> {
        let (wake, woken) = channel();
        let run = move || {
            look(false);
            loop {
                match woken.recv_timeout(INTERVAL) {
                    Ok(()) => look(true),
                    Err(RecvTimeoutError::Timeout) => look(false),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Watcher { wake })
    }

    /// Looks as soon as the thread is free.
    pub(crate) fn look_now(&self) {
        let _ = self.wake.send(()); // A thread that is gone looks no more.
    }
}
