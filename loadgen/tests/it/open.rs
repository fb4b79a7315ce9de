//! Open-loop runs: what they see that a closed loop does not, and whom the verdict blames.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::server::{TestServer, right_reply};
use crate::{Finished, Fixture, loadgen};

fn us(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The server stops for 200 ms once: requests that fell due meanwhile waited, whoever sent them.
#[test]
fn a_stall_shows_in_the_latency_from_the_intended_time_but_not_in_the_service_time() {
    let first: OnceLock<Instant> = OnceLock::new();
    let server = TestServer::start(move |request| {
        let since = first.get_or_init(Instant::now).elapsed();
        let (from, to) = (Duration::from_millis(500), Duration::from_millis(700));
        if (from..to).contains(&since) {
            std::thread::sleep(to - since);
        }
        right_reply(request)
    });
    let more = ["--rate", "1200", "--duration-s", "1", "--connections", "4"];
    let result = Fixture::new(50).run(&server, &more).json();
    assert_eq!(result["mode"], "open_loop");
    let (latency, service) = (us(&result["latency_us"]["p90"]), us(&result["service_us"]["p90"]));
    assert!(latency > 50_000, "a fifth of the requests fell due in the stall: {}", result["latency_us"]);
    assert!(service * 3 < latency, "a closed loop would have said {service} instead of {latency} µs");
    assert!(us(&result["latency_us"]["max"]) > 150_000);
    assert!(us(&result["gap_us"]["p90"]) > 30_000, "the gap is what they waited before they were sent");
    assert_eq!(result["right"], result["intended"], "nothing was skipped");
}

/// A client that takes 5 ms over each answer cannot send 500 a second; the server did nothing wrong.
#[test]
fn a_client_that_is_too_slow_is_invalid_whatever_it_measured() {
    let more = ["--rate", "500", "--duration-s", "2", "--handicap-us", "5000", "--goal", "p90_us=20000"];
    let try_once = || {
        let finished = Fixture::new(50).run(&TestServer::right(), &more);
        let result = finished.json();
        let verdict = &result["verdict"];
        assert_eq!((finished.code, &verdict["verdict"]), (4, &json!("invalid")), "{verdict}");
        let reasons = verdict["reasons"].to_string();
        assert!(reasons.contains("the client itself was late by"), "{reasons}");
        reasons.contains("sender thread 1 was busy")
    };
    // It is busy with what processor time it gets: beside other tests that may be less than four fifths.
    assert!((0..5).any(|_| try_once()), "it was busy in none of five tries");
}

/// Two connections that answer in 50 ms cannot follow 300 a second; the client waits and is not to blame.
#[test]
fn a_server_that_cannot_follow_is_missed_and_never_invalid() {
    let server = TestServer::start(|request| {
        std::thread::sleep(Duration::from_millis(50));
        right_reply(request)
    });
    let goal = ["--goal", "p50_us=900000", "--timeout-ms", "1000", "--connections", "2"];
    let finished =
        Fixture::new(50).run(&server, &[&["--rate", "300", "--duration-s", "3"], &goal[..]].concat());
    let result = finished.json();
    assert_eq!(
        (finished.code, &result["verdict"]["verdict"]),
        (3, &json!("missed")),
        "{}",
        result["verdict"]
    );
    let timeouts = ["timeout", "timeout_unsent"].map(|name| result["errors_by_connection"][name].as_u64());
    let timeouts: u64 = timeouts.iter().flatten().sum();
    assert!(timeouts > 100, "{}", result["errors_by_connection"]);
    let ended = us(&result["right"]) + us(&result["errors"]);
    assert_eq!(ended, us(&result["intended"]), "what was never sent counts as an error");
}

#[test]
fn a_goal_on_a_percentile_with_too_few_samples_is_invalid() {
    let more = ["--rate", "200", "--duration-s", "1", "--goal", "p99_9_us=1000000"];
    let finished = Fixture::new(50).run(&TestServer::right(), &more);
    assert_eq!(finished.code, 4);
    let reasons = finished.json()["verdict"]["reasons"].to_string();
    assert!(reasons.contains("p99_9_us has too few samples"), "{reasons}");
}

#[test]
fn a_run_is_ended_as_soon_as_a_goal_is_lost_where_the_scenario_says_so() {
    let fixture = Fixture::new(50);
    let server = TestServer::start(|request| {
        crate::server::changed_reply(request, |body| body["status"] = json!("covered?"))
    });
    let text = "abort_on_miss = true\n[[stage]]\nkind = \"constant\"\nrate_per_s = 100\nduration_s = 60\n";
    std::fs::write(fixture.path("scenario.toml"), text).unwrap();
    let started = Instant::now();
    let finished = fixture.run(&server, &["--scenario", fixture.path("scenario.toml").to_str().unwrap()]);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!((finished.code, &finished.json()["ended_by"]), (3, &json!("goal_missed")));
}

/// The people asked about, and how often.
fn asked(server: &TestServer) -> BTreeMap<String, u64> {
    let mut people = BTreeMap::new();
    for request in server.requests() {
        *people.entry(format!("{}{}", request.body["person_id"], request.is_personal())).or_default() += 1;
    }
    people
}

const SCENARIO: &str = r#"
connections = 4
[[stage]]
name = "up"
kind = "ramp"
from_per_s = 100
to_per_s = 500
duration_s = 1
warmup = true
[[stage]]
name = "spike"
kind = "spike"
base_per_s = 200
peak_per_s = 600
spike_s = 0.5
duration_s = 1.5
[goals]
p50_us = 1000000
[traffic]
personal_share = 0.3
zipf = 0.9
reinquiry_share = 0.2
"#;

/// Two workers with a common start ask together what one would have asked alone, and merge into one result.
#[test]
fn two_workers_make_the_run_of_one() {
    let fixture = Fixture::new(60);
    std::fs::write(fixture.path("scenario.toml"), SCENARIO).unwrap();
    let scenario = fixture.path("scenario.toml");
    let scenario = scenario.to_str().unwrap();
    let alone = TestServer::right();
    let whole = fixture.run(&alone, &["--scenario", scenario]).json();

    let server = TestServer::right();
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_millis(1_000);
    let start = start.as_millis().to_string();
    let work = |number: u32| {
        let out = fixture.path(&format!("{number}.json"));
        let shard = format!("{number}/2");
        let more = ["--scenario", scenario, "--shard", &shard, "--start-at", &start, "--out"];
        fixture.run(&server, &[&more[..], &[out.to_str().unwrap()]].concat()).json()
    };
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(|| work(1)), scope.spawn(|| work(2)));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!(asked(&server), asked(&alone), "the shards asked what one sender asks");

    let (first, second) = (fixture.path("1.json"), fixture.path("2.json"));
    let merged = loadgen(&["merge", second.to_str().unwrap(), first.to_str().unwrap(), "--json"]);
    assert_eq!(merged.code, 0, "{}{}", merged.stdout, merged.stderr);
    check_merged(&merged, &whole, &one, &two);
    let merged = loadgen(&["merge", first.to_str().unwrap(), "--json"]);
    assert_eq!(merged.code, 1);
    assert!(merged.stderr.contains("shard 2 of 2 is missing"), "{}", merged.stderr);
}

