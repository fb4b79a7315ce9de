//! `serve` from its start to SIGTERM, and what the ledger commands say of it afterwards.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::Folder;
use super::serving::{SERVE, Serving};
use crate::site::{AS_OF, assert_no_ids, wait_until};

/// A covered person of the extract.
const PERSON: &str = "5742616694";
const VERIFY: &str = "ledger verify --ledger ledger --secrets secrets.toml";
const EXPORT: &str = "ledger export --ledger ledger --secrets secrets.toml";

fn find(folder: &Folder, code: &str) -> Value {
    folder.run(&format!("ledger find --ledger ledger --secrets secrets.toml {code}")).json()
}

#[test]
fn a_day_of_service_and_its_record() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("shafa", "hospital");
    let mut serving = Serving::start(&folder, SERVE);
    let client = serving.client();
    assert_eq!(client.get("/readyz", &[]).status, 200);
    let answer = client.ask(&key, &json!({"person_id": PERSON, "care": "inpatient"})).json();
    let code = answer["tracking_code"].as_str().unwrap();
    let running = folder.run(VERIFY).ok();
    assert!(running.contains("(1 inquiries, 1 openings, 0 closings, 0 acts)"), "{running}");
    assert!(running.ends_with("not closed: a server is at work on it, or ended unclean\n"), "{running}");
    assert_eq!(serving.stdout(), "", "stdout is for results");
    let log = serving.terminate();
    assert_no_ids(&log);

    let told = folder.run(VERIFY).ok();
    assert!(
        told.starts_with("ledger 1: 3 entries in order (1 inquiries, 1 openings, 1 closings, 0 acts), "),
        "{told}"
    );
    assert!(told.ends_with("\nclosed clean\n"), "{told}");
    let found = find(&folder, code);
    let expected = json!({
        "tracking_code": code,
        "sequence": found["sequence"],
        "answered_at": found["answered_at"],
        "channel": "general",
        "provider": "shafa",
        "id_kind": "national",
        "person_id": "*******694",
        "care": "inpatient",
        "service_date": answer["service_date"],
        "language": "fa",
        "status": "covered",
        "reason": "active",
        "notices": ["overlap_check_required"],
        "end_date": null,
        "open_ended": true,
        "snapshot": answer["snapshot"],
        "rules_version": 1,
        "ledger": 1,
        "segment": 1,
        "entry": 1,
        "month_key": found["month_key"],
        "decided_by": found["decided_by"],
    });
    assert_eq!(found, expected);
    let exported: Value = folder.run(EXPORT).json();
    assert_eq!(exported, found, "once, and the same");
    let csv = folder.run(&format!("{EXPORT} --format csv")).ok();
    let lines: Vec<_> = csv.lines().map(|line| line.split(',').collect::<Vec<_>>()).collect();
    assert_eq!((lines.len(), lines[0].len(), lines[1].len()), (2, 30, 30), "{csv}");
    for (name, cell) in lines[0].iter().zip(&lines[1]) {
        let value = match name.split('.').fold(&found, |value, name| &value[name]) {
            Value::String(text) => text.clone(),
            Value::Array(_) => "overlap_check_required".to_owned(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        assert_eq!(*cell, value, "{name}");
    }
}

#[test]
fn a_mismatch_is_exported_without_its_code() {
    let folder = Folder::with_snapshot();
    folder.write("providers.toml", "");
    let mut serving = Serving::start(&folder, SERVE);
    let asked = serving.client().ask_personally(&json!({"person_id": PERSON, "mobile": "09350000000"}));
    asked.problem(403, "mobile_mismatch");
    serving.terminate();
    let row = folder.run(EXPORT).json();
    assert_eq!(
        [&row["tracking_code"], &row["status"], &row["channel"], &row["provider"]],
        ["", "mobile_mismatch", "personal", ""]
    );
}

#[test]
fn one_ledger_serves_one_process() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    let mut serving = Serving::start(&folder, SERVE);
    let client = serving.client();
    folder.run(SERVE).refused(1, &["ledger", "is locked by another process", "stop the other first"]);
    let init = folder.run("ledger init --ledger ledger --secrets secrets.toml --number 2");
    init.refused(1, &["ledger"]);
    assert_eq!(client.ask(&key, &json!({"person_id": PERSON})).status, 201, "the first goes on");
    serving.terminate();
}

#[test]
fn an_empty_folder_becomes_ledger_1_and_a_number_stays() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    std::fs::create_dir(folder.path("ledger")).unwrap();
    let init = folder.run("ledger init --ledger other --secrets secrets.toml --number 42").ok();
    assert_eq!(init, "other is ledger 42\n");
    let codes = ["ledger", "other"].map(|ledger| {
        let mut serving =
            Serving::start(&folder, &SERVE.replace("--ledger ledger", &format!("--ledger {ledger}")));
        let answer = serving.client().ask(&key, &json!({"person_id": PERSON})).json();
        serving.terminate();
        answer["tracking_code"].as_str().unwrap().to_owned()
    });
    for (ledger, number) in [("ledger", 1), ("other", 42)] {
        let told = folder.run(&format!("ledger verify --ledger {ledger} --secrets secrets.toml")).ok();
        assert!(told.starts_with(&format!("ledger {number}: 3 entries")), "{told}");
    }
    for (ledger, code, number) in [("ledger", &codes[1], 42), ("other", &codes[0], 1)] {
        let ran = folder.run(&format!("ledger find --ledger {ledger} --secrets secrets.toml {code}"));
        ran.refused(1, &[&format!("the code belongs to ledger {number}: ask there")]);
    }
}

