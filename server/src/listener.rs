//! An HTTP server on a thread of its own, from listening to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use actix_web::dev::{Server, ServerHandle};
use actix_web::rt;

use crate::serve::ServeError;

/// A server that listens. Dropping it without [`Listener::end`] cuts its connections.
pub(crate) struct Listener {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Listener {
    /// Runs what `bind` makes on a thread of that name; returns once it listens. `flag` is for messages. `at_end` is
    /// called when it has ended, for whatever reason.
    pub(crate) fn start(
        name: &str,
        flag: &'static str,
        listen: SocketAddr,
        bind: impl FnOnce() -> io::Result<(SocketAddr, Server)> + Send + 'static,
        at_end: impl FnOnce() + Send + 'static,
    ) -> Result<Listener, ServeError> {
        let (started, listening) = channel();
        let run = move || {
            let ended = rt::System::new().block_on(async {
                match bind() {
                    Ok((address, server)) => {
                        let _ = started.send(Ok((address, server.handle())));
                        server.await
                    }
                    Err(source) => {
                        let _ = started.send(Err(source));
                        Ok(())
                    }
                }
            });
            at_end();
            ended
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run).map_err(ServeError::Start)?;
        let started = listening.recv().map_err(|_| ServeError::Http("it did not start".to_owned()))?;
        let (address, handle) = started.map_err(|source| ServeError::Listen { flag, listen, source })?;
        Ok(Listener { address, handle, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it and waits for its end; `graceful` lets requests under way end first.
    pub(crate) fn end(&mut self, graceful: bool) -> Result<(), ServeError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        drop(self.handle.stop(graceful)); // The command is sent; its future only tells the end.
        match thread.join() {
            Ok(ended) => ended.map_err(|error| ServeError::Http(error.to_string())),
            Err(_) => Err(ServeError::Http("it panicked".to_owned())),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.end(false); // Nobody is left to tell.
    }
}
