//! One connection: sends a request, reads its answer, and opens anew what was lost.
//!
//! A request is never sent twice: it may have been written to the server's ledger before the connection
//! broke. A connection whose request timed out is dropped, so that a late answer cannot be taken for the
//! next one's.

use std::io;
use std::net::SocketAddr;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::http::{BODY_BYTES_MAX, HEAD_BYTES_MAX, Head, HeadError, parse_head};

/// Why a request got no complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LinkError {
    ConnectFailed,
    /// The connection ended before the first byte of the answer, also when it had idled too long.
    ClosedBeforeAnswer,
    ClosedMidAnswer,
    Timeout,
    ChunkedAnswer,
    MalformedAnswer,
    AnswerTooLarge,
    /// Bytes after the answer that nobody asked for.
    SurplusBytes,
}

/// A complete answer, borrowed from the connection that brought it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// A connection to the server, open or to be opened at the next request.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    stream: Option<TcpStream>,
    inbox: Vec<u8>,
    reconnects: u64,
}

impl Link {
    /// Opens a connection.
    pub(crate) async fn open(address: SocketAddr, deadline: Instant) -> io::Result<Link> {
        let stream = timeout_at(deadline, connect(address)).await.map_err(io::Error::from)??;
        Ok(Link { address, stream: Some(stream), inbox: Vec::with_capacity(4096), reconnects: 0 })
    }

    /// How often the connection had to be opened again.
    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Sends `request` and waits for its answer until `deadline`.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Answer<'_>, LinkError> {
        let result = timeout_at(deadline, self.exchange_unbounded(request)).await;
        let result = result.unwrap_or(Err(LinkError::Timeout));
        if !result.is_ok_and(|head| head.keep_alive) {
            self.stream = None;
        }
        let head = result?;
        Ok(Answer { status: head.status, body: &self.inbox[head.head_len..] })
    }

    async fn exchange_unbounded(&mut self, request: &[u8]) -> Result<Head, LinkError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = connect(self.address).await.map_err(|_| LinkError::ConnectFailed)?;
                self.reconnects += 1;
                none.insert(stream)
            }
        };
        stream.write_all(request).await.map_err(|_| LinkError::ClosedBeforeAnswer)?;
        read_answer(stream, &mut self.inbox).await
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads until `inbox` holds exactly one answer.
///
/// A second answer that comes in a later packet is not seen here; it shows as a wrong or repeated answer
/// to the next request.
async fn read_answer(stream: &mut TcpStream, inbox: &mut Vec<u8>) -> Result<Head, LinkError> {
    inbox.clear();
    loop {
        // `read_buf` fills spare capacity, which bounds a read; a flood ends at the checks below.
        let count = stream.read_buf(inbox).await.unwrap_or(0);
        if count == 0 {
            let nothing = inbox.is_empty();
            return Err(if nothing { LinkError::ClosedBeforeAnswer } else { LinkError::ClosedMidAnswer });
        }
        if let Some(head) = parse_head(inbox)? {
            let answer_len = head.head_len + head.body_len;
            if inbox.len() > answer_len {
                return Err(LinkError::SurplusBytes);
            }
            if inbox.len() == answer_len {
                return Ok(head);
            }
        }
        if inbox.len() > HEAD_BYTES_MAX + BODY_BYTES_MAX {
            return Err(LinkError::AnswerTooLarge);
        }
    }
}

impl From<HeadError> for LinkError {
    fn from(error: HeadError) -> LinkError {
        match error {
            HeadError::Malformed => LinkError::MalformedAnswer,
            HeadError::Chunked => LinkError::ChunkedAnswer,
            HeadError::TooLarge => LinkError::AnswerTooLarge,
        }
    }
}
