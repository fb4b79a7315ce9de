//! A program that runs on (`serve`, `demo`), with what it has written so far.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, program, words};
use crate::client::Client;
use crate::site::wait_until;

/// Everything that `serve` needs, as [`Folder`] names its files.
pub(crate) const SERVE: &str = "serve --snapshots snapshots --ledger ledger --providers providers.toml \
                                --secrets secrets.toml --listen 127.0.0.1:0";

pub(crate) struct Serving {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

impl Serving {
    /// Starts it; it may or may not get ready.
    pub(crate) fn start(folder: &Folder, line: &str) -> Serving {
        let mut command = program();
        command.current_dir(folder.root()).args(words(line));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Stream::read(child.stdout.take().unwrap());
        let stderr = Stream::read(child.stderr.take().unwrap());
        Serving { child, stdout, stderr }
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until `serve` says that it is ready, and where.
    #[track_caller]
    pub(crate) fn client(&mut self) -> Client {
        let address = |log: &str| {
            let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
            events.into_iter().find(|event| event["message"] == "ready").map(|event| event["address"].clone())
        };
        wait_until("the service is ready", || {
            let ended = self.child.try_wait().unwrap();
            assert_eq!(ended, None, "it ended: {}", self.stderr.so_far());
            address(&self.stderr.so_far()).is_some()
        });
        let address = address(&self.stderr.so_far()).unwrap();
        Client::new(address.as_str().unwrap().parse::<SocketAddr>().unwrap())
    }

    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// SIGTERM ends it in order; what it wrote to stderr.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> String {
        self.signal("TERM");
        let began = Instant::now();
        let code = self.child.wait().unwrap().code();
        let log = self.stderr.whole();
        assert_eq!(code, Some(0), "{log}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        log
    }

    /// SIGKILL, as a power failure would end it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended.
        let _ = self.child.wait();
    }
}

struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Stream {
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = text.clone();
        let reading = thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut part) {
                into.lock().unwrap().extend_from_slice(&part[..len]);
            }
        });
        Stream { text, reading: Some(reading) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Once the program has ended.
    fn whole(&mut self) -> String {
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        self.so_far()
    }
}
