//! Connections themselves: offers of other protocols, closing, heads that are malformed, large or late.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::ServeSettings;

use crate::client::{exchange, raw, raw_status};
use crate::site::{Setup, Site};

/// A general inquiry with more header lines.
fn inquiry(site: &Site, more: &str) -> String {
    let body = json!({"person_id": "5742616694"}).to_string();
    format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         {more}Content-Length: {}\r\n\r\n{body}",
        site.keys.clinic,
        body.len()
    )
}

/// Asserts that a raw answer is a problem document with this status and code, and closes the connection.
#[track_caller]
fn assert_last_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    let head = head.to_ascii_lowercase();
    assert_eq!(raw_status(answer), status, "{answer}");
    assert!(
        head.contains("content-type: application/problem+json") && head.contains("connection: close"),
        "{head}"
    );
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status)));
}

#[test]
fn an_offer_of_another_protocol_is_ignored_and_the_connection_stays() {
    let site = Site::usual();
    let mut stream = TcpStream::connect(site.address()).unwrap();
    for offer in [
        "Connection: upgrade\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.3\r\n",
        "Upgrade: websocket\r\n",
        "Connection: TE, Keep-Alive\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n",
    ] {
        let answer = exchange(&mut stream, &inquiry(&site, offer));
        assert_eq!(raw_status(&answer), 201, "{offer}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("connection: "), "{offer}: {answer}");
    }
    let last = exchange(&mut stream, &inquiry(&site, "Connection: upgrade, close\r\nUpgrade: websocket\r\n"));
    assert!(raw_status(&last) == 201 && last.to_ascii_lowercase().contains("connection: close"), "{last}");
}

#[test]
fn nothing_is_answered_behind_a_closing_answer() {
    let site = Site::usual();
    let before = site.running().ledger_stats().entries;
    let two = inquiry(&site, "Connection: close\r\n") + &inquiry(&site, "");
    let answers = raw(site.address(), two.as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    let too_large = "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n";
    let refused = format!("{too_large}{}{}", " ".repeat(5000), inquiry(&site, ""));
    let answers = raw(site.address(), refused.as_bytes());
    let closes = answers.to_ascii_lowercase().contains("connection: close");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), if closes { 1 } else { 2 }, "{answers}");
    let entries = site.running().ledger_stats().entries - before;
    assert_eq!(entries, if closes { 1 } else { 2 }, "and no entry says otherwise");
}

#[test]
fn pipelined_requests_that_come_in_pieces_are_answered_in_order() {
    let site = Site::usual();
    let three = [inquiry(&site, ""), "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), inquiry(&site, "")];
    for step in [1, 7, 64, 300] {
        let mut stream = TcpStream::connect(site.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in three.concat().as_bytes().chunks(step) {
            stream.write_all(piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["201", "200", "201"], "{step} bytes at a time: {answers}");
    }
}

#[test]
fn heads_that_are_not_http_get_problem_documents() {
    let site = Site::usual();
    for malformed in [
        "\u{16}\u{3}\u{1} a handshake of TLS\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    ] {
        assert_last_problem(&raw(site.address(), malformed.as_bytes()), 400, "malformed_request");
    }
    for large in [format!("X: {}\r\n", "y".repeat(20_000)), "X: y\r\n".repeat(100)] {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{large}\r\n");
        assert_last_problem(&raw(site.address(), head.as_bytes()), 431, "head_too_large");
    }
    let behind_a_good_one = format!("{}BAD\r\n\r\n", inquiry(&site, ""));
    let answers = raw(site.address(), behind_a_good_one.as_bytes());
    assert!(answers.starts_with("HTTP/1.1 201 ") && answers.contains("HTTP/1.1 400 "), "{answers}");
    assert_eq!(site.metric("estehqaq_requests_total{endpoint=\"other\",class=\"4xx\"}"), 11);
}

#[test]
fn every_head_of_a_connection_must_come_in_time() {
    let usual = Setup::usual();
    let settings = ServeSettings { head_timeout_ms: 300, ..usual.settings.clone() };
    let site = Setup { settings, ..usual }.start();
    let mut stream = TcpStream::connect(site.address()).unwrap();
    for _ in 0..2 {
        assert_eq!(raw_status(&exchange(&mut stream, &inquiry(&site, ""))), 201);
        sleep(Duration::from_millis(500)); // Idle between requests is not late.
    }
    let began = Instant::now();
    stream.write_all(b"POST /v1/inquiries HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_last_problem(&answer, 408, "request_timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn chunks_that_break_off_or_break_the_rules_get_one_answer() {
    let site = Site::usual();
    let before = site.running().ledger_stats().entries;
    let head = inquiry(&site, "Transfer-Encoding: chunked\r\n");
    let head = head.split("Content-Length").next().unwrap();
    for chunks in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}XX0\r\n\r\n", "5\r\n{}"] {
        let mut stream = TcpStream::connect(site.address()).unwrap();
        stream.write_all(format!("{head}\r\n{chunks}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{chunks:?}: {answer}");
        assert_eq!(raw_status(&answer), 400, "{chunks:?}: {answer}");
    }
    assert_eq!(site.running().ledger_stats().entries, before);
}
