//! A small HTTP server on threads: keeps every request, answers what the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
}

impl TestServer {
    pub(crate) fn start(behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            requests: Mutex::default(),
            connections: AtomicU64::new(0),
            next: AtomicU64::new(0),
            behaviour: Box::new(behaviour),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                state.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        TestServer { port, state }
    }

    /// One that does everything right.
    pub(crate) fn right() -> TestServer {
        TestServer::start(right_reply)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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

fn serve(mut stream: TcpStream, state: &State) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((head, body)) = read_request(&mut reader) {
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
        if stream.write_all(&bytes).is_err() || !keep {
            return;
        }
    }
}

pub(crate) fn json_bytes(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap()))
}
