//! `capacity`, `compare` and `calibrate` through the binary, against live servers.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Request, TestServer, right_reply};
use crate::tls::Authority;
use crate::{Finished, Fixture, loadgen};

/// A search with the fixture's targets and key.
fn capacity(fixture: &Fixture, server: &TestServer, more: &[&str]) -> Finished {
    let url = server.url();
    let (targets, key) = (fixture.path("targets"), fixture.path("key"));
    let files = ["--targets", targets.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    let finished = loadgen(&[&["capacity", "--json", "--url", &url], &files[..], more].concat());
    fixture.assert_nothing_leaked(&finished);
    finished
}

/// Answers one after the other, each in its turn: so many a second and no more.
fn at_most(per_s: f64) -> impl Fn(&Request) -> crate::server::Reply {
    let free_at = Mutex::new(Instant::now());
    move |request| {
        let turn = {
            let mut free_at = free_at.lock().unwrap();
            let turn = (*free_at).max(Instant::now());
            *free_at = turn + Duration::from_secs_f64(1.0 / per_s);
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
        right_reply(request)
    }
}

/// What every finished search must be like, whatever it found.
#[track_caller]
fn check_steps(result: &Value, budget_s: u64) {
    assert_eq!((&result["kind"], &result["budget_s"]), (&json!("capacity"), &json!(budget_s)));
    let steps = result["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    let ended_ms = last["started_at_ms"].as_u64().unwrap() + last["duration_ms"].as_u64().unwrap();
    assert!(ended_ms < budget_s * 1_000, "{ended_ms} ms");
    for step in steps {
        assert!(step["rate_per_s"].as_f64().unwrap() > 0.0);
        assert_eq!(step["verdict"] == "met", step["reasons"].as_array().unwrap().is_empty(), "{step}");
    }
}

/// A server of 400/s, over TLS: found, bounded, and told as the server's limit.
#[test]
fn the_capacity_of_a_server_is_found_between_its_bounds() {
    let (fixture, authority) = (Fixture::new(50), Authority::new());
    let ca = authority.file(&fixture);
    let server = TestServer::start_with(Some(authority.side()), at_most(400.0));
    let report = fixture.path("report.html");
    let more = ["--ca", &ca, "--goal", "p50_us=500000", "--from-rate", "300", "--rate-max", "4000"];
    let rest = [
        "--step-s",
        "1",
        "--repeats",
        "1",
        "--budget-s",
        "120",
        "--connections",
        "24",
        "--timeout-ms",
        "2000",
    ];
    let files = ["--report", report.to_str().unwrap()];
    let finished = capacity(&fixture, &server, &[&more[..], &rest, &files].concat());
    let result = finished.json();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    check_steps(&result, 120);
    let rate = result["capacity_per_s"].as_f64().unwrap();
    assert!((280.0..750.0).contains(&rate), "{rate}");
    let interval: [f64; 2] = [0, 1].map(|bound| result["interval_per_s"][bound].as_f64().unwrap());
    assert!(interval[0] <= rate && rate < interval[1] && interval[1] < 900.0, "{interval:?}");
    assert_eq!((&result["limited_by"], &result["ended_by_budget"]), (&json!("server"), &json!(false)));
    let phases = ["exponential", "bisect", "confirm"];
    for phase in phases {
        assert!(result["steps"].as_array().unwrap().iter().any(|step| step["phase"] == phase), "{phase}");
    }
    assert!(finished.stderr.lines().count() == result["steps"].as_array().unwrap().len());
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("id=\"latency-over-rate\"") && page.contains("limited by the server"));
}

/// The server could do anything; the client takes 4 ms over each answer.
#[test]
fn a_client_that_cannot_follow_is_told_from_a_server_that_cannot() {
    let fixture = Fixture::new(50);
    let more =
        ["--goal", "p50_us=100000", "--from-rate", "80", "--rate-max", "4000", "--handicap-us", "4000"];
    let rest = ["--step-s", "1", "--repeats", "1", "--budget-s", "90"];
    let finished = capacity(&fixture, &TestServer::right(), &[&more[..], &rest].concat());
    let result = finished.json();
    check_steps(&result, 90);
    assert_eq!(result["limited_by"], "client", "{}{}", finished.stdout, finished.stderr);
    let steps = result["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["verdict"] == "invalid"));
    assert!(result["verdict"]["reasons"].to_string().contains("the client"), "{}", result["verdict"]);
    if let Some(rate) = result["capacity_per_s"].as_f64() {
        assert!(rate < 260.0, "busy for more than 80 % of the time at {rate}/s");
        assert_eq!(finished.code, 0);
    } else {
        assert_eq!(finished.code, 4);
    }
}

/// Not even the first rate is met, and the budget leaves no time to go far down.
#[test]
fn a_search_ends_with_its_budget_and_says_so() {
    let fixture = Fixture::new(50);
    let server = TestServer::start(|request| {
        std::thread::sleep(Duration::from_millis(1_200));
        right_reply(request)
    });
    let more = ["--goal", "p50_us=600000", "--from-rate", "100", "--step-s", "1", "--connections", "160"];
    let started = Instant::now();
    let finished =
        capacity(&fixture, &server, &[&more[..], &["--repeats", "1", "--budget-s", "30"]].concat());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let result = finished.json();
    check_steps(&result, 30);
    assert_eq!((finished.code, &result["ended_by_budget"]), (3, &json!(true)), "{result}");
    assert_eq!((&result["capacity_per_s"], &result["limited_by"]), (&Value::Null, &json!("server")));
    let reasons = result["verdict"]["reasons"].to_string();
    assert!(
        reasons.contains("the search was ended by its budget of 30 s, not by what it found"),
        "{reasons}"
    );
}

#[test]
fn searches_that_can_find_nothing_are_refused() {
    let (fixture, server) = (Fixture::new(5), TestServer::right());
    let check = |more: &[&str], words: &str| {
        let finished = capacity(&fixture, &server, more);
        assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    };
    check(&[], "capacity needs a goal on latency");
    check(&["--goal", "errors_share_max=0.1"], "capacity needs a goal on latency");
    check(&["--goal", "p50_us=1000", "--from-rate", "9", "--rate-max", "8"], "must not exceed --rate-max");
    check(&["--goal", "p99_9_us=1000", "--budget-s", "300"], "--budget-s 300: one try at --from-rate and");
    assert!(server.requests().is_empty());
}

/// B takes 350 ms longer and so loses its goal, which must not end its turns early; over TLS, one authority for both.
#[test]
fn two_live_servers_take_turns_and_are_told_apart() {
    let (fixture, authority) = (Fixture::new(50), Authority::new());
    let ca = authority.file(&fixture);
    let a = TestServer::start_with(Some(authority.side()), right_reply);
    let b = TestServer::start_with(Some(authority.side()), |request| {
        std::thread::sleep(Duration::from_millis(350));
        right_reply(request)
    });
    let scenario = fixture.path("scenario.toml");
    let text = "abort_on_miss = true\nconnections = 64\n[[stage]]\nkind = \"constant\"\nrate_per_s = 120\nduration_s = 3\n\
                [goals]\np50_us = 250000\n";
    std::fs::write(&scenario, text).unwrap();
    let (targets, key) = (fixture.path("targets"), fixture.path("key"));
    let (a_url, b_url) = (a.url(), b.url());
    let urls = ["compare", "--json", "--a-url", &a_url, "--b-url", &b_url, "--ca", &ca];
    let files = ["--targets", targets.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    let more = ["--scenario", scenario.to_str().unwrap(), "--rounds", "1"];
    let finished = loadgen(&[&urls[..], &files, &more].concat());
    fixture.assert_nothing_leaked(&finished);
    let result = finished.json();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(result["b"]["verdict"], "missed", "{}", result["b"]);
    let sides: Vec<&Value> =
        result["rounds"].as_array().unwrap().iter().map(|round| &round["side"]).collect();
    assert_eq!(sides, ["a", "b", "b", "a"]);
    assert_eq!((&result["a"]["label"], &result["b"]["label"]), (&json!(a_url), &json!(b_url)));
    let p50 = &result["ratios"][0];
    assert_eq!(p50["what"], "p50_us");
    assert!(p50["ratio"].as_f64().unwrap() > 2.0, "{p50}");
    assert!(finished.stderr.contains("4 turns of 3 s, 0.2 minutes\n"), "{}", finished.stderr);
    assert_eq!(result["turns_a_side"], 2);
    let notes = result["notes"].to_string();
    assert!(
        notes.contains("2 turns a side are too few turns to tell a difference, 5 are the least"),
        "{notes}"
    );
    // Each pair of turns asks the same.
    let asked = |server: &TestServer| {
        let mut people: Vec<String> =
            server.requests().iter().map(|request| request.body["person_id"].to_string()).collect();
        people.sort();
        people
    };
    assert!(asked(&a).len() > 300);
    assert_eq!(asked(&a), asked(&b));
}

#[test]
fn two_servers_need_a_scenario_and_its_files() {
    let check = |args: &[&str], words: &str| {
        let finished = loadgen(&[&["compare"], args].concat());
        assert_eq!(finished.code, 2, "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    };
    check(&["--a-url", "http://127.0.0.1:1"], "--b-url");
    check(&["one.json", "two.json", "--a-url", "http://127.0.0.1:1"], "cannot be used with");
    check(&["one.json"], "2 values required");
}

#[test]
fn a_calibration_states_its_ceiling_and_floor() {
    let fixture = Fixture::new(1);
    let out = fixture.path("calibration.json");
    let args =
        ["calibrate", "--from-rate", "500", "--rate-max", "1000", "--step-s", "1", "--goal-us", "500000"];
    let finished = loadgen(&[&args[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(
        finished.stdout.starts_with("calibration against the built-in null server"),
        "{}",
        finished.stdout
    );
    assert!(finished.stdout.contains("\nceiling  1000 a second\n"), "{}", finished.stdout);
    let result: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!((&result["kind"], &result["ceiling_per_s"]), (&json!("calibration"), &json!(1_000.0)));
    let floor = result["floor_us"]["p50"].as_u64().unwrap();
    assert!((5..50_000).contains(&floor), "{floor} µs through two threads and a socket");
    assert!(result["floor_us"]["samples"].as_u64().unwrap() > 9_000, "{}", result["floor_us"]);
    assert!(result["lateness_us"]["p50"].as_u64().unwrap() <= floor);
}
