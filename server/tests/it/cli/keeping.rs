//! `ledger export --reveal`, `prune`, `ship` and `restore`, with a service at work on the ledger and without.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::serving::{SERVE, Serving};
use super::{Folder, Ran, program, words};
use crate::rotating::{Random, rounds};
use crate::s3::S3;

const AT: &str = "--ledger ledger --secrets secrets.toml";
const PERSON: &str = "5742616694";

/// A folder whose service has given one answer and ended; the answer's code.
fn answered() -> (Folder, String) {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    let mut serving = Serving::start(&folder, SERVE);
    let answer = serving.client().ask(&key, &json!({ "person_id": PERSON })).json();
    serving.terminate();
    let code = answer["tracking_code"].as_str().unwrap().to_owned();
    (folder, code)
}

/// Runs a command whose output may show IDs.
fn revealing(folder: &Folder, line: &str) -> (Option<i32>, String, String) {
    let output = program().current_dir(folder.root()).args(words(line)).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn ids_are_masked_unless_revealed_and_a_reveal_is_an_entry() {
    let (folder, _) = answered();
    // The first line counts them; what follows tells how fast.
    let entries = |folder: &Folder| {
        folder.run(&format!("ledger verify {AT}")).ok().lines().next().map(str::to_owned).unwrap()
    };
    let before = entries(&folder);
    let masked = folder.run(&format!("ledger export {AT}")).json();
    assert_eq!(masked["person_id"], "*******694");
    assert_eq!(entries(&folder), before, "a masked export leaves no entry");
    for format in ["ndjson", "csv"] {
        let (code, stdout, stderr) =
            revealing(&folder, &format!("ledger export {AT} --reveal --actor auditor --format {format}"));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(stdout.contains(PERSON), "{stdout}");
    }
    // Each reveal, with nobody at work on the ledger: opened, the act, closed.
    assert_ne!(entries(&folder), before);
    assert!(entries(&folder).contains("3 openings, 3 closings"), "{}", entries(&folder));
    let acts = std::fs::read_dir(folder.path("ledger")).unwrap().map(|file| file.unwrap().path());
    let noted = acts.filter(|path| {
        path.extension().is_some_and(|end| end == "led")
            && std::fs::read(path).unwrap().windows(7).any(|bytes| bytes == b"auditor")
    });
    assert_eq!(noted.count(), 2);
    // Where the act cannot be written, nothing is revealed.
    std::fs::remove_file(folder.path("ledger/MARK")).unwrap();
    let (code, stdout, stderr) = revealing(&folder, &format!("ledger export {AT} --reveal"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
}

#[test]
fn a_service_at_work_notes_the_reveal_and_prunes() {
    let (folder, _) = answered();
    let mut serving = Serving::start(&folder, SERVE);
    serving.client();
    let (code, stdout, stderr) = revealing(&folder, &format!("ledger export {AT} --reveal --actor auditor"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains(PERSON));
    let pruned = folder.run(&format!("ledger prune {AT} --keep-days 3")).ok();
    assert_eq!(pruned, "nothing is old enough to be pruned\n");
    // A service that hangs takes no request: nothing is revealed.
    serving.signal("STOP");
    let (code, stdout, stderr) = revealing(&folder, &format!("ledger export {AT} --reveal"));
    serving.signal("CONT");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("does not take requests, or hangs"), "{stderr}");
    serving.terminate();
}

/// Both forms have the same names and the same values, and every stored field that explains an answer.
#[test]
fn csv_and_ndjson_tell_the_same() {
    let (folder, code) = answered();
    let json = folder.run(&format!("ledger export {AT}")).json();
    let csv = folder.run(&format!("ledger export {AT} --format csv")).ok();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2, "{csv}");
    let names: Vec<&str> = lines[0].split(',').collect();
    let cells: Vec<&str> = lines[1].split(',').collect();
    assert_eq!(names.len(), cells.len());
    let row = json.as_object().unwrap();
    let mut in_json: Vec<String> = row.keys().filter(|name| *name != "decided_by").cloned().collect();
    in_json.extend(row["decided_by"].as_object().unwrap().keys().map(|name| format!("decided_by.{name}")));
    let mut in_csv = names.clone();
    in_json.sort_unstable();
    in_csv.sort_unstable();
    assert_eq!(in_csv, in_json);
    for (name, cell) in names.iter().zip(cells) {
        let value = name.split('.').fold(&json, |value, name| &value[name]);
        let expected = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(values) => {
                values.iter().map(|value| value.as_str().unwrap()).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        assert_eq!(cell, expected, "{name}");
    }
    assert_eq!((&json["tracking_code"], &json["rules_version"]), (&json!(code), &json!(1)));
    let place = ["ledger", "segment", "entry"].map(|name| json[name].as_u64());
    assert_eq!(place, [Some(1), Some(1), Some(1)], "behind the opening");
    assert!(json["month_key"].as_u64().unwrap() > 202_600, "{json}");
    assert_eq!(json["decided_by"]["category"], "insured");
}

/// Whatever moment the service is killed at while it is asked to note a reveal: nothing is revealed without an entry.
/// `ESTEHQAQ_TEST_REVEAL_KILLS` sets how often.
#[test]
fn nothing_is_revealed_without_an_entry_however_the_service_ends() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let (folder, _) = answered();
    let (mut random, mut revealed) = (Random(seed.into()), 0);
    for kill in 0..rounds("ESTEHQAQ_TEST_REVEAL_KILLS", 4) {
        let mut serving = Serving::start(&folder, SERVE);
        serving.client();
        let actor = format!("auditor-{kill}");
        let line = format!("ledger export {AT} --reveal --actor {actor}");
        let (code, stdout, stderr) = thread::scope(|scope| {
            let export = scope.spawn(|| revealing(&folder, &line));
            // It takes requests once a second.
            thread::sleep(Duration::from_micros(random.number() % 1_300_000));
            serving.kill();
            export.join().unwrap()
        });
        let is_noted = noted(&folder, &actor);
        assert_eq!(stdout.contains(PERSON), code == Some(0), "{stderr}");
        assert!(is_noted || code == Some(1) && stdout.is_empty(), "revealed without an entry: {stderr}");
        revealed += u32::from(code == Some(0));
    }
    // The ledger is in order, and a reveal without a service at work goes on.
    let (code, _, stderr) = revealing(&folder, &format!("ledger export {AT} --reveal --actor last"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(noted(&folder, "last"));
    println!("{revealed} revealed");
}

/// Whether the ledger has an act of that name.
fn noted(folder: &Folder, actor: &str) -> bool {
    let name = format!("{actor}\0");
    let files = std::fs::read_dir(folder.path("ledger")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "led")).any(|path| {
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    })
}

#[test]
fn days_bound_an_export() {
    let (folder, _) = answered();
    let lines = |days: &str| folder.run(&format!("ledger export {AT} {days}")).ok().lines().count();
    assert_eq!(lines("--from 2020-01-01"), 1);
    assert_eq!(lines("--to 2020-01-01"), 0);
    assert_eq!(lines("--from 2070-01-01"), 0);
    folder.run(&format!("ledger export {AT} --from yesterday")).refused(2, &["--from <DATE>"]);
}

#[test]
fn shipped_to_a_folder_and_restored() {
    let (folder, code) = answered();
    let ship = format!("ledger ship {AT} --to vault");
    let first = folder.run(&ship).ok();
    assert!(
        first.contains(": 1 segments of ") && first.ends_with("sent to vault, 0 were there\n"),
        "{first}"
    );
    assert!(
        folder
            .run(&format!("{ship} --check"))
            .ok()
            .ends_with("0 segments of 0 bytes sent to vault, 1 were there\n")
    );
    check_restored(&folder, "vault", &code, |line| folder.run(line));
    // What changed there is told.
    let copy = folder.path("vault/segment-00000001.led");
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[4300] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    folder.run(&format!("{ship} --check")).refused(1, &["segment-00000001.led is not what was sent"]);
    folder
        .run("ledger restore --ledger other --secrets secrets.toml --from vault --number 9")
        .refused(1, &["vault/segment-00000001.led is not in order", "is damaged"]);
    folder
        .run(&format!("ledger prune {AT} --keep-days 0 --shipped-to nowhere"))
        .refused(1, &["nowhere is not there"]);
}

fn check_restored(folder: &Folder, from: &str, code: &str, run: impl Fn(&str) -> Ran) {
    let restore = format!("ledger restore --ledger restored --secrets secrets.toml --from {from} --number");
    run(&format!("{restore} 1")).refused(1, &["segments of ledger 1 are restored here", "another number"]);
    let told = run(&format!("{restore} 2")).ok();
    assert!(told.starts_with("restored is ledger 2, with 1 segments of 3 entries up to ledger 1"), "{told}");
    let found = folder.run(&format!("ledger find --ledger restored --secrets secrets.toml {code}")).json();
    assert_eq!(found["tracking_code"], code);
    assert!(
        folder
            .run("ledger verify --ledger restored --secrets secrets.toml")
            .ok()
            .starts_with("ledger 2: 3 entries")
    );
    run(&format!("{restore} 2")).refused(1, &["says this is ledger 2 already"]);
}

#[test]
fn shipped_to_a_bucket_and_restored() {
    let (folder, code) = answered();
    let s3 = S3::start();
    let variables = s3.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let run = |line: &str| folder.run_with(&words(line), &variables);
    let ship = format!("ledger ship {AT} --to s3://b/ledger-0001");
    // What is falsified on the way does not count as arrived, and does not stay.
    s3.with(|contents| contents.falsifies = true);
    run(&ship).refused(1, &["s3://b/ledger-0001/segment-00000001.led is not what was sent"]);
    s3.with(|contents| {
        assert!(contents.objects.is_empty());
        contents.falsifies = false;
    });
    assert!(run(&ship).ok().contains(": 1 segments of "));
    assert!(run(&format!("{ship} --check")).ok().contains("1 were there"));
    let receipt: Value = s3.with(|contents| {
        serde_json::from_slice(&contents.objects["ledger-0001/segment-00000001.led.json"]).unwrap()
    });
    assert_eq!((&receipt["ledger"], &receipt["segment"]), (&json!(1), &json!(1)));
    check_restored(&folder, "s3://b/ledger-0001", &code, run);
    run(&format!("ledger ship {AT} --to https://b")).refused(2, &["is no place for segments"]);
}
