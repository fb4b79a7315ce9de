//! The auditor's commands in docs/ledger.md, run as they stand there: over a ledger in order, and over one that was changed.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::Folder;
use super::serving::{SERVE, Serving};

const DOC: &str = include_str!("../../../../docs/ledger.md");
/// Says that this binary is to be `b3sum`.
const B3SUM: &str = "ESTEHQAQ_TEST_IS_B3SUM";

/// The commands of the auditor's part, block by block.
fn blocks() -> Vec<String> {
    let part = DOC.split("## For the auditor").nth(1).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let (mut blocks, mut is_inside) = (Vec::<String>::new(), false);
    for line in part.lines() {
        let Some(command) = line.strip_prefix("    ") else {
            is_inside = false;
            continue;
        };
        if !std::mem::replace(&mut is_inside, true) {
            blocks.push(String::new());
        }
        *blocks.last_mut().unwrap() += &format!("{command}\n");
    }
    blocks
}

/// What `b3sum --no-names` prints of its standard input, where it is not installed; nothing when run as a test.
#[test]
fn b3sum_of_stdin() {
    if std::env::var_os(B3SUM).is_some() {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).unwrap();
        println!("\nb3sum {}", blake3::hash(&bytes).to_hex());
    }
}

/// A folder with `b3sum` in it, if there is none on this machine.
fn tools(folder: &Folder) -> String {
    let path = std::env::var("PATH").unwrap();
    let estehqaq = Path::new(env!("CARGO_BIN_EXE_estehqaq")).parent().unwrap();
    if !std::env::split_paths(&path).any(|folder| folder.join("b3sum").exists()) {
        let this = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\n{B3SUM}=1 '{}' cli::auditing::b3sum_of_stdin --exact --nocapture | sed -n 's/^b3sum //p'\n",
            this.display()
        );
        folder.write("b3sum", &script);
        fs::set_permissions(folder.path("b3sum"), fs::Permissions::from_mode(0o700)).unwrap();
    }
    format!("{}:{}:{path}", estehqaq.display(), folder.root().display())
}

/// Runs blocks as one script; what it printed.
fn pasted(folder: &Folder, blocks: &[String], code: &str) -> String {
    let script = format!("set -euo pipefail\ncode={code}\n{}", blocks.concat());
    let mut bash = Command::new("bash");
    bash.current_dir(folder.root()).env("PATH", tools(folder)).args(["-c", &script]);
    let output = bash.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{script}");
    text(&output.stdout)
}

/// A ledger of three lives as the tour has it; the code of an answer in the second.
fn toured() -> (Folder, String) {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("clinic-1", "clinic");
    fs::create_dir(folder.path("tour")).unwrap();
    fs::copy(folder.path("secrets.toml"), folder.path("tour/secrets.toml")).unwrap();
    let codes = [1, 2, 3].map(|_| {
        let mut serving = Serving::start(&folder, &SERVE.replace("--ledger ledger", "--ledger tour/ledger"));
        let client = serving.client();
        let codes = ["5742616694", "5742616694"].map(|person| {
            let answer = client.ask(&key, &json!({ "person_id": person })).json();
            answer["tracking_code"].as_str().unwrap().to_owned()
        });
        serving.terminate();
        codes
    });
    let code = codes[1][1].clone();
    (folder, code)
}

fn change(folder: &Folder, segment: u32, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.path(&format!("tour/ledger/segment-{segment:08}.led"));
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_auditors_commands_work_as_pasted() {
    let (folder, code) = toured();
    let blocks = blocks();
    assert_eq!(blocks.len(), 4, "note, chain, compare, one entry");
    let told = pasted(&folder, &blocks, &code);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.ends_with(" in order")).count(), 3, "{told}");
    assert!(!told.contains("NOT IN ORDER"), "{told}");
    assert_eq!(lines.iter().filter(|line| line.ends_with(" is there")).count(), 3, "{told}");
    assert!(!told.contains("IS NOT THERE"), "{told}");
    assert!(lines.contains(&"clinic-1"), "the provider in clear: {told}");
    assert!(lines.last().unwrap().starts_with("00000002 "), "the segment's noted line: {told}");
    let head = lines.iter().find(|line| line.starts_with("head ")).unwrap();
    assert!(head.starts_with("head 0001-00000003-"), "{head}");

    // A changed entry: its own segment is not in order, and by that the noted digest is not there.
    let chain = &blocks[1..3];
    change(&folder, 1, |bytes| bytes[4096 + 144 + 72] ^= 1);
    let told = pasted(&folder, chain, &code);
    assert!(told.contains("segment-00000001.led ") && told.matches("NOT IN ORDER").count() == 2, "{told}");
    let gone = |line: &str| line.starts_with("00000001 ") && line.ends_with(" IS NOT THERE");
    assert!(told.lines().any(gone) && told.matches("IS NOT THERE").count() == 1, "{told}");
    // The same by somebody who sets the digest in the seal right: the next segment and the note tell.
    change(&folder, 1, |bytes| {
        let seal = bytes.len() - 144;
        let digest = *blake3::hash(&bytes[..seal]).as_bytes();
        bytes[seal + 72..seal + 104].copy_from_slice(&digest);
    });
    let told = pasted(&folder, chain, &code);
    let wrong: Vec<&str> = told.lines().filter(|line| line.ends_with("NOT IN ORDER")).collect();
    assert!(wrong.len() == 1 && wrong[0].contains("segment-00000002.led"), "{told}");
    assert!(told.lines().any(gone), "{told}");
}

/// A secrets file without month keys is enough to verify, and shows no person.
#[test]
fn an_auditor_needs_no_month_key() {
    let (folder, code) = toured();
    let text = folder.read("secrets.toml");
    let without_months = text.split("\n# person IDs").next().unwrap();
    folder.write("tour/secrets.toml", without_months);
    let at = "--ledger tour/ledger --secrets tour/secrets.toml";
    let listed = folder.run(&format!("ledger verify {at} --segments")).ok();
    let columns = "segment entries first_sequence last_sequence first_time last_time digest";
    let listed: Vec<&str> = listed.lines().skip_while(|line| *line != columns).skip(1).take(3).collect();
    for (number, line) in (1..).zip(listed) {
        let cells: Vec<&str> = line.split(' ').collect();
        let first = 4 * (number - 1) + 1;
        assert_eq!(
            cells[..4],
            [format!("{number:08}"), "4".to_owned(), first.to_string(), (first + 3).to_string()]
        );
        assert!(cells[4].ends_with('Z') && cells[6].len() == 64, "{line}");
    }
    let found = folder.run(&format!("ledger find {at} {code}")).json();
    assert_eq!((&found["person_id"], &found["decided_by"]), (&json!(""), &json!(null)));
    assert_eq!((&found["segment"], &found["entry"]), (&json!(2), &json!(2)));
}
