//! Goals by stage and by endpoint, and runs that end as soon as one is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Reply, Request, TestServer, changed_reply, right_reply};
use crate::{Finished, Fixture};

/// A run of a scenario's text.
fn run(server: &TestServer, text: &str, more: &[&str]) -> Finished {
    let fixture = Fixture::new(60);
    let path = fixture.path("scenario.toml");
    std::fs::write(&path, text).unwrap();
    fixture.run(server, &[&["--scenario", path.to_str().unwrap()], more].concat())
}

/// 200/s for 3 s, half of them personal, over enough connections for all that are under way.
const HALVES: &str = "connections = 128\n[[stage]]\nname = \"half\"\nkind = \"constant\"\nrate_per_s = 200\n\
                      duration_s = 3\n[traffic]\npersonal_share = 0.5\n";

/// What became of each goal: endpoint, goal, verdict.
fn goals(result: &Value) -> Vec<(String, String, String)> {
    let text = |goal: &Value, field: &str| goal[field].as_str().unwrap().to_owned();
    let goals = result["stages"][0]["goals"].as_array().unwrap().iter();
    goals.map(|goal| (text(goal, "endpoint"), text(goal, "what"), text(goal, "verdict"))).collect()
}

fn goal(endpoint: &str, what: &str, verdict: &str) -> (String, String, String) {
    (endpoint.to_owned(), what.to_owned(), verdict.to_owned())
}

fn slow_for_people(request: &Request) -> Reply {
    if request.is_personal() {
        std::thread::sleep(Duration::from_millis(400));
    }
    right_reply(request)
}

