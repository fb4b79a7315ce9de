//! The stream that actix-http reads: a socket of which it sees one well-formed request at a time.
//!
//! A request's bytes are passed on as they are, in the buffer they were read into. What follows is held back until
//! the request is answered, and dropped when that answer was the connection's last. In the place of a head that is
//! malformed, too large or late comes [`STAND_IN`], which the application answers with a problem document.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::body::{Body, Malformed};
use super::connection::{Answer, Connection, Fault};
use super::head::{Head, WholeHead, read_head, without_upgrade};

/// A request in the place of one that cannot be understood.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// One connection between its socket and actix-http.
pub(super) struct Stream<Io> {
    io: Io,
    connection: Connection,
    stage: Stage,
    /// Bytes that were read too early: of a head that is not whole, or behind the request at work.
    held: BytesMut,
    /// Bytes to pass on before anything else.
    passed: BytesMut,
    head_timeout: Duration,
    /// Runs while a head is awaited: from the start for the first one, from its first byte for the others.
    head_timer: Option<Pin<Box<Sleep>>>,
}

/// What the next byte from the socket is.
enum Stage {
    /// The first or a further one of a head.
    Head,
    /// One of a body.
    Body(Body),
    /// One of the next request, while the one before is at work.
    Next,
    /// Nothing that matters: the last answer is on its way.
    Dropped,
    /// The request is malformed: there is no next byte.
    Cut,
}

impl<Io> Stream<Io> {
    /// A connection's stream before its first byte.
    pub(super) fn new(io: Io, head_timeout: Duration) -> Stream<Io> {
        Stream {
            io,
            connection: Connection::default(),
            stage: Stage::Head,
            held: BytesMut::new(),
            passed: BytesMut::new(),
            head_timeout,
            head_timer: Some(Box::pin(sleep(head_timeout))),
        }
    }

    /// The application's end of it.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Takes the bytes of `buffer` behind the first `from`, which were just read, and leaves there what may pass.
    /// False when nothing may, and more must be read.
    fn take(&mut self, buffer: &mut ReadBuf<'_>, from: usize) -> bool {
        if !self.held.is_empty() || matches!(self.stage, Stage::Next) {
            self.hold(buffer, from);
            return false;
        }
        match &mut self.stage {
            Stage::Head => self.take_head(buffer, from),
            Stage::Body(_) => self.take_body(buffer, from),
            Stage::Next | Stage::Dropped | Stage::Cut => {
                buffer.set_filled(from);
                false
            }
        }
    }

    /// The usual case: a whole head, which passes where it is.
    fn take_head(&mut self, buffer: &mut ReadBuf<'_>, from: usize) -> bool {
        match read_head(&buffer.filled()[from..]) {
            Head::Whole(WholeHead { len, body, offers_upgrade: false }) => {
                self.begin(body);
                self.take_body(buffer, from + len);
                true
            }
            _ => {
                self.hold(buffer, from);
                false
            }
        }
    }

    /// The bytes behind `from` begin within a body: those of the body pass, those behind are held back.
    fn take_body(&mut self, buffer: &mut ReadBuf<'_>, from: usize) -> bool {
        let len = self.pass(&buffer.filled()[from..]);
        self.hold(buffer, from + len);
        len > 0
    }

    /// How many of `bytes` belong to the body, and what comes after them.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let Stage::Body(body) = &mut self.stage else { return 0 };
        match body.advance(bytes) {
            Ok(part) => {
                if part.is_last {
                    self.stage = Stage::Next;
                }
                part.len
            }
            Err(Malformed) => {
                self.stage = Stage::Cut;
                0
            }
        }
    }

    fn hold(&mut self, buffer: &mut ReadBuf<'_>, from: usize) {
        self.held.extend_from_slice(&buffer.filled()[from..]);
        buffer.set_filled(from);
    }

    fn begin(&mut self, body: Body) {
        self.head_timer = None;
        self.stage = Stage::Body(body);
        self.connection.asked(None);
    }

    /// Goes on to the next request once the one before is answered.
    fn go_on(&mut self) {
        match self.connection.answer() {
            Answer::Awaited => {}
            Answer::Given => {
                self.stage = Stage::Head;
                self.pass_held();
            }
            Answer::Last => {
                self.held.clear();
                self.stage = Stage::Dropped;
            }
        }
    }

    /// Moves what may pass from the held bytes.
    fn pass_held(&mut self) {
        if matches!(self.stage, Stage::Head) && !self.held.is_empty() {
            match read_head(&self.held) {
                Head::Whole(WholeHead { len, body, offers_upgrade }) => {
                    let head = self.held.split_to(len);
                    self.passed = if offers_upgrade { without_upgrade(&head) } else { head };
                    self.begin(body);
                }
                Head::Faulty(fault) => self.stand_in(fault),
                Head::Partial => {}
            }
        }
        if let Stage::Body(_) = self.stage {
            let held = std::mem::take(&mut self.held);
            let len = self.pass(&held);
            self.held = held;
            let body = self.held.split_to(len);
            self.passed.extend_from_slice(&body);
        }
    }

    /// Passes a request in the place of the one that cannot be understood; its answer is the last.
    fn stand_in(&mut self, fault: Fault) {
        self.head_timer = None;
        self.held.clear();
        self.passed = BytesMut::from(STAND_IN);
        self.connection.asked(Some(fault));
        self.stage = Stage::Next;
    }

    /// Whether a head that began, or the first one, is late. Arms the timer for a further one.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        if !matches!(self.stage, Stage::Head) {
            return false;
        }
        if self.head_timer.is_none() && !self.held.is_empty() {
            self.head_timer = Some(Box::pin(sleep(self.head_timeout)));
        }
        self.head_timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready())
    }
}

impl<Io: AsyncRead + Unpin> Stream<Io> {
    /// Reads from the socket until something may pass. Ready without a byte is its end.
    fn read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = buffer.filled().len();
        loop {
            // Enough is held: the client waits for the answer, and so does the rest.
            if matches!(self.stage, Stage::Next) && !self.held.is_empty() {
                self.connection.wake_when_answered(context.waker());
                return Poll::Pending;
            }
            ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
            if buffer.filled().len() == from || self.take(buffer, from) {
                return Poll::Ready(Ok(()));
            }
            self.pass_held();
            if !self.passed.is_empty() || matches!(self.stage, Stage::Cut) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let len = self.passed.len().min(buffer.remaining());
        buffer.put_slice(&self.passed[..len]);
        self.passed.advance(len);
        len > 0
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Stream<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.hand_over(buffer) {
            return Poll::Ready(Ok(()));
        }
        if matches!(stream.stage, Stage::Next) {
            stream.go_on();
        }
        if stream.passed.is_empty() && !matches!(stream.stage, Stage::Cut) {
            let before = buffer.filled().len();
            match stream.read(context, buffer) {
                Poll::Pending if stream.is_late(context) => stream.stand_in(Fault::HeadTimeout),
                Poll::Ready(Ok(())) if buffer.filled().len() == before => {}
                other => return other,
            }
        }
        stream.hand_over(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Stream<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
