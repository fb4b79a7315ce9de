//! Runs against a server that answers: what is sent, what is counted, which answers count as wrong.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Reply, Request, TestServer, changed_reply, right_reply};
use crate::{Fixture, KEY, loadgen, target};

#[test]
fn a_right_server_gets_each_target_once_on_each_endpoint() {
    let (fixture, server) = (Fixture::new(50), TestServer::right());
    let finished =
        fixture.run(&server, &["--endpoint", "mixed", "--requests-max", "100", "--connections", "4"]);
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    let result = finished.json();
    assert_eq!(result["mode"], "closed_loop");
    assert!(result["mode_caveat"].as_str().unwrap().contains("coordinated omission"));
    assert_eq!(result["verdict"]["verdict"], "met");
    assert_eq!(result["ended_by"], "requests_max");
    for field in ["requests", "right"] {
        assert_eq!(result[field], 100);
        assert_eq!(result["endpoints"]["general"][field], 50);
        assert_eq!(result["endpoints"]["personal"][field], 50);
    }
    assert_eq!(
        (&result["wrong_answers"], &result["errors"], &result["unchecked"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(server.connections(), 4);
    let mut asked = BTreeMap::new();
    for request in server.requests() {
        check_request(&request);
        *asked.entry((request.body["person_id"].to_string(), request.is_personal())).or_insert(0) += 1;
    }
    assert!(asked.len() == 100 && asked.values().all(|times| *times == 1), "{asked:?}");
}

fn check_request(request: &Request) {
    let fields = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let key = format!("Authorization: Bearer {KEY}\r\n");
    if request.is_personal() {
        assert!(!request.head.contains("Authorization"), "a key went to the personal endpoint");
        assert_eq!(fields(&request.body), ["id_kind", "mobile", "person_id", "service_date"]);
    } else {
        assert!(request.head.starts_with("POST /v1/inquiries HTTP/1.1\r\n") && request.head.contains(&key));
        assert_eq!(fields(&request.body), ["care", "id_kind", "person_id", "service_date"]);
    }
    assert!(request.head.contains("\r\nContent-Type: application/json\r\n"));
}

#[test]
fn the_result_names_seed_targets_host_and_version() {
    let (fixture, server) = (Fixture::new(3), TestServer::right());
    let result = fixture.run(&server, &["--requests-max", "3", "--seed", "99"]).json();
    assert_eq!(result["seed"], 99);
    let digest = blake3::hash(&std::fs::read(fixture.path("targets")).unwrap());
    assert_eq!(result["targets"]["blake3"], digest.to_hex().to_string());
    assert_eq!(result["targets"]["lines"], 3);
    assert_eq!(result["loadgen_version"], env!("CARGO_PKG_VERSION"));
    let host = &result["hosts"][0];
    assert!(host["cores"].as_u64().unwrap() > 0 && host["memory_mib"].as_u64().unwrap() > 0, "{host}");
    assert!(host["kernel"].is_string() && host["cpu"].is_string(), "{host}");
}

/// The commit is that of the build, whatever the folder in which it is started is a checkout of.
#[test]
fn the_commit_is_that_of_the_build_and_not_of_the_folder() {
    let git = |folder: &std::path::Path, args: &[&str]| {
        let output = Command::new("git").current_dir(folder).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let fixture = Fixture::new(1);
    let elsewhere = fixture.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    git(&elsewhere, &["init", "--quiet"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    git(&elsewhere, &[&who[..], &["commit", "--quiet", "--allow-empty", "-m", "other"]].concat());
    let server = TestServer::right();
    let (url, targets, key) = (server.url(), fixture.path("targets"), fixture.path("key"));
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .current_dir(&elsewhere)
        .args(["run", "--json", "--requests-max", "1", "--url", &url])
        .args(["--targets", targets.to_str().unwrap(), "--key-file", key.to_str().unwrap()])
        .output()
        .unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let here = Command::new("git").args(["ls-files", "--error-unmatch", "Cargo.toml"]).output();
    if std::env::var_os("LOADGEN_COMMIT").is_some() || !here.is_ok_and(|output| output.status.success()) {
        let other = git(&elsewhere, &["rev-parse", "HEAD"]);
        assert_ne!(result["commit"], other, "not of the folder");
        return;
    }
    let commit = git(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), &["rev-parse", "HEAD"]);
    let told = result["commit"].as_str().unwrap();
    assert!(told == commit || told == format!("{commit}-dirty"), "{told} instead of {commit}");
}

#[test]
fn the_seed_decides_the_order() {
    let order = |seed: &str| {
        let (fixture, server) = (Fixture::new(40), TestServer::right());
        fixture.run(&server, &["--requests-max", "80", "--connections", "1", "--seed", seed]);
        server.requests().iter().map(|r| r.body["person_id"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(order("5"), order("5"));
    assert_ne!(order("5"), order("6"));
}

#[test]
fn connections_are_spread_over_the_keys() {
    let (fixture, server) = (Fixture::new(10), TestServer::right());
    std::fs::write(fixture.path("key"), "one.a\r\ntwo.b\r\n").unwrap();
    assert_eq!(fixture.run(&server, &["--requests-max", "200", "--connections", "2"]).code, 0);
    for key in ["Bearer one.a\r\n", "Bearer two.b\r\n"] {
        assert!(server.requests().iter().any(|request| request.head.contains(key)), "{key}");
    }
}

/// Every request gets the changed answer; each must be found wrong, with this kind first.
#[track_caller]
fn check_wrong(endpoint: &str, kind: &str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    check_wrong_for("7310000002", endpoint, kind, change); // covered, outpatient, its mobile number known
}

#[track_caller]
fn check_wrong_for(
    id: &str,
    endpoint: &str,
    kind: &str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) {
    let fixture = Fixture::new(1);
    fixture.write_targets(&[String::new(), target(id).to_string()]);
    let server = TestServer::start(move |request| changed_reply(request, &change));
    let finished = fixture.run(&server, &["--endpoint", endpoint, "--requests-max", "1"]);
    let result = finished.json();
    assert_eq!(finished.code, 3, "{result}");
    assert_eq!(result["verdict"]["verdict"], "missed");
    assert_eq!((&result["wrong_answers"], &result["errors"]), (&json!(1), &json!(0)), "{result}");
    assert_eq!(result["wrong_by_kind"], json!({ kind: 1 }));
    assert_eq!((&result["first_wrong"]["line"], &result["first_wrong"]["kind"]), (&json!(2), &json!(kind)));
    assert_eq!(result["latency_us"]["samples"], 1, "a wrong answer took its time all the same");
    assert!(!finished.stdout.contains(id), "{}", finished.stdout);
}

#[test]
fn wrong_general_answers_are_found() {
    check_wrong("general", "status", |body| body["status"] = json!("not_covered"));
    check_wrong("general", "status", |body| body["status"] = json!("7310000002"));
    check_wrong("general", "notices", |body| body["notices"] = json!([{"code": "objection_line"}]));
    check_wrong("general", "notices", |body| body["notices"] = json!([{"code": "7310000002"}]));
    check_wrong("general", "forbidden_field", |body| body["reason"] = json!({"code": "active"}));
    check_wrong("general", "forbidden_field", |body| body["end_date"] = Value::Null);
    check_wrong("general", "forbidden_field", |body| body["open_ended"] = json!(false));
    check_wrong("general", "tracking_code_malformed", |body| body["tracking_code"] = json!("7310000002"));
    check_wrong("general", "unreadable", |body| *body = json!(["7310000002"]));
}

#[test]
fn wrong_personal_answers_are_found() {
    check_wrong("personal", "status", |body| body["status"] = json!("not_covered"));
    check_wrong("personal", "reason", |body| body["reason"] = json!({"code": "ended"}));
    check_wrong("personal", "reason", |body| body["reason"] = Value::Null);
    check_wrong("personal", "end_date", |body| body["end_date"] = json!("2026-11-23"));
    check_wrong("personal", "end_date", |body| body["end_date"] = json!("7310000002"));
    check_wrong("personal", "end_date", |body| body["end_date"] = Value::Null);
    check_wrong("personal", "end_date", |body| drop(body.as_object_mut().unwrap().remove("end_date")));
    let open_ended = "7310000006";
    check_wrong_for(open_ended, "personal", "end_date", |body| {
        drop(body.as_object_mut().unwrap().remove("end_date"))
    });
    check_wrong_for(open_ended, "personal", "end_date", |body| body["end_date"] = json!("2026-11-22"));
    check_wrong_for(open_ended, "personal", "open_ended", |body| {
        drop(body.as_object_mut().unwrap().remove("open_ended"))
    });
    check_wrong("personal", "open_ended", |body| body["open_ended"] = json!(true));
    check_wrong("personal", "notices", |body| body["notices"] = json!([{"code": "objection_line"}]));
}

#[test]
fn refusal_and_answer_are_told_apart() {
    let check = |id: &str, reply: fn(&Request) -> Reply, wrong: Value, errors: u64| {
        let fixture = Fixture::new(1);
        fixture.write_targets(&[target(id).to_string()]);
        let server = TestServer::start(reply);
        let finished = fixture.run(&server, &["--endpoint", "personal", "--requests-max", "1"]);
        let result = finished.json();
        assert_eq!((&result["wrong_by_kind"], &result["errors"]), (&wrong, &json!(errors)), "{result}");
        assert_eq!(finished.code, 3);
    };
    let (mismatch, known) = ("7310000008", "7310000002");
    fn problem(status: u16, code: &str) -> Reply {
        Reply::Json(status, json!({"code": code}))
    }
    let answer = |r: &Request| {
        changed_reply(&Request { body: json!({"person_id": "7310000002"}), ..r.clone() }, |_| {})
    };
    check(mismatch, answer, json!({"outcome": 1}), 0);
    check(mismatch, |_| problem(422, "bad_person_id"), json!({"outcome": 1}), 0);
    check(mismatch, |_| problem(404, "mobile_mismatch"), json!({"http_status": 1}), 0);
    check(known, |_| problem(403, "mobile_mismatch"), json!({"outcome": 1}), 0);
    check(known, |_| problem(403, "care_not_allowed"), json!({}), 1);
    check(
        mismatch,
        |_| Reply::Json(403, json!({"code": "mobile_mismatch", "tracking_code": "1"})),
        json!({"forbidden_field": 1}),
        0,
    );
}

#[test]
fn an_expected_problem_of_another_kind_is_checked_too() {
    let fixture = Fixture::new(1);
    let target = json!({"request": {"person_id": "1234567890"}, "expected": {"general": "bad_check_digit"}});
    fixture.write_targets(&[target.to_string()]);
    let server = TestServer::start(|_| Reply::Json(422, json!({"code": "bad_check_digit"})));
    assert_eq!(fixture.run(&server, &["--requests-max", "5"]).code, 0);
}

#[test]
fn targets_without_an_expectation_are_counted_as_unchecked() {
    let fixture = Fixture::new(1);
    fixture.write_targets(&[json!({"request": {"person_id": "7310000002"}}).to_string()]);
    let finished = fixture.run(&TestServer::right(), &["--requests-max", "4", "--endpoint", "mixed"]);
    let result = finished.json();
    assert_eq!((finished.code, &result["unchecked"], &result["right"]), (0, &json!(4), &json!(0)));
    assert!(result["endpoints"]["personal"].is_null(), "without a mobile number it cannot be asked");
}

/// `estehqaq extract synth --targets` labels its lines so.
#[test]
fn targets_may_carry_the_name_of_their_case() {
    let fixture = Fixture::new(1);
    let mut line = target("7310000002");
    line["kind"] = json!("covered_until");
    fixture.write_targets(&[line.to_string()]);
    assert_eq!(fixture.run(&TestServer::right(), &["--requests-max", "1"]).json()["right"], 1);
}

#[test]
fn a_repeated_tracking_code_is_a_wrong_answer() {
    let fixture = Fixture::new(10);
    let server = TestServer::start(|request| {
        let code = format!("{:016}", if request.number == 7 { 3 } else { request.number });
        changed_reply(request, |body| body["tracking_code"] = json!(code))
    });
    let finished = fixture.run(&server, &["--requests-max", "10", "--connections", "1"]);
    let result = finished.json();
    assert_eq!(finished.code, 3);
    assert_eq!(result["wrong_by_kind"], json!({"tracking_code_repeated": 1}));
    assert_eq!((&result["right"], &result["tracking_codes"]["remembered"]), (&json!(9), &json!(9)));
}

#[test]
fn the_memory_for_tracking_codes_is_bounded_and_says_so() {
    let (fixture, server) = (Fixture::new(10), TestServer::right());
    let result = fixture.run(&server, &["--requests-max", "10", "--tracking-codes-max", "6"]).json();
    assert_eq!(result["tracking_codes"], json!({"remembered": 6, "unremembered": 4}));
}

#[test]
fn percentiles_without_enough_samples_are_insufficient() {
    let (fixture, server) = (Fixture::new(50), TestServer::right());
    let latency = fixture.run(&server, &["--requests-max", "300"]).json()["latency_us"].clone();
    assert_eq!(latency["samples"], 300);
    assert!(latency["p50"].is_u64() && latency["max"].is_u64(), "{latency}");
    for percentile in ["p90", "p99", "p99_9"] {
        assert_eq!(latency[percentile], "insufficient");
    }
}

#[test]
fn a_run_ends_with_its_time_and_leaves_the_warmup_out() {
    let fixture = Fixture::new(20);
    let server = TestServer::start(|request| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        right_reply(request)
    });
    let finished = fixture.run(&server, &["--duration-s", "1", "--warmup-s", "1", "--connections", "2"]);
    let result = finished.json();
    assert_eq!((finished.code, &result["ended_by"]), (0, &json!("duration")));
    let (measured, warmup) =
        (result["requests"].as_u64().unwrap(), result["stages"][0]["requests"].as_u64().unwrap());
    assert_eq!(measured + warmup, server.requests().len() as u64);
    assert!((20..=200).contains(&measured) && (20..=200).contains(&warmup), "{measured} {warmup}");
    assert!((1_000..3_000).contains(&result["elapsed_ms"].as_u64().unwrap()), "{result}");
    assert!(finished.stderr.starts_with("closed_loop: ") && finished.stderr.contains(" of 2 s, "));
}

#[test]
fn a_wrong_answer_in_the_warmup_fails_the_run() {
    let fixture = Fixture::new(1);
    let server = TestServer::start(|request| match request.number {
        0 => changed_reply(request, |body| body["status"] = json!("covered?")),
        _ => {
            std::thread::sleep(std::time::Duration::from_millis(10));
            right_reply(request)
        }
    });
    let finished = fixture.run(&server, &["--warmup-s", "1", "--requests-max", "1", "--connections", "1"]);
    let result = finished.json();
    assert_eq!((finished.code, &result["wrong_answers"]), (3, &json!(0)));
    assert_eq!(result["stages"][0]["wrong_answers"], 1);
}

#[test]
fn the_text_for_people_is_labelled_too() {
    let (fixture, server) = (Fixture::new(2), TestServer::right());
    let (targets, key, url) = (fixture.path("targets"), fixture.path("key"), server.url());
    let finished = loadgen(&[
        "run",
        "--url",
        &url,
        "--targets",
        targets.to_str().unwrap(),
        "--key-file",
        key.to_str().unwrap(),
        "--requests-max",
        "20",
        "--endpoint",
        "mixed",
    ]);
    assert_eq!(finished.code, 0);
    let text = &finished.stdout;
    let lines = [
        "closed_loop against http://127.0.0.1:",
        "coordinated omission",
        "requests   20 in",
        "wrong      0\n",
        "errors     0\n",
        "insufficient",
        "(closed_loop)",
        "general ",
        "personal ",
        "seed 1, scenario flags ",
    ];
    for part in lines {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}