#[test]
fn each_endpoint_is_judged_by_its_own_latency() {
    let limits = "[goals.general]\np50_us = 200000\n[goals.personal]\np50_us = 200000\n";
    let finished = run(&TestServer::start(slow_for_people), &format!("{HALVES}{limits}"), &[]);
    let result = finished.json();
    assert_eq!(finished.code, 3, "{}", result["verdict"]);
    let found = goals(&result);
    assert!(found.contains(&goal("general", "p50_us", "met")), "{found:?}");
    assert!(found.contains(&goal("personal", "p50_us", "missed")), "{found:?}");
    let reasons = result["verdict"]["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].as_str().unwrap().starts_with("stage half: p50_us of personal is 4"), "{reasons:?}");
}

#[test]
fn each_endpoint_is_judged_by_its_own_errors_and_wrong_answers() {
    let server = TestServer::start(|request| match request.is_personal() {
        false if request.number % 3 == 0 => Reply::Json(503, json!({"code": "unavailable"})),
        false => right_reply(request),
        true => changed_reply(request, |body| body["status"] = json!("covered?")),
    });
    let limits = "[goals]\nerrors_share_max = 1.0\nwrong_answers_max = 100000\n[goals.general]\n\
                  errors_share_max = 0.1\nwrong_answers_max = 0\n[goals.personal]\nerrors_share_max = 0.0\n\
                  wrong_answers_max = 0\n";
    let finished = run(&server, &format!("{HALVES}{limits}"), &[]);
    let result = finished.json();
    assert_eq!(finished.code, 3, "{}", result["verdict"]);
    let expected = [
        goal("all", "wrong_answers_max", "met"),
        goal("all", "errors_share_max", "met"),
        goal("general", "wrong_answers_max", "met"),
        goal("general", "errors_share_max", "missed"),
        goal("personal", "wrong_answers_max", "missed"),
        goal("personal", "errors_share_max", "met"),
    ];
    assert_eq!(goals(&result), expected);
}

#[test]
fn a_stage_may_have_goals_of_its_own() {
    let server = TestServer::start(|request| {
        std::thread::sleep(Duration::from_millis(300));
        right_reply(request)
    });
    let stage = |name: &str, goals: &str| {
        format!(
            "[[stage]]\nname = \"{name}\"\nkind = \"constant\"\nrate_per_s = 120\nduration_s = 2\n{goals}\n"
        )
    };
    let text = format!(
        "connections = 96\n{}{}[goals]\np50_us = 2000000\n",
        stage("lenient", ""),
        stage("strict", "goals = { p50_us = 150000 }")
    );
    let finished = run(&server, &text, &[]);
    let result = finished.json();
    assert_eq!(finished.code, 3);
    let verdicts = [0, 1].map(|stage| result["stages"][stage]["goals"][0]["verdict"].clone());
    assert_eq!(verdicts, ["met", "missed"], "{}", result["verdict"]);
    assert!(result["verdict"]["reasons"].to_string().contains("stage strict: p50_us is"), "{result}");
}

#[test]
fn goals_of_an_endpoint_that_is_never_asked_are_refused() {
    let server = TestServer::right();
    let stage = "[[stage]]\nkind = \"constant\"\nrate_per_s = 1\nduration_s = 1\n";
    let finished = run(&server, &format!("{stage}[goals.personal]\np50_us = 1000\n"), &[]);
    assert_eq!(finished.code, 2);
    assert!(
        finished.stderr.contains("goals of the personal endpoint would be ignored"),
        "{}",
        finished.stderr
    );
    assert!(server.requests().is_empty());
}

/// One request in ten is refused after 400 ms, one at once, and the rest is answered at once.
fn refuses_the_slowest(request: &Request) -> Reply {
    match request.number % 10 {
        0 => {
            std::thread::sleep(Duration::from_millis(400));
            Reply::Json(503, json!({"code": "unavailable"}))
        }
        1 => Reply::Json(503, json!({"code": "unavailable"})),
        _ => right_reply(request),
    }
}

#[test]
fn a_server_that_refuses_its_slowest_requests_late_is_no_faster_for_it() {
    let text = "connections = 128\n[[stage]]\nkind = \"constant\"\nrate_per_s = 400\nduration_s = 4\n[goals]\n\
                errors_share_max = 0.5\n";
    let samples = |result: &Value| result["latency_us"]["samples"].as_u64().unwrap();
    let count = |result: &Value, what: &str| result[what].as_u64().unwrap();
    let server = || TestServer::start(refuses_the_slowest);
    let unaware = run(&server(), text, &[]).json();
    assert_eq!(samples(&unaware), count(&unaware, "right"), "without a goal on latency nothing changes");

    let finished = run(&server(), &format!("{text}p90_us = 200000\n"), &[]);
    let result = finished.json();
    let (right, errors) = (count(&result, "right"), count(&result, "errors"));
    assert_eq!(finished.code, 3, "a ninth of what is timed is slow: {}", result["verdict"]);
    let timed = samples(&result) - right;
    assert!(timed * 10 > errors * 4 && timed * 10 < errors * 7, "half of {errors} errors are slow: {timed}");
    assert_eq!(result["service_us"]["samples"], result["latency_us"]["samples"]);
    let points = result["timeline"]["points"].as_array().unwrap().iter();
    let in_intervals: u64 = points.map(|point| point["latency_us"]["samples"].as_u64().unwrap()).sum();
    assert_eq!(in_intervals, samples(&result));
}

/// A goal that nothing was measured against, in a run that is good otherwise: 4, with these words.
#[track_caller]
fn check_says_nothing(text: &str, more: &[&str], words: &[&str]) {
    let finished = run(&TestServer::right(), text, more);
    let facts = &finished.json()["verdict"];
    assert_eq!((finished.code, &facts["verdict"]), (4, &json!("invalid")), "{facts}");
    for words in words {
        assert!(facts["reasons"].to_string().contains(words), "{words:?} is missing in {facts}");
    }
}

#[test]
fn goals_of_an_endpoint_that_got_no_request_are_not_met() {
    let text = "[[stage]]\nname = \"few\"\nkind = \"constant\"\nrate_per_s = 300\nduration_s = 1\n\
                [traffic]\npersonal_share = 0.000000001\n[goals.personal]\np50_us = 1000000\n\
                errors_share_max = 0.5\nwrong_answers_max = 7\n";
    let words = [
        "stage few: p50_us of personal has too few samples beyond it; run longer",
        "stage few: errors_share_max of personal says nothing: no such request fell due",
        "stage few: wrong_answers_max of personal says nothing",
    ];
    check_says_nothing(text, &[], &words);
}

#[test]
fn a_measured_stage_without_a_request_is_invalid_and_a_warmup_is_not() {
    let stage = |name: &str, rest: &str| {
        format!("[[stage]]\nname = \"{name}\"\nkind = \"constant\"\nduration_s = 0.5\n{rest}\n")
    };
    let (silent, busy) = ("rate_per_s = 0", "rate_per_s = 200");
    let silent_warmup = stage("warm-up", &format!("{silent}\nwarmup = true"));
    let good = run(&TestServer::right(), &format!("{silent_warmup}{}", stage("busy", busy)), &[]);
    assert_eq!(good.code, 0, "{}", good.json()["verdict"]);
    let words = ["stage silent: wrong_answers_max says nothing: no such request fell due"];
    check_says_nothing(&format!("{}{}", stage("busy", busy), stage("silent", silent)), &[], &words);
    check_says_nothing(&stage("silent", silent), &[], &words);
}

#[test]
fn goals_of_an_endpoint_that_the_targets_do_not_feed_are_refused() {
    let fixture = Fixture::new(1);
    fixture.write_targets(&["{\"request\": {\"person_id\": \"1\"}}".to_owned()]);
    let server = TestServer::right();
    let more =
        ["--endpoint", "mixed", "--rate", "100", "--duration-s", "1", "--goal", "personal.p50_us=1000"];
    let finished = fixture.run(&server, &more);
    let words = "the goals of the personal endpoint cannot be judged: the targets have no inquiry for it";
    assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{}", finished.stderr);
    assert!(finished.stderr.contains(words), "{}", finished.stderr);
    assert!(server.requests().is_empty());
}

/// Runs of up to a quarter of an hour that must end within seconds, for this reason.
#[track_caller]
fn check_aborted(server: &TestServer, text: &str, more: &[&str], code: i32, reason: &str) -> Value {
    let started = Instant::now();
    let finished = run(server, &format!("abort_on_miss = true\n{text}"), more);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let result = finished.json();
    let facts = &result["verdict"];
    assert_eq!((finished.code, &result["ended_by"]), (code, &json!("goal_missed")), "{facts}");
    assert!(facts["reasons"].to_string().contains(reason), "{reason:?} is missing in {facts}");
    result
}

#[test]
fn a_run_ends_when_one_endpoint_has_lost_its_goal() {
    let text = HALVES.replace("duration_s = 3", "duration_s = 20")
        + "[goals.general]\np50_us = 200000\n[goals.personal]\np50_us = 200000\n";
    let reason = "stage half: p50_us of personal could not be met any more";
    // Of 2,000 personal ones a half may be slow, and some more for chance: lost after 11 s.
    let result = check_aborted(&TestServer::start(slow_for_people), &text, &[], 3, reason);
    assert!(result["stages"][0]["endpoints"]["general"]["right"].as_u64().unwrap() > 500);
}

/// Of 2,000 a tenth may be slow: the first 40 are, and the rest makes up for it.
#[test]
fn a_closed_loop_is_not_ended_for_what_its_rest_can_make_up_for() {
    let server = TestServer::start(|request| {
        if request.number < 40 {
            std::thread::sleep(Duration::from_millis(150));
        }
        right_reply(request)
    });
    let text = "arrivals = \"closed_loop\"\nrequests_max = 2000\nabort_on_miss = true\nconnections = 4\n\
                [[stage]]\nkind = \"constant\"\nduration_s = 60\n[goals]\np90_us = 100000\n";
    let finished = run(&server, text, &[]);
    let result = finished.json();
    assert_eq!((finished.code, &result["ended_by"]), (0, &json!("requests_max")), "{}", result["verdict"]);
}

/// When it is lost there are far fewer samples than the percentile needs: missed, and not for want of samples.
#[test]
fn a_lost_percentile_is_missed_however_few_its_samples_are_by_then() {
    let server = TestServer::start(|request| {
        std::thread::sleep(Duration::from_millis(400));
        right_reply(request)
    });
    let text = "connections = 96\n[[stage]]\nname = \"long\"\nkind = \"soak\"\nrate_per_s = 120\n\
                duration_s = 900\n[goals]\np99_9_us = 300000\n";
    let result = check_aborted(&server, text, &[], 3, "stage long: p99_9_us could not be met any more");
    assert_eq!(result["stages"][0]["goals"][0]["verdict"], "insufficient");
    let first = result["verdict"]["reasons"][0].as_str().unwrap();
    assert!(first.contains("could not be met any more"), "the weightiest first: {first}");
}

#[test]
fn a_run_that_its_client_lost_is_invalid() {
    let text = "[[stage]]\nkind = \"constant\"\nrate_per_s = 500\nduration_s = 20\n[goals]\np50_us = 20000\n";
    let more = ["--handicap-us", "5000"];
    check_aborted(&TestServer::right(), text, &more, 4, "the client itself was late by");
}

#[test]
fn a_wrong_answer_in_the_warmup_ends_the_run_too() {
    let server = TestServer::start(|request| {
        changed_reply(request, |body| {
            if request.number == 0 {
                body["status"] = json!("covered?");
            }
        })
    });
    let text = "[[stage]]\nname = \"warm-up\"\nkind = \"constant\"\nrate_per_s = 50\nduration_s = 60\n\
                warmup = true\n[[stage]]\nkind = \"constant\"\nrate_per_s = 50\nduration_s = 60\n";
    check_aborted(&server, text, &[], 3, "stage warm-up: wrong_answers_max could not be met any more");
}

#[test]
fn many_errors_end_a_run_when_more_than_the_allowed_are_certain() {
    let server = TestServer::start(|request| match request.number % 2 {
        0 => Reply::Json(503, json!({"code": "unavailable"})),
        _ => right_reply(request),
    });
    let text = "[[stage]]\nname = \"half\"\nkind = \"constant\"\nrate_per_s = 200\nduration_s = 60\n\
                [goals]\nerrors_share_max = 0.01\n";
    check_aborted(&server, text, &[], 3, "stage half: errors_share_max could not be met any more");
}