#[test]
fn after_a_kill_the_answers_are_there_and_the_next_start_goes_on() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    let mut serving = Serving::start(&folder, SERVE);
    let client = serving.client();
    let ask = |client: &crate::client::Client| {
        let answer = client.ask(&key, &json!({"person_id": PERSON})).json();
        answer["tracking_code"].as_str().unwrap().to_owned()
    };
    let first = ask(&client);
    serving.kill();
    let told = folder.run(VERIFY).ok();
    assert!(told.contains("\nnot closed: "), "{told}");
    assert_eq!(find(&folder, &first)["status"], "covered");
    let mut serving = Serving::start(&folder, SERVE);
    let second = ask(&serving.client());
    serving.terminate();
    let sequences = [&first, &second].map(|code| find(&folder, code)["sequence"].as_u64().unwrap());
    assert!(sequences[0] < 65_536 && sequences[1] >= 65_536, "{sequences:?}");
    assert!(folder.run(VERIFY).ok().ends_with("\nclosed clean\n"));
}

#[test]
fn it_waits_for_a_first_generation_and_takes_up_the_next() {
    let folder = Folder::with_secrets();
    folder.write("providers.toml", "");
    let mut serving = Serving::start(&folder, SERVE);
    wait_until("the lack is told", || serving.stderr().contains("nothing is published in snapshots"));
    let build = |day: &str| {
        folder.build(&["--as-of", day, "--accept", "a messy extract"]).ok();
        folder.read("snapshots/CURRENT").trim().to_owned()
    };
    let first = build(AS_OF);
    let client = serving.client();
    let generation = || {
        let asked = client.ask_personally(&json!({"person_id": PERSON, "mobile": "+989121234567"}));
        asked.json()["snapshot"].as_str().unwrap().to_owned()
    };
    assert_eq!(generation(), first);
    let second = build("1405/09/02");
    wait_until("the new generation answers", || generation() == second);
    serving.terminate();
}

#[test]
fn the_log_keeps_to_its_level() {
    let folder = Folder::with_snapshot();
    folder.write("providers.toml", "");
    // At `error` nothing is said of a good day; only the ledger tells that there was one.
    let serving = Serving::start(&folder, &format!("{SERVE} --log-level error"));
    wait_until("the ledger is open", || folder.run(VERIFY).stdout.contains("1 openings"));
    assert_eq!(serving.terminate(), "");
}

#[test]
fn what_cannot_be_opened_ends_the_start_with_a_message() {
    let folder = Folder::with_secrets();
    folder.run(SERVE).refused_with_log(&["cannot read the providers file providers.toml", "`provider add`"]);
    folder.write("providers.toml", "");
    folder.run("secrets init --secrets other.toml").nothing();
    let other = SERVE.replace("secrets.toml", "other.toml");
    folder.run(&other).refused(1, &["ledger key 1 of the secrets file", "use the right secrets file"]);
    folder.write("file", "");
    let ledger = SERVE.replace("--ledger ledger", "--ledger file/ledger");
    folder.run(&ledger).refused(1, &["cannot make the ledger folder file/ledger", "check its path"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = SERVE.replace("127.0.0.1:0", &address);
    let text = format!("cannot listen on {address}");
    folder.run(&listen).refused_with_log(&[&text, "choose another --listen"]);
    let admin = format!("{SERVE} --admin-listen {address}");
    folder.run(&admin).refused_with_log(&[&text, "choose another --admin-listen"]);
}

#[test]
fn after_a_start_the_generation_before_is_brought_into_memory_too() {
    let folder = Folder::with_snapshot();
    folder.add_provider("shafa", "hospital");
    let first = folder.read("snapshots/CURRENT");
    folder.build(&["--as-of", "2026-11-23", "--accept", "the extract of the tests is messy on purpose"]).ok();
    let mut serving = Serving::start(&folder, SERVE);
    let client = serving.client();
    let expected = json!({"snapshot": first.trim(), "at_once": true, "state": "ready"});
    wait_until("it is in memory", || client.get("/readyz", &[]).json()["rollback"] == expected);
    serving.terminate();
}

#[test]
fn a_port_alone_for_operators_is_one_of_loopback() {
    let folder = Folder::with_snapshot();
    folder.add_provider("shafa", "hospital");
    let mut serving = Serving::start(&folder, &format!("{SERVE} --admin-listen 0"));
    serving.client();
    let log = serving.terminate();
    let line = log.lines().find(|line| line.contains("listening for operators")).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    assert!(event["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
}
