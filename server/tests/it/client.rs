//! A blocking HTTP client, and a raw one for what a well-behaved client would never send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

pub(crate) struct Client {
    agent: Agent,
    address: SocketAddr,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30)));
        Client { agent: config.build().into(), address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let url = format!("http://{}{path}", self.address);
        let request =
            headers.iter().fold(self.agent.get(url), |request, (name, value)| request.header(*name, *value));
        Reply::read(request.call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let url = format!("http://{}{path}", self.address);
        let request =
            headers.iter().fold(self.agent.post(url), |request, (name, value)| request.header(*name, *value));
        Reply::read(request.send(body).unwrap())
    }

    /// A JSON body with this provider's key.
    pub(crate) fn ask(&self, key: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {key}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.post("/v1/inquiries", &headers, body.to_string().as_bytes())
    }

    /// The same with an idempotency key.
    pub(crate) fn ask_as(&self, key: &str, idempotency_key: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {key}");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", idempotency_key),
        ];
        self.post("/v1/inquiries", &headers, body.to_string().as_bytes())
    }

    /// The same where the service may be gone before it has answered.
    pub(crate) fn try_ask(&self, key: &str, body: &Value) -> Option<Reply> {
        let request = self.agent.post(format!("http://{}/v1/inquiries", self.address));
        let request = request.header("Authorization", format!("Bearer {key}"));
        Reply::try_read(request.header("Content-Type", "application/json").send(body.to_string()).ok()?)
    }

    pub(crate) fn try_ask_personally(&self, body: &Value) -> Option<Reply> {
        let request = self.agent.post(format!("http://{}/v1/personal-inquiries", self.address));
        Reply::try_read(request.header("Content-Type", "application/json").send(body.to_string()).ok()?)
    }

    pub(crate) fn ask_personally(&self, body: &Value) -> Reply {
        self.post(
            "/v1/personal-inquiries",
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )
    }

    pub(crate) fn search(&self, key: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {key}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.post("/v1/desk/search", &headers, body.to_string().as_bytes())
    }

    /// The same with an idempotency key.
    pub(crate) fn ask_personally_as(&self, idempotency_key: &str, body: &Value) -> Reply {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", idempotency_key)];
        self.post("/v1/personal-inquiries", &headers, body.to_string().as_bytes())
    }

    pub(crate) fn look_up(&self, key: &str, tracking_code: &str) -> Reply {
        let authorization = format!("Bearer {key}");
        self.get(&format!("/v1/inquiries/{tracking_code}"), &[("Authorization", &authorization)])
    }
}

impl Reply {
    fn read(response: Response<ureq::Body>) -> Reply {
        Reply::try_read(response).unwrap()
    }

    fn try_read(mut response: Response<ureq::Body>) -> Option<Reply> {
        Some(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().read_to_string().ok()?,
        })
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem document with this status and code, and gives `field:code` of its errors.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let json = self.json();
        assert_eq!((self.status, json["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(json["status"], status);
        assert_eq!(json["type"], format!("urn:estehqaq:problem:{code}"));
        assert!(!json["title"].as_str().unwrap().is_empty() && !json["detail"].as_str().unwrap().is_empty());
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        let each = errors.iter().map(|error| {
            assert!(!error["message"].as_str().unwrap().is_empty());
            format!("{}:{}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap())
        });
        each.collect::<Vec<_>>().join(" ")
    }
}

/// Sends bytes as they are and reads until the server closes; `Connection: close` is the caller's to send.
pub(crate) fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A server that closed while we still sent resets the connection; what it had answered is here.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Sends a request on a connection that stays, and reads its answer to the end that its length tells.
pub(crate) fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let len = stream.read(&mut piece).unwrap();
        assert!(len > 0, "the server closed the connection");
        answer.extend_from_slice(&piece[..len]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let announced = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if body.len() == announced.unwrap().parse::<usize>().unwrap() {
            return text.into_owned();
        }
    }
}

/// The status line's code of a raw answer.
#[track_caller]
pub(crate) fn raw_status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status in {answer:?}"))
}
