//! `snapshot build` on the messy extract, and `snapshot verify` on what became of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use super::Folder;
use crate::site::{AS_OF, data};

const VERIFY: &str = "snapshot verify --snapshots snapshots --secrets secrets.toml";

fn generation(folder: &Folder) -> String {
    folder.read("snapshots/CURRENT").trim().to_owned()
}

#[track_caller]
fn check_rejects(folder: &Folder, path: &str) {
    let path = folder.path(path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let found = fs::read_to_string(path).unwrap();
    let expected = fs::read_to_string(data("expected_rejects.csv")).unwrap();
    let of = |text: &str| {
        let rows = text.lines().map(|line| line.splitn(3, ',').take(2).collect::<Vec<_>>().join(","));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(of(&found), of(&expected));
}

#[test]
fn json_is_one_object_with_every_count() {
    let folder = Folder::with_secrets();
    let mut report = folder.build(&["--as-of", AS_OF, "--max-rejected", "0.05", "--json"]).json();
    let gates = report.as_object_mut().unwrap().remove("gates").unwrap();
    assert!(gates.as_array().unwrap().iter().all(|gate| gate["passed"] == true), "{gates}");
    let expected = fs::read_to_string(data("expected_summary.json")).unwrap();
    let mut expected: Value = serde_json::from_str(&expected).unwrap();
    expected["generation"] = generation(&folder).into();
    expected["rejects_path"] = report["rejects_path"].clone();
    assert_eq!(report, expected);
    assert!(report["generation"].as_str().unwrap().starts_with("2026-11-22-"));
    check_rejects(&folder, report["rejects_path"].as_str().unwrap());
}

#[test]
fn without_json_it_tells_the_same_in_words() {
    let folder = Folder::with_secrets();
    let told = folder.build(&["--as-of", AS_OF, "--max-rejected", "0.05"]).ok();
    let generation = generation(&folder);
    let start = format!(
        "published {generation}\n3608 rows: 3423 entitlements, 88 duplicates, 97 rejected (see snapshots/rejects/"
    );
    assert!(told.starts_with(&start), "{told}");
    assert!(
        told.contains("\n3140 people, 54 incomplete\nwarnings: bad_branch 15, bad_document_due 7"),
        "{told}"
    );
}

#[test]
fn too_many_rejects_publish_nothing_and_say_what_to_do() {
    let folder = Folder::with_secrets();
    let ran = folder.build(&["--as-of", AS_OF, "--json"]);
    let message = ran.refused(
        1,
        &["97 of 3608 rows were rejected", "at most 0.005", "mend the rows listed in", "--max-rejected"],
    );
    let path = message.split("listed in ").nth(1).unwrap().split(", or").next().unwrap();
    check_rejects(&folder, path);
    assert!(!folder.path("snapshots/CURRENT").exists());
    folder.run(VERIFY).refused(1, &["nothing is published in snapshots", "`estehqaq snapshot build`"]);
    // A gate that refuses leaves what was published before.
    folder.build(&["--as-of", AS_OF, "--max-rejected", "0.05"]).ok();
    let before = generation(&folder);
    folder.build(&["--as-of", "1405/09/02"]).refused(1, &["97 of 3608"]);
    assert_eq!(generation(&folder), before);
}

#[test]
fn as_of_is_taken_in_both_calendars() {
    let folder = Folder::with_secrets();
    let build = |day: &str| {
        folder.build(&["--as-of", day, "--accept", "a messy extract", "--json"]).json()["generation"].clone()
    };
    let first = build("2026-11-22");
    assert_eq!(first, build("1405/09/01"));
    assert_eq!(first, build("۱۴۰۵/۹/۱"));
    assert_eq!(first, build("20261122"));
    assert_ne!(first, build("1405/09/02"));
    assert!(generation(&folder).starts_with("2026-11-23-"));
    folder.build(&["--as-of", "2026-02-30"]).refused(2, &["--as-of <DATE>", "not a date"]);
    folder.build(&["--as-of", "1277/01/01"]).refused(2, &["--as-of <DATE>", "out of range"]);
}

#[test]
fn as_of_is_today_in_tehran_by_default() {
    let folder = Folder::with_secrets();
    let before = server::today_in_tehran().unwrap();
    folder.build(&["--max-rejected", "1"]).ok();
    let today = [before, server::today_in_tehran().unwrap()].map(|day| format!("{}-", day.iso()));
    let generation = generation(&folder);
    assert!(today.iter().any(|today| generation.starts_with(today)), "{generation}");
}

#[test]
fn a_wrong_share_is_wrong_usage() {
    let folder = Folder::with_secrets();
    for share in ["1.01", "-0.1", "5%", "NaN", "inf", ""] {
        let given = format!("--max-rejected={share}");
        folder.build(&[&given]).refused(2, &["--max-rejected <SHARE>", "give a number from 0 to 1"]);
    }
    assert!(!folder.path("snapshots").exists());
}

#[test]
fn an_unreadable_extract_is_named() {
    let folder = Folder::with_secrets();
    let build = "snapshot build --snapshots snapshots --secrets secrets.toml --extract";
    folder.run(&format!("{build} none.csv")).refused(1, &["cannot read none.csv", "check the path"]);
    folder.write("half.csv", "id_kind,person_id\nN,1\n");
    folder.run(&format!("{build} half.csv")).refused(1, &["line 1: the header has no column `category`"]);
    folder.run("snapshot build --snapshots s").refused(2, &["--extract <FILE>", "--secrets <FILE>"]);
}

#[test]
fn verify_opens_the_current_generation() {
    let folder = Folder::with_snapshot();
    let told = folder.run(VERIFY).ok();
    let expected =
        format!("{} is whole: 3140 people, 54 incomplete, 3423 entitlements\n", generation(&folder));
    assert_eq!(told, expected);
    folder.run("secrets init --secrets other.toml").nothing();
    let other = folder.run("snapshot verify --snapshots snapshots --secrets other.toml");
    other.refused(1, &["built with mobile key 1", "give this server the builder's mobile key"]);
}

#[test]
fn verify_names_a_damaged_file() {
    let folder = Folder::with_snapshot();
    let generation = folder.path("snapshots").join(generation(&folder));
    fs::set_permissions(&generation, Permissions::from_mode(0o750)).unwrap();
    let files: Vec<PathBuf> = fs::read_dir(&generation).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name == "publication.json" {
            continue; // It tells of the run, and nothing is answered from it.
        }
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        fs::write(&file, &bad).unwrap();
        folder.run(VERIFY).refused(1, &[name, "again"]);
        fs::write(&file, &good[..good.len() - 1]).unwrap();
        folder.run(VERIFY).refused(1, &[name, "again"]);
        fs::write(&file, &good).unwrap();
        folder.run(VERIFY).ok();
    }
    folder.write("snapshots/CURRENT", "2026-11-22-000000000000\n");
    folder.run(VERIFY).refused(1, &["2026-11-22-000000000000"]);
    folder.write("snapshots/CURRENT", "../elsewhere\n");
    folder.run(VERIFY).refused(1, &["CURRENT does not name a generation", "publish one again"]);
}

/// A generation whose files can be changed.
fn writable(folder: &Folder, name: &str) -> PathBuf {
    let generation = folder.path("snapshots").join(name);
    fs::set_permissions(&generation, Permissions::from_mode(0o750)).unwrap();
    for entry in fs::read_dir(&generation).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o640)).unwrap();
    }
    generation
}

