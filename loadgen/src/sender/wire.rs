//! What bytes go over: a bare socket, or TLS on one. Non-blocking either way.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// How to speak TLS; there is none yet, so a value cannot be made.
#[derive(Debug, Clone)]
pub(crate) enum Tls {}

/// An open socket.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Takes over a socket that does not block.
    pub(crate) fn new(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Wire> {
        match tls {
            None => Ok(Wire { stream }),
            Some(tls) => match *tls {},
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn is_tls(&self) -> bool {
        false
    }

    /// Goes on with the handshake: whether it is done, and then whether it took up an earlier session.
    pub(crate) fn shake(&mut self) -> io::Result<Option<bool>> {
        Ok(Some(false))
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    /// Hands on what was written but still lies in this process.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
