//! `ask`: the decision of the service without its ledger; an ID comes back in no text.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Folder, words};
use crate::site::{data, inquiries};

/// A valid ID that nobody in the extract holds.
const NOBODY: &str = "4400276201";
/// One that somebody holds.
const SOMEBODY: &str = "0499370899";

fn ask(folder: &Folder, request: &Value) -> Value {
    let mut arguments = words("ask --snapshots snapshots");
    for (name, flag) in [
        ("person_id", "--person-id"),
        ("id_kind", "--id-kind"),
        ("care", "--care"),
        ("service_date", "--service-date"),
    ] {
        arguments.extend([flag, request[name].as_str().unwrap()]);
    }
    folder.run_with(&arguments, &[]).json()
}

#[test]
fn it_answers_as_the_extract_expects_one_of_each_kind() {
    let folder = Folder::with_snapshot();
    let mut kinds = BTreeSet::new();
    for line in inquiries() {
        let (request, general, personal) =
            (&line["request"], &line["expected"]["general"], &line["expected"]["personal"]);
        let kind = format!("{} {} {}", request["care"], request["id_kind"], personal["reason"]);
        if personal.is_string() || !kinds.insert(kind) {
            continue;
        }
        let answer = ask(&folder, request);
        for name in ["reason", "end_date", "open_ended"] {
            assert_eq!(answer[name], personal[name], "{request}");
        }
        assert_eq!(answer["status"], general["status"], "{request}");
        let codes = |value: &Value| {
            let codes = value.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
            codes.collect::<BTreeSet<_>>()
        };
        assert_eq!(codes(&answer["notices"]), codes(&general["notices"]), "{request}");
    }
    assert!(kinds.len() >= 12, "{kinds:?}");
}

#[test]
fn every_member_is_there() {
    let folder = Folder::with_snapshot();
    let line =
        format!("ask --snapshots snapshots --service-date 1405/09/01 --care inpatient --person-id {NOBODY}");
    let expected = json!({
        "status": "not_covered",
        "reason": "unknown_person",
        "notices": ["overlap_check_required", "objection_line"],
        "end_date": null,
        "end_date_jalali": null,
        "open_ended": false,
        "service_date": "2026-11-22",
        "service_date_jalali": "1405/09/01",
        "id_kind": "national",
        "care": "inpatient",
        "snapshot": folder.read("snapshots/CURRENT").trim(),
    });
    assert_eq!(folder.run(&line).json(), expected);
    let covered = inquiries().into_iter().find(|line| line["expected"]["personal"]["end_date"].is_string());
    let answer = ask(&folder, &covered.unwrap()["request"]);
    assert_eq!(answer.as_object().unwrap().len(), expected.as_object().unwrap().len());
    assert!(answer["end_date_jalali"].as_str().unwrap().starts_with('1'), "{answer}");
}

#[test]
fn defaults_are_national_outpatient_and_today() {
    let folder = Folder::with_snapshot();
    let before = server::today_in_tehran().unwrap();
    let answer = folder.run(&format!("ask --snapshots snapshots --person-id {NOBODY}")).json();
    let today = [before, server::today_in_tehran().unwrap()].map(|day| day.iso().to_string());
    assert!(today.iter().any(|today| answer["service_date"] == **today), "{answer}");
    assert_eq!((&answer["id_kind"], &answer["care"]), (&json!("national"), &json!("outpatient")));
}

/// Asserts that no text of the refusal has as many digits in a row as an ID's end.
#[track_caller]
fn check_silent(folder: &Folder, arguments: &[&str], code: i32, texts: &[&str]) {
    let ran = folder.run_with(&[&["ask", "--snapshots", "snapshots"], arguments].concat(), &[]);
    let message = ran.refused(code, texts);
    assert!(
        !message.contains("37089") && !message.contains("۳۷۰۸۹") && !message.contains("370-8"),
        "{message}"
    );
}

#[test]
fn an_id_is_in_no_refusal() {
    let folder = Folder::with_snapshot();
    check_silent(&folder, &["--person-id", "0499370898"], 2, &["--person-id: ", "check digit is wrong"]);
    check_silent(&folder, &["--person-id", "370899"], 2, &["--person-id: ", "8 to 10 digits"]);
    check_silent(&folder, &["--person-id", "049937089x"], 2, &["not an ID"]);
    check_silent(&folder, &["--person-id", "۰۴۹۹۳۷۰۸۹۸"], 2, &["check digit"]);
    check_silent(&folder, &["--person-id", "04993708990499370", "--id-kind", "foreign"], 2, &["not an ID"]);
    // In the wrong place, where the arguments' parser would quote it.
    check_silent(&folder, &[SOMEBODY], 2, &["unexpected argument '**********' found", "--person-id"]);
    check_silent(&folder, &["--person-id", SOMEBODY, SOMEBODY], 2, &["unexpected argument"]);
    check_silent(&folder, &["--person-id", SOMEBODY, "۰۴۹۹۳۷۰۸۹۹"], 2, &["unexpected argument"]);
    check_silent(&folder, &["--person-id", "-0499370899"], 2, &["unexpected argument"]);
    check_silent(&folder, &["--person-id", SOMEBODY, "--0499370899"], 2, &["unexpected argument"]);
    check_silent(
        &folder,
        &["--id-kind", "049-937-0899"],
        2,
        &["--id-kind <KIND>", "give national or foreign"],
    );
    check_silent(&folder, &["--care", SOMEBODY], 2, &["--care <CARE>", "give outpatient or inpatient"]);
    check_silent(&folder, &["--service-date", SOMEBODY], 2, &["--service-date <DATE>", "not a date"]);
    let ran = folder.run(&format!("ask --snapshots none --person-id {SOMEBODY}"));
    assert!(!ran.refused(1, &["nothing is published in none"]).contains(SOMEBODY));
}

#[test]
fn the_ids_of_these_tests_are_nobodys_and_somebodys() {
    let extract = std::fs::read_to_string(data("extract.csv")).unwrap();
    assert!(!extract.contains(NOBODY) && extract.contains(SOMEBODY.trim_start_matches('0')));
}