fn check_merged(merged: &Finished, whole: &Value, one: &Value, two: &Value) {
    let merged = merged.json();
    for field in ["intended", "requests", "right", "errors"] {
        assert_eq!(merged[field], whole[field], "{field}");
        assert_eq!(us(&merged[field]), us(&one[field]) + us(&two[field]), "{field}");
    }
    assert_eq!(merged["shard"], json!({"numbers": [1, 2], "count": 2}));
    let max = us(&one["latency_us"]["max"]).max(us(&two["latency_us"]["max"]));
    assert_eq!(us(&merged["latency_us"]["max"]), max);
    assert_eq!(us(&merged["latency_us"]["samples"]), us(&merged["right"]));
    let intended = |result: &Value| -> u64 {
        result["timeline"]["points"].as_array().unwrap().iter().map(|point| us(&point["intended"])).sum()
    };
    assert_eq!(intended(&merged), intended(one) + intended(two));
    assert_eq!(merged["stages"][1]["name"], "spike");
}

#[test]
fn results_are_compared_where_they_are_alike() {
    let fixture = Fixture::new(20);
    let server = TestServer::right();
    let file = |name: &str, rate: &str, duration_s: &str| {
        let path = fixture.path(name).to_str().unwrap().to_owned();
        let more = ["--rate", rate, "--duration-s", duration_s, "--out", &path];
        assert_eq!(fixture.run(&server, &more).code, 0);
        path
    };
    let (a, b, other) = (file("a", "400", "6"), file("b", "400", "6"), file("c", "300", "1"));
    let compared = loadgen(&["compare", &a, &b, "--json"]);
    assert_eq!(compared.code, 0, "{}", compared.stderr);
    assert_eq!(compared.json()["ratios"][0]["what"], "p50_us");
    let notes = compared.json()["notes"].to_string();
    assert!(notes.contains("the intervals hold the variation within the two runs only"), "{notes}");
    assert_eq!(compared.json()["turns_a_side"], 0);
    assert!(notes.contains("a has 6 intervals of the timeline and b 6: with fewer than 20"), "{notes}");
    let several = loadgen(&["compare", "--a", &a, "--a", &b, "--b", &b, "--b", &a, "--json"]);
    assert_eq!((several.code, &several.json()["turns_a_side"]), (0, &json!(2)), "{}", several.stderr);
    let words =
        "2 turns a side are too few turns to tell a difference, 5 are the least; give more results of each";
    assert!(several.json()["notes"].to_string().contains(words), "{}", several.json()["notes"]);
    assert_eq!(several.json()["a"]["label"], format!("{a}, {b}"));
    let unequal = loadgen(&["compare", "--a", &a, "--a", &b, "--b", &b]);
    assert_eq!(unequal.code, 2);
    assert!(unequal.stderr.contains("--a is given 2 times and --b 1 times"), "{}", unequal.stderr);
    let one_is_other = loadgen(&["compare", "--a", &a, "--a", &b, "--b", &b, "--b", &other]);
    assert_eq!(one_is_other.code, 1);
    assert!(one_is_other.stderr.contains("the two differ in scenario"), "{}", one_is_other.stderr);
    let refused = loadgen(&["compare", &a, &other]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("the two differ in scenario"), "{}", refused.stderr);
    let allowed = loadgen(&["compare", &a, &other, "--allow-different"]);
    assert_eq!(allowed.code, 0);
    assert!(allowed.stdout.contains("warning: the two differ in scenario\n"), "{}", allowed.stdout);
    assert!(
        allowed.stdout.contains("note: no ratio of latencies is stated: a has 6 intervals"),
        "{}",
        allowed.stdout
    );
}

