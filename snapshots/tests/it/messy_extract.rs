//! The whole of a messy nightly extract: summary, every rejected line with its rule, every answer.

use std::fs;

use engine::{Care, Day, IdKind, Mobile, Notice, Person, PersonId, decide};
use serde_json::{Value, json};
use snapshots::{Generation, open_current};

use crate::support::{build_file, data, mobile_key};

#[test]
fn summary_and_rejects() {
    let dir = tempfile::tempdir().unwrap();
    let report = build_file(&data("extract.csv"), dir.path()).unwrap();
    let report = serde_json::to_value(&report).unwrap();
    let expected: Value = serde_json::from_slice(&fs::read(data("expected_summary.json")).unwrap()).unwrap();
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&report[member], value, "{member}");
    }
    let rejects = fs::read_to_string(report["rejects_path"].as_str().unwrap()).unwrap();
    let found: Vec<_> =
        rejects.lines().map(|line| line.splitn(3, ',').take(2).collect::<Vec<_>>().join(",")).collect();
    let expected = fs::read_to_string(data("expected_rejects.csv")).unwrap();
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
}

/// The answer as the file of expected answers puts it.
fn answers(generation: &Generation, request: &Value) -> Value {
    let text = |member: &str| request[member].as_str().unwrap();
    let person = PersonId::parse(IdKind::from_code(text("id_kind")).unwrap(), text("person_id")).unwrap();
    let day = Day::parse(text("service_date")).unwrap();
    let found = generation.snapshot.find(person);
    let codes = |notices: engine::Notices| {
        let mut codes: Vec<_> = notices.iter().map(Notice::code).collect();
        codes.sort_unstable();
        codes
    };
    let general = decide(found, day, Care::from_code(text("care")).unwrap());
    let personal = decide(found, day, Care::Outpatient);
    let mobile = Mobile::parse(text("mobile")).ok().flatten();
    let carries = |found: Person<'_>| {
        mobile.is_some_and(|mobile| found.carries(generation.mobile_key.fingerprint(person, &mobile)))
    };
    let personal = if carries(found) {
        json!({
            "status": personal.status().code(),
            "reason": personal.reason.code(),
            "end_date": personal.end.map(|end| end.iso().to_string()),
            "open_ended": personal.open_ended,
            "notices": codes(personal.notices),
        })
    } else {
        json!("mobile_mismatch")
    };
    json!({ "general": { "status": general.status().code(), "notices": codes(general.notices) }, "personal": personal })
}

#[test]
fn every_answer() {
    let dir = tempfile::tempdir().unwrap();
    build_file(&data("extract.csv"), dir.path()).unwrap();
    let generation = open_current(dir.path(), &[mobile_key()]).unwrap();
    let inquiries = fs::read_to_string(data("inquiries.ndjson")).unwrap();
    let mut checked = 0;
    for (number, line) in (1..).zip(inquiries.lines()) {
        let inquiry: Value = serde_json::from_str(line).unwrap();
        let mut expected = inquiry["expected"].clone();
        for answer in expected.as_object_mut().unwrap().values_mut() {
            if let Some(notices) = answer.get_mut("notices").and_then(Value::as_array_mut) {
                notices.sort_by_key(|notice| notice.as_str().unwrap().to_owned());
            }
        }
        assert_eq!(answers(&generation, &inquiry["request"]), expected, "line {number}");
        checked += 1;
    }
    assert_eq!(checked, 1999);
}
