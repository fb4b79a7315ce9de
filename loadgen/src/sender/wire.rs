//! What bytes go over: a bare socket, or TLS on one. On a socket that does not block, nothing here waits.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, HandshakeKind};

use crate::record::Handshake;
use crate::sender::tls::Tls;

/// An open socket, and the TLS on it where there is any.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    /// Takes over a socket that is connected or connecting.
    pub(crate) fn new(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Wire> {
        let tls = tls.map(Tls::connection).transpose()?.map(Box::new);
        Ok(Wire { stream, tls })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Goes on with the TLS handshake; `None` when more must come. There is none on a bare socket.
    pub(crate) fn shake(&mut self) -> io::Result<Option<Option<Handshake>>> {
        let Some(tls) = &mut self.tls else { return Ok(Some(None)) };
        loop {
            write_encrypted(tls, &mut self.stream)?;
            if !tls.is_handshaking() {
                let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
                return Ok(Some(Some(if resumed { Handshake::Resumed } else { Handshake::Full })));
            }
            match read_encrypted(tls, &mut self.stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                // What was received is used up; a connection that has ended says so instead.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            read_encrypted(tls, &mut self.stream)?;
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => tls.writer().write(bytes),
        }
    }

    /// Hands on what was written but still lies in this process, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => write_encrypted(tls, &mut self.stream),
        }
    }

    /// Whether `flush` has something left to do.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Tells a TLS server that the connection ends here and was not cut.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Whom it does not reach any more sees the socket close.
            let _ = write_encrypted(tls, &mut self.stream);
        }
    }
}

/// A refusal of what came is told to the server too; errors of TLS are `InvalidData`, which sockets do not know.
fn read_encrypted(tls: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<usize> {
    let count = tls.read_tls(stream)?;
    if let Err(error) = tls.process_new_packets() {
        // The alert is a courtesy.
        let _ = write_encrypted(tls, stream);
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(count)
}

fn write_encrypted(tls: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(stream) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