#[test]
fn wrong_scenarios_are_refused_with_what_is_wrong() {
    let fixture = Fixture::new(1);
    let check = |text: &str, words: &str| {
        std::fs::write(fixture.path("scenario.toml"), text).unwrap();
        let path = fixture.path("scenario.toml");
        let finished = fixture.run(&TestServer::right(), &["--scenario", path.to_str().unwrap()]);
        assert_eq!(finished.code, 2, "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    };
    check("", "needs a [[stage]]");
    check("speed = 1", "unknown field `speed`");
    check("[[stage]]\nkind = \"constant\"\nduration_s = 1", "`rate_per_s` is missing");
    let ramp = "[[stage]]\nkind = \"ramp\"\nduration_s = 1\nfrom_per_s = 1\nto_per_s = 2\nrate_per_s = 1";
    check(ramp, "`rate_per_s` has no meaning");
    let steady = "[[stage]]\nkind = \"constant\"\nduration_s = 1\nrate_per_s = 1\n";
    let silent =
        steady.replace("rate_per_s = 1", "rate_per_s = 0\nwarmup = true\ngoals = { wrong_answers_max = 1 }");
    check(&format!("{steady}{silent}"), "stage 2: a warm-up without a request cannot meet goals of its own");
    check(&format!("burst_size = 3\n{steady}"), "go together");
    check(&format!("{steady}[traffic]\nzipf = 9"), "from 0 to 5");
    check(&format!("{steady}[goals]\np98_us = 5"), "unknown field `p98_us`");
}
