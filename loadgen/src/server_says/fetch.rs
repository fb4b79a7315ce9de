//! One look at a page of metrics: HTTP/1.0, so that the answer comes whole and not in chunks, and the connection ends with
//! it. Bounded in time and size.

use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;

use crate::base_url::BaseUrl;
use crate::http::{BodyEnd, parse_head, unchunked};
use crate::sender::{Tls, TlsError, Trust, Wire};

/// For one look, from the name to the last byte.
pub(super) const TIME_MAX: Duration = Duration::from_secs(3);
/// The first bytes of what gzip wrote.
const GZIP_MAGIC: &[u8] = b"\x1F\x8B";
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the metrics cannot be asked for: {0}; is the address right?")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the metrics did not come within {} s", TIME_MAX.as_secs())]
    TimedOut,
    #[error("the metrics are longer than {} MiB", BYTES_MAX >> 20)]
    TooLarge,
    #[error("the metrics were asked for, and HTTP status {0} came instead of 200")]
    Status(u16),
    #[error("what came instead of metrics is no HTTP answer with plain text in it")]
    Malformed,
    #[error("the metrics ended early")]
    CutOff,
}

/// The page as text. The thread that asks is left behind where a system's resolver, which nobody can hurry, or a
/// handshake in drops takes longer.
pub(super) fn fetch(
    url: &BaseUrl,
    path: &str,
    trust: &Trust,
    time_max: Duration,
) -> Result<String, FetchError> {
    let (out, page) = mpsc::sync_channel(1);
    let (url, path, trust) = (url.clone(), path.to_owned(), trust.clone());
    let ends = Instant::now() + time_max;
    std::thread::Builder::new().name("server metrics".to_owned()).spawn(move || {
        // Nobody waits any more where it is too late.
        let _ = out.send(ask(&url, &path, &trust, ends));
    })?;
    page.recv_timeout(time_max).unwrap_or(Err(FetchError::TimedOut))
}

fn ask(url: &BaseUrl, path: &str, trust: &Trust, ends: Instant) -> Result<String, FetchError> {
    let tls = url.is_tls().then(|| Tls::new(url.host(), trust)).transpose()?;
    let mut wire = Wire::new(connect(url, ends)?, tls.as_ref())?;
    // A socket that blocks has more to wait for only when its time is over.
    wire.shake().map_err(timed)?.ok_or(FetchError::TimedOut)?;
    let authority = url.authority();
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
    );
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        let count = wire.write(rest).map_err(timed)?;
        rest = &rest[count..];
    }
    wire.flush().map_err(timed)?;
    body(&read_to_end(&mut wire, ends)?)
}

/// To the first address that takes a connection.
fn connect(url: &BaseUrl, ends: Instant) -> Result<TcpStream, FetchError> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in url.host_and_port().to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(ends)?) {
            Ok(stream) => {
                stream.set_read_timeout(Some(left(ends)?))?;
                stream.set_write_timeout(Some(left(ends)?))?;
                return Ok(stream);
            }
            Err(error) => refused = error,
        }
    }
    Err(timed(refused))
}

fn left(ends: Instant) -> Result<Duration, FetchError> {
    let left = ends.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(FetchError::TimedOut) } else { Ok(left) }
}

fn timed(error: io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => FetchError::TimedOut,
        _ => FetchError::Io(error),
    }
}

fn read_to_end(wire: &mut Wire, ends: Instant) -> Result<Vec<u8>, FetchError> {
    let (mut bytes, mut room) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        wire.stream().set_read_timeout(Some(left(ends)?))?;
        match wire.read(&mut room) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // TLS that ends without a goodbye; whether it was all, the head says.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(bytes),
            Err(error) => return Err(timed(error)),
        }
        if bytes.len() > BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
    }
}

