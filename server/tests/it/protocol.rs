//! HTTP itself: paths, methods, sizes, content types, slow bodies, languages of errors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use server::ServeSettings;

use crate::client::{exchange, raw, raw_status};
use crate::site::{Setup, Site};

#[test]
fn unknown_paths_and_wrong_methods_are_problems() {
    let site = Site::usual();
    for path in [
        "/",
        "/v1",
        "/v1/inquiries/",
        "/v1/inquiries/1/2",
        "/v2/inquiries",
        "/5742616694",
        "/v1/%2e%2e/livez",
    ] {
        let reply = site.client.get(path, &[]);
        reply.problem(404, "not_found");
        assert!(!reply.text.contains("5742616694"));
    }
    for (path, allow) in [("/v1/inquiries", "POST"), ("/v1/personal-inquiries", "POST")] {
        let reply = site.client.get(path, &[]);
        reply.problem(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), allow);
    }
    for path in ["/v1/inquiries/1234567890123456", "/livez", "/readyz", "/metrics"] {
        let reply = site.client.post(path, &[], b"");
        reply.problem(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), "GET, HEAD");
    }
}

#[test]
fn errors_are_persian_unless_english_is_asked_for() {
    let site = Site::usual();
    let persian = site.client.get("/nowhere", &[]);
    assert_eq!((persian.header("content-language"), &persian.json()["title"]), ("fa", &json!("یافت نشد")));
    let english = site.client.get("/nowhere", &[("Accept-Language", "en")]);
    assert_eq!((english.header("content-language"), &english.json()["title"]), ("en", &json!("Not found")));
    let preferred = site.client.get("/nowhere", &[("Accept-Language", "en;q=0.4, fa-IR;q=0.6")]);
    assert_eq!(preferred.header("content-language"), "fa");
}

#[test]
fn only_plain_json_is_taken() {
    let site = Site::usual();
    let body = json!({"person_id": "5742616694"}).to_string();
    let authorization = format!("Bearer {}", site.keys.clinic);
    let post = |more: &[(&str, &str)]| {
        let headers: Vec<_> =
            [("Authorization", authorization.as_str())].iter().chain(more).copied().collect();
        site.client.post("/v1/inquiries", &headers, body.as_bytes())
    };
    for content_type in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", "json", ";"]
    {
        post(&[("Content-Type", content_type)]).problem(415, "unsupported_media_type");
    }
    post(&[("Content-Type", "application/json"), ("Content-Encoding", "gzip")])
        .problem(415, "unsupported_media_type");
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
        assert_eq!(post(&[("Content-Type", content_type)]).status, 201, "{content_type}");
    }
    let bare =
        "POST /v1/personal-inquiries HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(raw_status(&raw(site.address(), bare.as_bytes())), 415);
}

#[test]
fn four_kib_is_the_limit_however_a_body_is_sent() {
    let site = Site::usual();
    let body_of = |len: usize| {
        let short = json!({"person_id": "5742616694"}).to_string();
        format!("{short}{}", " ".repeat(len - short.len()))
    };
    let head = format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n",
        site.keys.clinic
    );
    for (len, status) in [(4096, 201), (4097, 413), (100_000, 413)] {
        let whole = format!("{head}Content-Length: {len}\r\n\r\n{}", body_of(len));
        let answer = raw(site.address(), whole.as_bytes());
        assert_eq!(raw_status(&answer), status, "{len} bytes at once");
        assert_eq!(answer.contains("body_too_large"), status == 413);
        let body = body_of(len);
        let chunks = body.as_bytes().chunks(1000);
        let chunks =
            chunks.map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()));
        let chunked =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>());
        assert_eq!(raw_status(&raw(site.address(), chunked.as_bytes())), status, "{len} bytes in chunks");
    }
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let usual = Setup::usual();
    let settings = ServeSettings { body_timeout_ms: 200, ..usual.settings.clone() };
    let site = Setup { settings, ..usual }.start();
    let head = "POST /v1/personal-inquiries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{\"person_id\":";
    let began = Instant::now();
    let answer = raw(site.address(), head.as_bytes());
    assert_eq!(raw_status(&answer), 408, "{answer}");
    assert!(answer.contains("request_timeout"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    let usual = Setup::usual();
    let settings = ServeSettings { head_timeout_ms: 200, ..usual.settings.clone() };
    let site = Setup { settings, ..usual }.start();
    let began = Instant::now();
    let answer = raw(site.address(), b"POST /v1/personal-inquiries HTTP/1.1\r\nHost: x\r\n");
    assert_eq!(raw_status(&answer), 408, "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_body_cut_off_is_no_inquiry() {
    let site = Site::usual();
    let before = site.running().ledger_stats().entries;
    let mut stream = TcpStream::connect(site.address()).unwrap();
    let whole = json!({"person_id": "5742616694", "mobile": "09121234567"}).to_string();
    let head = "POST /v1/personal-inquiries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    stream.write_all(format!("{head}Content-Length: 500\r\n\r\n{whole}").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains(" 201 "), "{answer}");
    assert_eq!(site.running().ledger_stats().entries, before);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::usual();
    let body = json!({"person_id": "5742616694"}).to_string();
    let one = |close: &str| {
        format!(
            "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             {close}Content-Length: {}\r\n\r\n{body}",
            site.keys.clinic,
            body.len()
        )
    };
    let answers =
        raw(site.address(), format!("{}{}{}", one(""), one(""), one("Connection: close\r\n")).as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 201 Created").count(), 3, "{answers}");
}

#[test]
fn a_refusal_leaves_the_connection_usable() {
    let site = Site::usual();
    let one = |key: &str, content_type: &str, body: &str| {
        format!(
            "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let good = json!({"person_id": "5742616694"}).to_string();
    for (status, refused) in [
        (401, one("no.key", "application/json", &good)),
        (403, one(&site.keys.ops, "application/json", &good)),
        (415, one(&site.keys.clinic, "text/plain", &good)),
        (400, one(&site.keys.clinic, "application/json", "{")),
        (422, one(&site.keys.clinic, "application/json", "{}")),
    ] {
        let mut stream = TcpStream::connect(site.address()).unwrap();
        assert_eq!(raw_status(&exchange(&mut stream, &refused)), status);
        let next = one(&site.keys.clinic, "application/json", &good);
        assert_eq!(raw_status(&exchange(&mut stream, &next)), 201, "after {status}");
    }
}