#[test]
fn verify_opens_any_generation_by_its_name() {
    let folder = Folder::with_snapshot();
    let first = generation(&folder);
    folder.build(&["--as-of", "2026-11-23", "--accept", "a second night"]).ok();
    let second = generation(&folder);
    let by_name = format!(" {first}");
    let named = [("", &second), (" current", &second), (" previous", &first), (by_name.as_str(), &first)];
    for (named, name) in named {
        let told = folder.run(&format!("{VERIFY}{named}")).ok();
        assert!(told.starts_with(&format!("{name} is whole: 3140 people")), "{named}: {told}");
    }
    // One byte in the middle of a file as long as before: only who reads all of it sees that.
    let records = writable(&folder, &first).join("records.bin");
    let mut bytes = fs::read(&records).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&records, bytes).unwrap();
    folder.run(&format!("{VERIFY} {first}")).refused(1, &[&first, "records.bin"]);
    folder.run(VERIFY).ok();
    folder.run(&format!("{VERIFY} 2026-11-22-000000000000")).refused(1, &["2026-11-22-000000000000"]);
    folder.run(&format!("{VERIFY} yesterday")).refused(2, &["current or previous"]);
}

#[test]
fn verify_checks_the_signatures_of_the_one_named() {
    let folder = Folder::with_snapshot();
    let unsigned = generation(&folder);
    folder.run("snapshot keygen --signing-key sign.key --public-key public.key").ok();
    folder.build(&["--as-of", "2026-11-23", "--accept", "a test", "--signing-key", "sign.key"]).ok();
    let signed = generation(&folder);
    let verify = format!("{VERIFY} --public-key public.key");
    folder.run(&format!("{verify} {signed}")).ok();
    folder.run(&format!("{verify} {unsigned}")).refused(1, &["content.json is not signed"]);
    let publication = writable(&folder, &signed).join("publication.json");
    let text = fs::read_to_string(&publication).unwrap();
    fs::write(&publication, text.replace("a test", "a jest")).unwrap();
    folder.run(&verify).refused(1, &["publication.json", "does not fit its bytes"]);
}

/// As if its builder, or this program, had a fault: the name fits the bytes, and the bytes say something else.
#[test]
fn verify_asks_the_self_test() {
    let folder = Folder::with_snapshot();
    let from = writable(&folder, &generation(&folder));
    let text = fs::read_to_string(from.join("content.json")).unwrap();
    let wrong = text.replacen("\"reason\": \"active\"", "\"reason\": \"ended\"", 1);
    let as_of = engine::Day::parse(AS_OF).unwrap();
    let name = snapshots::GenerationName::of_content(as_of, wrong.as_bytes()).to_string();
    let to = folder.path("snapshots").join(&name);
    fs::create_dir(&to).unwrap();
    for file in ["index.bin", "records.bin"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    fs::write(to.join("content.json"), wrong).unwrap();
    folder.run(&format!("{VERIFY} {name}")).refused(1, &[&name, "the self-test failed", "instead of `ended"]);
}
