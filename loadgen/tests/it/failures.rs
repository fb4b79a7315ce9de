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
    check_connection_error("malformed_answer", raw("SSH-2.0-OpenSSH\r\n\r\n"));
    check_connection_error(
        "malformed_answer",
        raw("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    );
    check_connection_error(
        "answer_too_large",
        raw("HTTP/1.1 201 Created\r\nContent-Length: 999999999\r\n\r\n"),
    );
    check_connection_error("surplus_bytes", raw("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}{}"));
}

/// What a balancer writes in the place of an answer is counted by its status, however its end is told.
#[test]
fn error_answers_are_counted_by_status_however_they_are_framed() {
    let check = |status: &str, reply: fn() -> Reply| {
        let server = TestServer::start(move |_| reply());
        let finished = Fixture::new(3).run(&server, &["--requests-max", "4", "--connections", "1"]);
        let result = finished.json();
        assert_eq!(result["errors_by_http_status"], json!({ status: 4 }), "{result}");
        assert_eq!(result["errors_by_connection"], json!({}), "{result}");
    };
    check("503", || Reply::RawThenClose(b"HTTP/1.1 503 Busy\r\n\r\n<html>".to_vec()));
    check("502", || {
        Reply::Raw(b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n0\r\n\r\n".to_vec())
    });
    check("503", || {
        Reply::Raw(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
}

/// An answer in chunks, behind interim responses, is an answer like any other.
#[test]
fn right_answers_are_right_behind_interim_ones_and_in_chunks() {
    let server = TestServer::start(|request| {
        let Reply::Json(status, body) = right_reply(request) else { unreachable!() };
        let body = body.to_string();
        let (one, two) = body.split_at(body.len() / 2);
        let chunks = format!("{:x}\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        let head = format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 {status} Created\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        Reply::Raw((head + &chunks).into_bytes())
    });
    let result = Fixture::new(10).run(&server, &["--requests-max", "20", "--connections", "1"]).json();
    assert_eq!((&result["right"], &result["errors"]), (&json!(20), &json!(0)), "{result}");
}

/// A run that somebody ends by a signal, without a terminal, is not lost.
#[test]
fn a_signal_ends_a_run_early_with_its_result() {
    for signal in ["INT", "TERM", "HUP"] {
        let server = TestServer::start(right_reply);
        let fixture = Fixture::new(10);
        let (url, out) = (server.url(), fixture.path("out.json"));
        let (targets, key) = (fixture.path("targets"), fixture.path("key"));
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", "--url", &url, "--rate", "50", "--duration-s", "60"])
            .args(["--targets", targets.to_str().unwrap(), "--key-file", key.to_str().unwrap()])
            .args(["--out", out.to_str().unwrap()])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while server.requests().len() < 20 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let sent = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let mut text = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 3 | 4)) && !text.is_empty(), "{signal}: {code:?}, {text}");
        let result: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
        assert!(result["right"].as_u64().unwrap() >= 19, "{signal}: {result}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_the_run() {
    let server = TestServer::start(right_reply);
    let fixture = Fixture::new(3);
    let missing = fixture.path("no/folder/out.json");
    let finished = fixture.run(&server, &["--requests-max", "4", "--out", missing.to_str().unwrap()]);
    assert!(finished.code == 1 && finished.stderr.contains("make its folder"), "{}", finished.stderr);
    assert_eq!(server.requests().len(), 0, "nothing was asked yet");
}

/// Editors and spreadsheets put a BOM before what they save.
#[test]
fn inputs_with_a_bom_are_read() {
    let server = TestServer::start(right_reply);
    let fixture = Fixture::new(5);
    for name in ["targets", "key"] {
        let text = std::fs::read_to_string(fixture.path(name)).unwrap();
        std::fs::write(fixture.path(name), format!("\u{FEFF}{text}")).unwrap();
    }
    let result = fixture.run(&server, &["--requests-max", "10", "--connections", "1"]).json();
    assert_eq!(result["right"], json!(10), "{result}");
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
