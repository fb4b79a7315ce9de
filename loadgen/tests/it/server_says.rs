//! What the server's own metrics say of a run: asked for once before and once after, never meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::server::{Reply, TestServer, right_reply};
use crate::tls::Authority;
use crate::{Finished, Fixture, loadgen};

fn page(text: &str) -> Reply {
    Reply::RawThenClose(
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes(),
    )
}

/// One that counts a sync for each inquiry, each tenth of which took more than 5 ms.
fn behaviour() -> impl Fn(&crate::server::Request) -> Reply + Send + Sync {
    let syncs = AtomicU64::new(100);
    move |request| {
        if !request.head.starts_with("GET /metrics HTTP/1.0\r\n") {
            syncs.fetch_add(1, Ordering::SeqCst);
            return right_reply(request);
        }
        let all = syncs.load(Ordering::SeqCst);
        let quick = all - all / 10;
        page(&format!(
            "# TYPE sync_seconds histogram\nsync_seconds_bucket{{le=\"0.005\"}} {quick}\n\
             sync_seconds_bucket{{le=\"0.05\"}} {all}\nsync_seconds_bucket{{le=\"+Inf\"}} {all}\n"
        ))
    }
}

#[test]
fn the_server_is_asked_before_and_after_and_its_words_stand_beside_the_result() {
    let (fixture, authority) = (Fixture::new(20), Authority::new());
    let ca = authority.file(&fixture);
    let server = TestServer::start_with(Some(authority.side()), behaviour());
    let url = server.url();
    let more =
        ["--ca", &ca, "--rate", "200", "--duration-s", "1", "--warmup-s", "1", "--server-metrics", &url];
    let names = ["--server-histogram", "sync_seconds", "--server-histogram", "not_there"];
    let result = fixture.run(&server, &[&more[..], &names].concat()).json();
    let requests = server.requests();
    let asked: Vec<usize> = (0..requests.len()).filter(|at| requests[*at].head.starts_with("GET")).collect();
    assert_eq!(asked, [0, requests.len() - 1], "once before the first inquiry, once after the last");
    let says = &result["server_says"];
    assert_eq!(says["url"], format!("{url}/metrics"));
    let count = requests.len() as u64 - 2;
    let slow = (100 + count) / 10 - 10;
    let over = json!([{"bound": 0.005, "count": slow}, {"bound": 0.05, "count": 0}]);
    let found = json!({"name": "sync_seconds", "count": count, "over": over, "failure": null});
    assert_eq!(says["histograms"][0], found);
    assert_eq!(says["histograms"][1]["count"], Value::Null);
    let failure = says["histograms"][1]["failure"].as_str().unwrap();
    assert!(failure.starts_with("before the run: there is no histogram of this name"), "{failure}");
}

/// Whatever goes wrong with it, the run is a run.
#[test]
fn a_look_that_fails_is_told_and_ends_nothing() {
    let (fixture, server) = (Fixture::new(5), TestServer::right());
    let metrics =
        TestServer::start(|_| Reply::RawThenClose(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let check = |url: &str, words: &str| {
        let more = ["--requests-max", "5", "--server-metrics", url, "--server-histogram", "sync_seconds"];
        let finished = fixture.run(&server, &more);
        let result = finished.json();
        assert_eq!((finished.code, &result["right"]), (0, &json!(5)), "{}", finished.stderr);
        let failure = result["server_says"]["histograms"][0]["failure"].as_str().unwrap();
        assert!(failure.starts_with("before the run: ") && failure.contains(words), "{failure}");
    };
    check(&metrics.url(), "HTTP status 503 came instead of 200");
    check("http://127.0.0.1:1/metrics", "the metrics cannot be asked for");
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let (fixture, server) = (Fixture::new(1), TestServer::right());
    let check = |more: &[&str], words: &str| {
        let finished: Finished = fixture.run(&server, &[&["--requests-max", "1"], more].concat());
        assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    };
    check(&["--server-metrics", "http://127.0.0.1:1"], "--server-histogram <NAME>");
    check(&["--server-histogram", "a"], "--server-metrics <URL>");
    check(&["--server-metrics", "x", "--server-histogram", "a"], "--server-metrics: must begin with");
    check(
        &["--server-metrics", "http://h", "--server-histogram", "a b"],
        "--server-histogram a b: no metric",
    );
    assert!(server.requests().is_empty());
    assert_eq!(loadgen(&["capacity", "--server-metrics", "http://h"]).code, 2, "runs only");
}
