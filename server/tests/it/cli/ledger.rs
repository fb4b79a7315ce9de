//! `ledger init`, `find`, `verify` and `export` where there is little or nothing to read; what a service left is
//! read in `serve`.

use std::fs;

use serde_json::json;

use super::Folder;
use super::serving::{SERVE, Serving};

const AT: &str = "--ledger ledger --secrets secrets.toml";

#[test]
fn init_gives_a_number_once() {
    let folder = Folder::with_secrets();
    assert_eq!(folder.run(&format!("ledger init {AT} --number 42")).ok(), "ledger is ledger 42\n");
    for number in [42, 7] {
        let again = folder.run(&format!("ledger init {AT} --number {number}"));
        again
            .refused(1, &["says this is ledger 42 already", &format!("an empty folder for ledger {number}")]);
    }
    assert!(folder.run(&format!("ledger verify {AT}")).ok().starts_with("ledger 42: "));
    let default = folder.run("ledger init --ledger a/b --secrets secrets.toml").ok();
    assert_eq!(default, "a/b is ledger 1\n");
}

#[test]
fn a_number_that_is_none_is_wrong_usage() {
    let folder = Folder::with_secrets();
    for number in ["0", "10000", "70000", "-1", "one"] {
        let init = folder.run(&format!("ledger init {AT} --number={number}"));
        init.refused(2, &[&format!("'{number}' for '--number <N>'")]);
    }
    folder.run(&format!("ledger init {AT} --number 10000")).refused(2, &["1..=9999"]);
    assert!(!folder.path("ledger").exists());
    folder.run(&format!("ledger init {AT} --number 9999")).ok();
}

#[test]
fn an_empty_ledger_is_in_order_and_exports_nothing() {
    let folder = Folder::with_secrets();
    folder.run(&format!("ledger init {AT}")).ok();
    let told = folder.run(&format!("ledger verify {AT}")).ok();
    let counts = "ledger 1: 0 entries in order (0 inquiries, 0 openings, 0 closings, 0 acts), no sequences\n";
    assert!(
        told.starts_with(counts) && told[counts.len()..].starts_with("1 segments, 0.000 GB in "),
        "{told}"
    );
    assert_eq!(folder.run(&format!("ledger export {AT}")).ok(), "");
    let csv = folder.run(&format!("ledger export {AT} --format csv")).ok();
    assert!(csv.starts_with("tracking_code,sequence,answered_at,") && csv.lines().count() == 1, "{csv}");
    folder.run(&format!("ledger export {AT} --format xml")).refused(2, &["[possible values: ndjson, csv]"]);
}

#[test]
fn where_no_ledger_is_the_way_to_one_is_told() {
    let folder = Folder::with_secrets();
    for command in ["verify", "export", "find 0000000000000000"] {
        let ran = folder.run(&format!("ledger {command} {AT}"));
        ran.refused(1, &["LEDGER is not there", "`estehqaq ledger init`"]);
    }
    assert!(!folder.path("ledger").exists(), "reading makes nothing");
    folder.run("ledger verify").refused(2, &["--ledger <DIR>", "--secrets <FILE>"]);
}

#[test]
fn a_mistyped_code_is_told_from_one_that_nobody_got() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    let mut serving = Serving::start(&folder, SERVE);
    let answer = serving.client().ask(&key, &json!({"person_id": "5742616694"})).json();
    serving.terminate();
    let code = answer["tracking_code"].as_str().unwrap();
    let find = |code: &str| folder.run(&format!("ledger find {AT} {code}"));
    find(code).ok();
    find(&format!("{} {} {} {}", &code[..4], &code[4..8], &code[8..12], &code[12..])).ok();
    for place in 0..16 {
        let mut digits = code.as_bytes().to_vec();
        digits[place] = b'0' + (digits[place] - b'0' + 1) % 10;
        let mistyped = String::from_utf8(digits).unwrap();
        find(&mistyped).refused(1, &["the tracking code is mistyped: compare it digit by digit"]);
    }
    for code in [&code[1..], &format!("{code}0"), "12345678901234x6"] {
        find(code).refused(1, &["a tracking code has 16 digits"]);
    }
    folder.run(&format!("ledger find {AT}")).refused(2, &["<TRACKING_CODE>"]);
    // A ledger made anew under the same keys knows the number, and not the entry.
    folder.run("ledger init --ledger anew --secrets secrets.toml").ok();
    let anew = folder.run(&format!("ledger find --ledger anew --secrets secrets.toml {code}"));
    anew.refused(1, &["no entry has this tracking code", "compare it with the receipt"]);
}

#[test]
fn damage_is_named_and_ends_with_1() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    let mut serving = Serving::start(&folder, SERVE);
    let client = serving.client();
    let code = client.ask(&key, &json!({"person_id": "5742616694"})).json()["tracking_code"].clone();
    client.ask(&key, &json!({"person_id": "5742616694"}));
    serving.terminate();
    let files = fs::read_dir(folder.path("ledger")).unwrap().map(|entry| entry.unwrap().path());
    let segment = files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let provider = bytes.windows(4).position(|four| four == b"a\0\0\0").unwrap();
    bytes[provider] = b'b';
    fs::write(&segment, bytes).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let verify = folder.run(&format!("ledger verify {AT}"));
    assert_eq!(verify.code, Some(1));
    assert!(verify.stdout.starts_with("ledger 1: 1 entries in order (0 inquiries,"), "{verify:?}");
    assert!(!verify.stdout.contains("closed"), "{verify:?}");
    assert!(verify.stderr.contains(name) && verify.stderr.contains("entry 1 at byte "), "{verify:?}");
    assert!(verify.stderr.contains("is damaged: its checksum is wrong"), "{verify:?}");
    folder.run(&format!("ledger export {AT}")).refused(1, &["entry 1 at byte", "is damaged"]);
    let find = format!("ledger find {AT} {}", code.as_str().unwrap());
    folder.run(&find).refused(1, &[name, "is damaged"]);
    folder.run(SERVE).refused(1, &[name, "is damaged", "keep the folder as evidence"]);
}

#[test]
fn old_keys_stay_readable_and_a_receipt_is_shown_as_it_is() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("a", "clinic");
    let ask = || {
        let mut serving = Serving::start(&folder, SERVE);
        let answer = serving.client().ask(&key, &json!({"person_id": "5742616694"})).json();
        serving.terminate();
        answer["tracking_code"].as_str().unwrap().to_owned()
    };
    let first = ask();
    let more = |kind: &str, digit: &str| format!("\n[[{kind}]]\nid = 2\nkey = \"{}\"\n", digit.repeat(64));
    folder.write(
        "secrets.toml",
        &(folder.read("secrets.toml") + &more("tracking", "a") + &more("ledger", "b")),
    );
    let second = ask();
    assert!(first.starts_with('1') && second.starts_with('2'), "{first} {second}");
    for code in [&first, &second] {
        let found = folder.run(&format!("ledger find {AT} {code}")).json();
        assert_eq!(found["tracking_code"], **code);
    }
    assert!(folder.run(&format!("ledger verify {AT}")).ok().ends_with("closed clean\n"));
    assert_eq!(folder.run(&format!("ledger export {AT}")).ok().lines().count(), 2);
    let text = folder.read("secrets.toml").replace(&more("ledger", "b"), "");
    folder.write("secrets.toml", &text);
    folder.run(&format!("ledger export {AT}")).refused(1, &["needs ledger key 2", "secrets file again"]);
}
