//! One connection: a non-blocking socket, what is still to be written, what has come so far.
//!
//! A request is never sent twice: it may have been written to the server's ledger before the connection
//! broke. A connection whose request timed out is dropped, so that a late answer cannot be taken for the
//! next one's.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::http::{BODY_BYTES_MAX, BodyEnd, HEAD_BYTES_MAX, HeadError, parse_head, unchunked};
use crate::record::{Handshake, LinkError};
use crate::sender::tls::Tls;
use crate::sender::wire::Wire;

/// A complete answer, borrowed from the connection that brought it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// An answer that is all there.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) keep_alive: bool,
    /// Where in the inbox the body stands.
    body: Range<usize>,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Closed,
    /// Since this time.
    Connecting(u64),
    /// TCP took so many microseconds; TLS since this time.
    Shaking(u32, u64),
    Open,
}

/// A connection to the server, open or to be opened at the next request.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    pub(crate) phase: Phase,
    wire: Option<Wire>,
    inbox: Vec<u8>,
    filled: usize,
    outbox: Vec<u8>,
    written: usize,
    /// Requests sent since it was opened.
    pub(crate) carried: u64,
    /// Differs with each opening, so that a late event is not taken for the new socket's.
    pub(crate) incarnation: u32,
}

const INBOX_BYTES: usize = 4096;

impl Connection {
    /// Takes an open socket over, or begins without one.
    pub(crate) fn new(address: SocketAddr, wire: Option<Wire>) -> Connection {
        Connection {
            address,
            phase: if wire.is_some() { Phase::Open } else { Phase::Closed },
            wire,
            inbox: vec![0; INBOX_BYTES],
            filled: 0,
            outbox: Vec::with_capacity(1024),
            written: 0,
            carried: 0,
            incarnation: 0,
        }
    }

    pub(crate) fn stream(&self) -> Option<&TcpStream> {
        self.wire.as_ref().map(Wire::stream)
    }

    pub(crate) fn close(&mut self) {
        if let Some(mut wire) = self.wire.take() {
            wire.say_goodbye();
        }
        self.phase = Phase::Closed;
        self.carried = 0;
    }

    /// Begins to open it; the socket says later whether that worked.
    pub(crate) fn begin_connect(&mut self, now_ns: u64, tls: Option<&Tls>) -> io::Result<()> {
        let stream = connect_without_waiting(self.address)?;
        self.wire = Some(Wire::new(stream, tls)?);
        self.phase = Phase::Connecting(now_ns);
        self.incarnation = self.incarnation.wrapping_add(1);
        Ok(())
    }

    /// Whether the socket that is connecting has got through.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        let Some(stream) = self.stream() else { return Ok(false) };
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream.peer_addr().is_ok()),
        }
    }

    /// Goes on with the TLS handshake; `None` when more must come. There is none on a bare socket.
    pub(crate) fn shake(&mut self) -> io::Result<Option<Option<Handshake>>> {
        match &mut self.wire {
            Some(wire) => wire.shake(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The place for the next request; forgets the last answer.
    pub(crate) fn outbox(&mut self) -> &mut Vec<u8> {
        (self.filled, self.written) = (0, 0);
        self.outbox.clear();
        &mut self.outbox
    }

    /// Writes what the socket takes; the rest waits until it takes more.
    pub(crate) fn flush(&mut self) -> Result<(), LinkError> {
        let Some(wire) = &mut self.wire else { return Err(LinkError::ClosedBeforeAnswer) };
        while self.written < self.outbox.len() {
            match wire.write(&self.outbox[self.written..]) {
                Ok(0) => return Err(LinkError::ClosedBeforeAnswer),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(LinkError::ClosedBeforeAnswer),
            }
        }
        wire.flush().map_err(|_| LinkError::ClosedBeforeAnswer)
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        self.written < self.outbox.len() || self.wire.as_ref().is_some_and(Wire::has_unwritten)
    }

    /// Whether an idle connection has ended, or brings what nobody asked for.
    pub(crate) fn is_over(&mut self) -> bool {
        let Some(wire) = &mut self.wire else { return true };
        let mut bytes = [0; 16];
        !matches!(wire.read(&mut bytes), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads until the answer is whole; `None` when more must come.
    ///
    /// A second answer that comes in a later packet is not seen here; it ends the connection when it comes.
    pub(crate) fn receive(&mut self) -> Result<Option<Whole>, LinkError> {
        loop {
            let Some(wire) = &mut self.wire else { return Err(LinkError::ClosedBeforeAnswer) };
            if self.filled == self.inbox.len() {
                self.inbox.resize(self.filled * 2, 0);
            }
            let count = match wire.read(&mut self.inbox[self.filled..]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(LinkError::TlsFailed),
                Err(_) => 0,
            };
            if count == 0
                && let Some(whole) = self.whole(true)?
            {
                return Ok(Some(whole));
            }
            if count == 0 {
                let nothing = self.filled == 0;
                return Err(if nothing { LinkError::ClosedBeforeAnswer } else { LinkError::ClosedMidAnswer });
            }
            self.filled += count;
            let whole = self.whole(false)?;
            if whole.is_some() {
                return Ok(whole);
            }
        }
    }

    /// The answer in the inbox, if it is all there; `at_end` once the server has closed the connection.
    fn whole(&mut self, at_end: bool) -> Result<Option<Whole>, LinkError> {
        let received = &self.inbox[..self.filled];
        if let Some(head) = parse_head(received)? {
            let rest = &received[head.head_len..];
            let (body_len, answer_len) = match head.body {
                BodyEnd::Length(len) if len > BODY_BYTES_MAX => return Err(LinkError::AnswerTooLarge),
                BodyEnd::Length(len) => (len, head.head_len + len),
                BodyEnd::Close if at_end => (rest.len(), self.filled),
                BodyEnd::Close => (0, usize::MAX),
                BodyEnd::Chunked => match unchunked(rest)? {
                    Some((body, len)) => {
                        // In the place of its chunks, which are longer.
                        self.inbox[head.head_len..][..body.len()].copy_from_slice(&body);
                        (body.len(), head.head_len + len)
                    }
                    None => (0, usize::MAX),
                },
            };
            if self.filled > answer_len {
                return Err(LinkError::SurplusBytes);
            }
            if self.filled == answer_len {
                let body = head.head_len..head.head_len + body_len;
                return Ok(Some(Whole { status: head.status, keep_alive: head.keep_alive, body }));
            }
        }
        if self.filled > HEAD_BYTES_MAX + BODY_BYTES_MAX {
            return Err(LinkError::AnswerTooLarge);
        }
        Ok(None)
    }

    /// The answer that `receive` found whole.
    pub(crate) fn answer(&self, whole: &Whole) -> Answer<'_> {
        Answer { status: whole.status, body: &self.inbox[whole.body.clone()] }
    }
}

fn connect_without_waiting(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl From<HeadError> for LinkError {
    fn from(error: HeadError) -> LinkError {
        match error {
            HeadError::Malformed => LinkError::MalformedAnswer,
            HeadError::TooLarge => LinkError::AnswerTooLarge,
        }
    }
}
