//! Opens the connections of a run before its clock starts, TLS handshakes included, and deals them out to the
//! sender threads. Here a server that cannot be reached ends the run; later on it is a result.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::base_url::BaseUrl;
use crate::clock::us_up;
use crate::record::Opened;
use crate::sender::connection::Connection;
use crate::sender::tls::{HandshakeError, Tls};
use crate::sender::wire::Wire;

/// Why the connections could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("cannot find the host of --url: {0}; check the name")]
    Resolve(#[source] io::Error),
    #[error("cannot open connection {number} of {wanted} to {authority}: {source}; {}", advice(*number))]
    Connect { number: usize, wanted: usize, authority: String, source: io::Error },
    #[error("connection {number} of {wanted} to {authority}: {source}")]
    Handshake { number: usize, wanted: usize, authority: String, source: HandshakeError },
}

fn advice(number: usize) -> &'static str {
    if number == 1 {
        "is the server running there?"
    } else {
        "ask for fewer --connections, or raise the limits of open files and of the server's connections"
    }
}

/// What a connection failed for.
enum Fault {
    Connect(io::Error),
    Handshake(HandshakeError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Connect(error)
    }
}

/// The connections of each sender thread, each with the number of its key.
pub(crate) type Dealt = Vec<Vec<(Connection, usize)>>;

/// How to open a run's connections.
pub(crate) struct Opening<'a> {
    pub(crate) url: &'a BaseUrl,
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) wanted: usize,
    /// For TCP, and for each step of a TLS handshake.
    pub(crate) timeout: Duration,
}

impl Opening<'_> {
    /// Opens them one after the other, over as many keys, for at most as many threads.
    pub(crate) fn open(&self, keys: usize, threads: usize) -> Result<(Dealt, Vec<Opened>), OpenError> {
        let threads = threads.min(self.wanted);
        let mut dealt: Dealt = std::iter::repeat_with(Vec::new).take(threads).collect();
        let (address, (connection, first)) = self.open_first()?;
        let mut opened = Vec::with_capacity(self.wanted);
        dealt[0].push((connection, 0));
        opened.push(first);
        for number in 1..self.wanted {
            let (connection, one) = self.open_one(address).map_err(|fault| self.error(number + 1, fault))?;
            dealt[number % threads].push((connection, number % keys.max(1)));
            opened.push(one);
        }
        Ok((dealt, opened))
    }

    /// The first address that takes a connection takes them all: `localhost` may be ::1 or 127.0.0.1.
    fn open_first(&self) -> Result<(SocketAddr, (Connection, Opened)), OpenError> {
        let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.url.host_and_port().to_socket_addrs().map_err(OpenError::Resolve)? {
            match self.open_one(address) {
                Ok(one) => return Ok((address, one)),
                Err(Fault::Connect(error)) => refused = error,
                Err(fault) => return Err(self.error(1, fault)),
            }
        }
        Err(self.error(1, Fault::Connect(refused)))
    }

    fn open_one(&self, address: SocketAddr) -> Result<(Connection, Opened), Fault> {
        let from = Instant::now();
        let stream = TcpStream::connect_timeout(&address, self.timeout)?;
        let tcp_us = us_since(from);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let from = Instant::now();
        let mut wire = Wire::new(stream, self.tls)?;
        let shaken = wire.shake().map_err(|error| Fault::Handshake(error.into()))?;
        // A socket that blocks has more to wait for only when its time is over.
        let handshake = shaken.ok_or(Fault::Handshake(HandshakeError::TimedOut))?;
        let tls = handshake.map(|kind| (us_since(from), kind));
        wire.stream().set_nonblocking(true)?;
        Ok((Connection::new(address, Some(wire)), Opened { tcp_us, tls, is_reconnect: false }))
    }

    fn error(&self, number: usize, fault: Fault) -> OpenError {
        let (wanted, authority) = (self.wanted, self.url.authority());
        match fault {
            Fault::Connect(source) => OpenError::Connect { number, wanted, authority, source },
            Fault::Handshake(source) => OpenError::Handshake { number, wanted, authority, source },
        }
    }
}

fn us_since(from: Instant) -> u32 {
    us_up(u64::try_from(from.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
