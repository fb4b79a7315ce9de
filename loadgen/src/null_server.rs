//! A server that does nothing but answer: what the client can do at best on this machine. One thread, loopback
//! only; every answer is well-formed and has a tracking code of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::poller::Poller;

/// A running null server; dropping it ends it.
pub(crate) struct NullServer {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const LISTENER: usize = usize::MAX >> 32;

impl NullServer {
    pub(crate) fn start() -> io::Result<NullServer> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, stop) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER, 0)?;
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("null server".to_owned()).spawn(move || {
            Serving { listener, poller, streams: Vec::new(), number: 0 }.run(&ended);
        })?;
        Ok(NullServer { address, stop, thread: Some(thread) })
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

struct Serving {
    listener: TcpListener,
    poller: Poller,
    streams: Vec<(TcpStream, Vec<u8>)>,
    number: u64,
}

impl Serving {
    fn run(mut self, stop: &AtomicBool) {
        let mut told = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            self.poller.wait(50_000_000, &mut told);
            for &(index, _) in &told {
                if index == LISTENER {
                    self.accept();
                } else {
                    self.serve(index);
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            if ready.and_then(|()| self.poller.add(&stream, self.streams.len(), 0)).is_ok() {
                self.streams.push((stream, Vec::new()));
            }
        }
    }

    /// Answers each whole request; they come one at a time on a connection.
    fn serve(&mut self, index: usize) {
        let mut buffer = [0; 4096];
        let (stream, inbox) = &mut self.streams[index];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => inbox.extend_from_slice(&buffer[..count]),
            }
            if !is_whole(inbox) {
                continue;
            }
            inbox.clear();
            self.number += 1;
            let body = format!(
                "{{\"tracking_code\":\"{:016}\",\"status\":\"covered\",\"notices\":[]}}",
                self.number
            );
            let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ";
            let answer = format!("{head}{}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Whether a request with its body is there.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    const NAME: &[u8] = b"Content-Length: ";
    let Some(at) = bytes[..end].windows(NAME.len()).position(|window| window == NAME) else { return true };
    let digits = bytes[at + NAME.len()..end].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    bytes.len() >= end + 4 + length
}
