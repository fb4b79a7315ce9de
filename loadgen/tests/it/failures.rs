//! Servers that fail: error statuses, lost connections, silence, answers that are no HTTP.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Fixture;
use crate::server::{Reply, TestServer, json_bytes, right_reply};

/// Every request meets the same failure; it must be counted under this name, and nothing else.
#[track_caller]
fn check_connection_error(name: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) {
    let server = TestServer::start(move |_| reply());
    let fixture = Fixture::new(3);
    let finished =
        fixture.run(&server, &["--requests-max", "4", "--connections", "1", "--timeout-ms", "2000"]);
    let result = finished.json();
    assert_eq!(finished.code, 3, "{result}");
    assert_eq!(result["errors_by_connection"], json!({ name: 4 }));
    assert_eq!(
        (&result["errors"], &result["wrong_answers"], &result["right"]),
        (&json!(4), &json!(0), &json!(0))
    );
    assert_eq!(result["latency_us"]["samples"], 0, "what got no answer has no latency");
    assert_eq!(
        (&result["connections"]["reconnects"], server.connections()),
        (&json!(3), 4),
        "one connection for each request"
    );
}

#[test]
fn lost_connections_are_counted_and_opened_again() {
    check_connection_error("closed_before_answer", || Reply::RawThenClose(Vec::new()));
    let whole = json_bytes(201, &json!({"tracking_code": "1000000000000000"}));
    let head = whole[..30].to_vec();
    check_connection_error("closed_mid_answer", move || Reply::RawThenClose(head.clone()));
    let short = whole[..whole.len() - 1].to_vec();
    check_connection_error("closed_mid_answer", move || Reply::RawThenClose(short.clone()));
}

#[test]
fn answers_that_are_not_http_as_agreed_are_named() {
    let raw = |text: &'static str| move || Reply::Raw(text.into());
    check_connection_error(
        "chunked_answer",
        raw("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    );
    check_connection_error("malformed_answer", raw("SSH-2.0-OpenSSH\r\n\r\n"));
    check_connection_error("malformed_answer", raw("HTTP/1.1 201 Created\r\n\r\n{}"));
    check_connection_error(
        "answer_too_large",
        raw("HTTP/1.1 201 Created\r\nContent-Length: 999999999\r\n\r\n"),
    );
    check_connection_error("surplus_bytes", raw("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}{}"));
}

#[test]
fn a_connection_lost_once_costs_one_request() {
    let server = TestServer::start(|request| match request.number {
        5 => Reply::RawThenClose(b"HTTP/1.1 201 Cre".to_vec()),
        _ => right_reply(request),
    });
    let result = Fixture::new(10).run(&server, &["--requests-max", "20", "--connections", "1"]).json();
    assert_eq!(
        (&result["right"], &result["errors"], &result["connections"]["reconnects"]),
        (&json!(19), &json!(1), &json!(1))
    );
    assert_eq!(server.requests().len(), 20, "a lost request is not sent again");
}

#[test]
fn an_announced_close_is_no_error() {
    let server = TestServer::start(|request| {
        let Reply::Json(status, body) = right_reply(request) else { unreachable!() };
        let text = String::from_utf8(json_bytes(status, &body)).unwrap();
        Reply::RawThenClose(text.replacen("\r\n", "\r\nConnection: close\r\n", 1).into_bytes())
    });
    let finished = Fixture::new(10).run(&server, &["--requests-max", "5", "--connections", "1"]);
    assert_eq!((finished.code, &finished.json()["connections"]["reconnects"]), (0, &json!(4)));
}

#[test]
fn error_statuses_are_counted_by_status_and_not_timed() {
    let server = TestServer::start(|request| match request.number % 4 {
        0 => Reply::Json(503, json!({"code": "unavailable"})),
        1 => Reply::Json(429, json!({"code": "rate_limited"})),
        2 => Reply::Json(422, json!({"code": "date_not_allowed", "detail": "…"})),
        _ => right_reply(request),
    });
    let finished = Fixture::new(10).run(&server, &["--requests-max", "20", "--connections", "1"]);
    let result = finished.json();
    assert_eq!(finished.code, 3);
    assert_eq!(result["errors_by_http_status"], json!({"422": 5, "429": 5, "503": 5}));
    let counts = ["requests", "right", "wrong_answers", "errors"].map(|name| result[name].clone());
    assert_eq!(counts, [20, 5, 0, 15].map(Value::from));
    assert_eq!(result["connections"]["reconnects"], 0);
    assert_eq!(result["latency_us"]["samples"], 5);
}

#[test]
fn a_silent_server_is_timed_out_and_the_timeout_is_timed() {
    let server = TestServer::start(|_| Reply::Late(Duration::from_secs(30)));
    let started = Instant::now();
    let more = ["--requests-max", "4", "--connections", "2", "--timeout-ms", "200"];
    let finished = Fixture::new(10).run(&server, &more);
    assert!(started.elapsed() < Duration::from_secs(5), "it hung for {:?}", started.elapsed());
    let result = finished.json();
    assert_eq!((finished.code, &result["errors_by_connection"]), (3, &json!({"timeout": 4})));
    assert_eq!(result["latency_us"]["samples"], 4);
    assert!(result["latency_us"]["max"].as_u64().unwrap() >= 200_000);
}

/// The answer to a request that timed out must not be taken for the answer to the next one.
#[test]
fn a_late_answer_does_not_reach_the_next_request() {
    let server = TestServer::start(|request| match request.number {
        0 => Reply::Late(Duration::from_millis(1_400)),
        _ => {
            std::thread::sleep(Duration::from_millis(500));
            right_reply(request)
        }
    });
    let more = ["--requests-max", "5", "--connections", "1", "--timeout-ms", "1000"];
    let result = Fixture::new(10).run(&server, &more).json();
    assert_eq!(
        (&result["right"], &result["wrong_answers"], &result["errors"]),
        (&json!(4), &json!(0), &json!(1))
    );
}

#[test]
fn slow_answers_are_slow_and_nothing_else() {
    let server = TestServer::start(|_| Reply::Late(Duration::from_millis(30)));
    let finished = Fixture::new(10).run(&server, &["--requests-max", "10", "--connections", "5"]);
    let result = finished.json();
    assert_eq!((finished.code, &result["right"]), (0, &json!(10)));
    assert!(result["latency_us"]["max"].as_u64().unwrap() >= 30_000);
}
