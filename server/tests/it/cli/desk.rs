//! `ledger search`, `find --reveal` and `export --acts`: the desk's work at the command line, with a service at work on
//! the ledger and without, and the evidence that it leaves.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::serving::{SERVE, Serving};
use super::{Folder, program, words};

const AT: &str = "--ledger ledger --secrets secrets.toml";
const PERSON: &str = "5742616694";

/// A folder with a key, and a file that holds the ID.
fn prepared() -> (Folder, String) {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    folder.write("person", &format!(" {PERSON}\n"));
    (folder, key)
}

fn ask(serving: &mut Serving, key: &str, times: usize) -> Vec<String> {
    let client = serving.client();
    let code = || client.ask(key, &json!({ "person_id": PERSON })).json()["tracking_code"].clone();
    let mut codes: Vec<String> = (0..times).map(|_| code().as_str().unwrap().to_owned()).collect();
    codes.reverse();
    codes
}

/// The lines of a search on stdout, and what it says beside them.
#[track_caller]
fn search(folder: &Folder, flags: &str) -> (Vec<Value>, String) {
    let ran = folder.run(&format!("ledger search {AT} --person-id-file person {flags}"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    (ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), ran.stderr)
}

fn codes(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["tracking_code"].as_str().unwrap()).collect()
}