/// The page in a whole answer, in chunks or not, compressed or not.
fn body(answer: &[u8]) -> Result<String, FetchError> {
    let head = parse_head(answer).ok().flatten().ok_or(FetchError::Malformed)?;
    if head.status != 200 {
        return Err(FetchError::Status(head.status));
    }
    let rest = &answer[head.head_len..];
    let body = match head.body {
        BodyEnd::Length(len) => rest.get(..len).ok_or(FetchError::CutOff)?.to_vec(),
        BodyEnd::Chunked => unchunked(rest).map_err(|_| FetchError::Malformed)?.ok_or(FetchError::CutOff)?.0,
        BodyEnd::Close => rest.to_vec(),
    };
    // Nobody asked for it, but some balancers compress whatever passes.
    let body = if body.starts_with(GZIP_MAGIC) { gunzipped(&body)? } else { body };
    String::from_utf8(body).map_err(|_| FetchError::Malformed)
}

fn gunzipped(body: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut page = Vec::new();
    let read = MultiGzDecoder::new(body).take(BYTES_MAX as u64 + 1).read_to_end(&mut page);
    read.map_err(|_| FetchError::Malformed)?;
    if page.len() > BYTES_MAX { Err(FetchError::TooLarge) } else { Ok(page) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    /// What comes of a server that reads the request, does this, and goes.
    fn fetched(
        serve: impl FnOnce(&mut TcpStream) + Send + 'static,
    ) -> (Result<String, FetchError>, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = BaseUrl::of(listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = vec![0; 1_024];
            let count = stream.read(&mut request).unwrap();
            let request = String::from_utf8(request[..count].to_vec()).unwrap();
            assert!(request.starts_with("GET /metrics?a=b HTTP/1.0\r\nHost: 127.0.0.1:"), "{request}");
            serve(&mut stream);
        });
        let begun = Instant::now();
        let found = fetch(&url, "/metrics?a=b", &Trust::default(), Duration::from_millis(700));
        let took = begun.elapsed();
        server.join().unwrap();
        (found, took)
    }

    #[test]
    fn a_page_comes_with_and_without_its_length() {
        let check = |answer: &'static str| {
            let (found, _) = fetched(|stream| stream.write_all(answer.as_bytes()).unwrap());
            assert_eq!(found.unwrap(), "a 1\n", "{answer}");
        };
        check("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\na 1\n");
        check("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na 1\n");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na \r\n2\r\n1\n\r\n0\r\n\r\n");
    }

    #[test]
    fn a_long_page_is_read_whole() {
        let page = "a 1\n".repeat(100_000);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        let (found, _) = fetched(move |stream| stream.write_all(answer.as_bytes()).unwrap());
        assert_eq!(found.unwrap(), page);
    }

    #[test]
    fn a_page_that_a_balancer_compressed_is_read() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"a 1\n").unwrap();
        let gzip = gzip.finish().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzip.len());
        let (found, _) = fetched(move |stream| stream.write_all(&[head.as_bytes(), &gzip].concat()).unwrap());
        assert_eq!(found.unwrap(), "a 1\n");
    }

    #[test]
    fn what_is_no_page_is_told() {
        let check = |answer: &'static str, words: &str| {
            let (found, _) = fetched(|stream| stream.write_all(answer.as_bytes()).unwrap());
            let error = found.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404 came");
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n", "ended early");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n", "ended early");
        check("SSH-2.0-x\r\n", "is no HTTP answer");
        let nobody = BaseUrl::parse("http://127.0.0.1:1").unwrap();
        let error = fetch(&nobody, "/metrics", &Trust::default(), TIME_MAX).unwrap_err().to_string();
        assert!(error.contains("cannot be asked for"), "{error}");
    }

    #[test]
    fn a_look_is_bounded_in_time_and_size() {
        let (found, took) = fetched(|stream| {
            // A byte now and then, so that no single read is late.
            for _ in 0..30 {
                std::thread::sleep(Duration::from_millis(50));
                if stream.write_all(b"H").is_err() {
                    return;
                }
            }
        });
        assert!(matches!(found, Err(FetchError::TimedOut)) && took < Duration::from_secs(2), "{took:?}");
        let (found, _) = fetched(|stream| {
            let line = [b'x'; 1 << 16];
            while stream.write_all(&line).is_ok() {}
        });
        assert!(matches!(found, Err(FetchError::TooLarge)), "{found:?}");
    }
}
