//! A small HTTP server on threads, with or without TLS: keeps every request, answers what the test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// One request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// From 0, over all connections.
    pub(crate) number: u64,
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn is_personal(&self) -> bool {
        self.head.starts_with("POST /v1/personal-inquiries HTTP/1.1\r\n")
    }
}

/// What the server does with a request.
pub(crate) enum Reply {
    Json(u16, Value),
    /// These bytes, then the connection goes on.
    Raw(Vec<u8>),
    /// These bytes, then the connection is closed.
    RawThenClose(Vec<u8>),
    /// The right answer, late.
    Late(Duration),
}

type Behaviour = dyn Fn(&Request) -> Reply + Send + Sync;

/// TLS as a test's server speaks it.
pub(crate) struct TlsSide {
    pub(crate) config: Arc<ServerConfig>,
    /// Slept away before each handshake but those of the first so many connections.
    pub(crate) slow: (u64, Duration),
}

/// Listens on a port of its own until the test process ends.
pub(crate) struct TestServer {
    port: u16,
    state: Arc<State>,
}

struct State {
    requests: Mutex<Vec<Request>>,
    connections: AtomicU64,
    next: AtomicU64,
    behaviour: Box<Behaviour>,
    tls: Option<TlsSide>,
    /// Full and resumed handshakes, as the server saw them.
    handshakes: [AtomicU64; 2],
}

impl TestServer {
    pub(crate) fn start(behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> TestServer {
        TestServer::start_with(None, behaviour)
    }

    pub(crate) fn start_with(
        tls: Option<TlsSide>,
        behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            requests: Mutex::default(),
            connections: AtomicU64::new(0),
            next: AtomicU64::new(0),
            behaviour: Box::new(behaviour),
            tls,
            handshakes: Default::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                let number = state.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || welcome(stream.unwrap(), number, &state));
            }
        });
        TestServer { port, state }
    }

    /// One that does everything right.
    pub(crate) fn right() -> TestServer {
        TestServer::start(right_reply)
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Full and resumed TLS handshakes so far.
    pub(crate) fn handshakes(&self) -> [u64; 2] {
        [0, 1].map(|kind| self.state.handshakes[kind].load(Ordering::SeqCst))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }
}

/// The answer that `target` in `main.rs` expects, with a tracking code of its own.
pub(crate) fn right_reply(request: &Request) -> Reply {
    let text = |field: &str| request.body[field].as_str().unwrap_or_default().to_owned();
    let last = text("person_id").as_bytes()[9] - b'0';
    if request.is_personal() && last == 8 {
        return Reply::Json(403, json!({"type": "about:blank", "status": 403, "code": "mobile_mismatch"}));
    }
    let covered = last.is_multiple_of(2);
    let mut notices = vec![];
    if text("care") == "inpatient" {
        notices.push(json!({"code": "overlap_check_required", "message": "…"}));
    }
    if !covered {
        notices.push(json!({"code": "objection_line", "message": "…"}));
    }
    let mut answer = json!({
        "tracking_code": format!("{:016}", 1_000_000_000_000_000 + request.number),
        "status": if covered { "covered" } else { "not_covered" },
        "message": "…", "notices": notices, "as_of": "2026-11-22",
    });
    if request.is_personal() {
        answer["reason"] = json!({"code": if covered { "active" } else { "ended" }, "message": "…"});
        answer["end_date"] = if last == 6 { Value::Null } else { json!("2026-11-22") };
        answer["open_ended"] = json!(last == 6);
    }
    Reply::Json(201, answer)
}

/// `right_reply` after a change to its JSON; the status stays.
pub(crate) fn changed_reply(request: &Request, change: impl Fn(&mut Value)) -> Reply {
    match right_reply(request) {
        Reply::Json(status, mut body) => {
            change(&mut body);
            Reply::Json(status, body)
        }
        other => other,
    }
}

/// Shakes hands where there is TLS, and serves the connection until it ends.
fn welcome(mut stream: TcpStream, number: u64, state: &State) {
    stream.set_nodelay(true).unwrap();
    let Some(tls) = &state.tls else { return serve(stream, state) };
    if number >= tls.slow.0 {
        std::thread::sleep(tls.slow.1);
    }
    let mut connection = ServerConnection::new(Arc::clone(&tls.config)).unwrap();
    while connection.is_handshaking() {
        // Who does not like the certificate goes away.
        if connection.complete_io(&mut stream).is_err() {
            return;
        }
    }
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    state.handshakes[usize::from(resumed)].fetch_add(1, Ordering::SeqCst);
    serve(StreamOwned::new(connection, stream), state);
}

fn serve(stream: impl Read + Write, state: &State) {
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = read_request(&mut stream) {
        let number = state.next.fetch_add(1, Ordering::SeqCst);
        let request = Request { number, head, body };
        state.requests.lock().unwrap().push(request.clone());
        let (bytes, keep) = match (state.behaviour)(&request) {
            Reply::Json(status, body) => (json_bytes(status, &body), true),
            Reply::Raw(bytes) => (bytes, true),
            Reply::RawThenClose(bytes) => (bytes, false),
            Reply::Late(delay) => {
                std::thread::sleep(delay);
                let Reply::Json(status, body) = right_reply(&request) else { unreachable!() };
                (json_bytes(status, &body), true)
            }
        };
        if send(stream.get_mut(), &bytes).is_err() || !keep {
            return;
        }
    }
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

pub(crate) fn json_bytes(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(Some(0), |length| length.parse().ok())?];
    reader.read_exact(&mut body).ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Some((head, body))
}