fn acts(folder: &Folder) -> Vec<Value> {
    let lines = folder.run(&format!("ledger export {AT} --acts")).ok();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_search_shows_what_find_shows_page_by_page_beside_a_service_and_without() {
    let (folder, key) = prepared();
    let mut serving = Serving::start(&folder, SERVE);
    let given = ask(&mut serving, &key, 5);
    check_search(&folder, &given);
    serving.terminate();
    check_search(&folder, &given);
    let acts = acts(&folder);
    assert_eq!(acts.len(), 6);
    let told: Vec<_> = acts.iter().map(|act| (&act["shown"], &act["skipped"])).collect();
    assert_eq!(told[..3], told[3..]);
    assert_eq!(told[..3], [(&json!(3), &json!(0)), (&json!(2), &json!(3)), (&json!(0), &json!(0))]);
    for act in &acts {
        assert_eq!((&act["deed"], &act["actor"]), (&json!("desk_search"), &json!("desk 7")));
        assert_eq!((&act["person_id"], &act["id_kind"]), (&json!("*******694"), &json!("national")));
    }
    assert_eq!((&acts[0]["from"], &acts[0]["to"]), (&json!("1900-01-01"), &json!("2079-06-05")));
    assert_eq!((&acts[2]["from"], &acts[2]["to"]), (&json!("2026-03-21"), &json!("2026-03-22")));
    let verified = folder.run(&format!("ledger verify {AT}")).ok();
    assert!(verified.contains("(5 inquiries, 4 openings, 4 closings, 6 acts)"), "{verified}");
    folder
        .run(&format!("ledger export {AT} --acts --format csv"))
        .refused(2, &["--acts has no --format csv"]);
    folder.run(&format!("ledger export {AT} --acts --reveal")).refused(2, &["cannot be used with"]);
    folder.run(&format!("ledger export {AT} --actor x")).refused(2, &["--actor goes with --reveal"]);
}

fn check_search(folder: &Folder, given: &[String]) {
    let actor = ["--actor", "desk 7"];
    let run = |flags: &str| {
        let line = format!("ledger search {AT} --person-id-file person {flags}");
        let ran = folder.run_with(&[&words(&line)[..], &actor].concat(), &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let rows: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (rows, ran.stderr)
    };
    let (rows, told) = run("--limit 3");
    assert_eq!(codes(&rows), given[..3]);
    for row in &rows {
        let code = row["tracking_code"].as_str().unwrap();
        assert_eq!(*row, folder.run(&format!("ledger find {AT} {code}")).json());
        assert_eq!(row["person_id"], "*******694");
    }
    let cursor = told.strip_prefix("there are more: --after ").unwrap().trim_end();
    let (rows, told) = run(&format!("--limit 3 --after {cursor}"));
    assert_eq!((codes(&rows), told.as_str()), (given[3..].iter().map(String::as_str).collect(), ""));
    let (rows, told) = run("--from 1405/01/01 --to 1405/01/02");
    assert_eq!((rows.len(), told.as_str()), (0, ""));
}

#[test]
fn an_id_is_read_from_standard_input_and_never_quoted() {
    let (folder, key) = prepared();
    let mut serving = Serving::start(&folder, SERVE);
    let given = ask(&mut serving, &key, 1);
    serving.terminate();
    let mut command = program();
    command.current_dir(folder.root()).args(words(&format!("ledger search {AT} --person-id-file -")));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("۵۷۴۲۶۱۶۶۹۴\n".as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["tracking_code"], given[0]);
    // `run` checks that no ID shows.
    folder.run(&format!("ledger search {AT} --person-id-file nowhere")).refused(1, &["cannot read nowhere"]);
    folder.run(&format!("ledger search {AT} {PERSON}")).refused(2, &["unexpected argument"]);
    folder.run(&format!("ledger search {AT} --person-id {PERSON}")).refused(2, &["unexpected argument"]);
    folder.run(&format!("ledger search {AT}")).refused(2, &["--person-id-file <FILE>"]);
    folder.run(&format!("ledger search {AT} --person-id-file person --limit 101")).refused(2, &["1..=100"]);
    folder.write("person", &format!("{PERSON} {PERSON}"));
    folder
        .run(&format!("ledger search {AT} --person-id-file person"))
        .refused(1, &["person: ", "it must hold one ID and nothing else"]);
    folder.write("person", "6930154164");
    let cursor = "0".repeat(48);
    folder
        .run(&format!("ledger search {AT} --person-id-file person --after {cursor}"))
        .refused(1, &["not where a page of a search for this person ended"]);
    assert_eq!(acts(&folder).len(), 1, "what was refused left no entry");
}

#[test]
fn a_find_that_reveals_is_an_entry_and_a_masked_one_is_not() {
    let (folder, key) = prepared();
    let mut serving = Serving::start(&folder, SERVE);
    let code = ask(&mut serving, &key, 1).remove(0);
    let find = format!("ledger find {AT} {code}");
    let masked = folder.run(&find).json();
    assert_eq!(acts(&folder), Vec::<Value>::new());
    let revealed = |actor: &str| {
        let mut command = program();
        let output =
            command.current_dir(folder.root()).args(words(&format!("{find} --reveal --actor {actor}")));
        let output = output.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let beside = revealed("beside");
    serving.terminate();
    let alone = revealed("alone");
    assert_eq!(beside, alone);
    assert_eq!(beside["person_id"], PERSON);
    let mut expected = masked.clone();
    expected["person_id"] = json!(PERSON);
    assert_eq!(beside, expected);
    let noted = acts(&folder);
    assert_eq!(noted.len(), 2);
    for (act, actor) in noted.iter().zip(["beside", "alone"]) {
        assert_eq!((&act["deed"], &act["actor"]), (&json!("desk_read"), &json!(actor)));
        assert_eq!((&act["entry_sequence"], &act["entry_ledger"]), (&masked["sequence"], &json!(1)));
    }
    folder.run(&format!("{find} --actor x")).refused(2, &["--actor goes with --reveal"]);
    // Where the entry cannot be written nothing is shown.
    std::fs::remove_file(folder.path("ledger/MARK")).unwrap();
    folder.run(&format!("{find} --reveal")).refused(1, &["MARK"]);
    let ran = folder.run(&format!("ledger search {AT} --person-id-file person"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
}

#[test]
fn a_search_of_the_default_page() {
    let (folder, key) = prepared();
    let mut serving = Serving::start(&folder, SERVE);
    let given = ask(&mut serving, &key, 21);
    let (rows, told) = search(&folder, "");
    assert_eq!(codes(&rows), given[..20]);
    assert!(told.starts_with("there are more: --after "), "{told}");
    let (rows, told) = search(&folder, "--limit 100");
    assert_eq!((codes(&rows), told), (given.iter().map(String::as_str).collect(), String::new()));
    serving.terminate();
}
