//! Runs that somebody ends before their time: what had no answer by then is stated, and is nobody's error.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::base_url::BaseUrl;
use crate::live::LiveFeed;
use crate::null_server::NullServer;
use crate::result::{RunResult, Verdict};
use crate::run::{Setup, run};
use crate::scenario::Scenario;

/// Takes every connection and request, and never says a word.
fn silent_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
        }
    });
    address
}

/// A run of a minute at 200/s over 4 connections that is ended after half a second.
fn ended_early(address: SocketAddr) -> (RunResult, Duration) {
    let text = "connections = 4\ntimeout_ms = 30000\n[[stage]]\nkind = \"constant\"\nrate_per_s = 200\n\
                duration_s = 60\n";
    let scenario = Scenario::parse("early", text).unwrap();
    let setup = Setup::made_up(1, 1);
    let (feed, begun) = (LiveFeed::default(), Instant::now());
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            feed.request_stop();
        });
        run(&setup, &scenario, &BaseUrl::of(address), &feed).unwrap()
    });
    (result, begun.elapsed())
}

#[test]
fn what_was_in_flight_when_a_run_was_ended_is_no_error() {
    let (result, took) = ended_early(silent_server());
    let total = &result.total;
    assert!(took < Duration::from_secs(10), "it waited for time-outs: {took:?}");
    assert_eq!((total.errors, total.answers(), total.requests), (0, 0, 4), "four connections, four requests");
    assert!(total.in_flight_when_ended > 50, "{}", total.in_flight_when_ended);
    assert_eq!(total.in_flight_when_ended, total.intended);
    assert_eq!(total.latency_us.summary().samples, 0);
    assert!(result.timeline.points.iter().all(|point| point.completed + point.errors == 0));
    assert_eq!((result.verdict.verdict, result.ended_by.as_str()), (Verdict::Invalid, "interrupted"));
}

#[test]
fn a_server_that_answers_leaves_nothing_in_flight() {
    let server = NullServer::start().unwrap();
    let (result, _) = ended_early(server.address);
    let total = &result.total;
    assert_eq!((total.errors, total.in_flight_when_ended), (0, 0));
    assert!(total.answers() > 50 && total.answers() == total.intended, "{}", total.intended);
}
