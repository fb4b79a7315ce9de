//! `snapshot list`, `publish`, `rollback`, `prune` and `keygen`: what becomes of three nights.

use serde_json::Value;

use super::Folder;

const AT: &str = "--snapshots snapshots";
/// The extract of the tests is messy on purpose.
const MESSY: [&str; 4] = ["--max-rejected", "0.05", "--max-covered-change", "0.2"];

fn current(folder: &Folder) -> String {
    folder.read("snapshots/CURRENT").trim().to_owned()
}

fn build(folder: &Folder, as_of: &str, more: &[&str]) -> String {
    folder.build(&[&["--as-of", as_of][..], &MESSY, more].concat()).ok();
    current(folder)
}

/// Generations and their states, as `list` tells them.
fn states(folder: &Folder) -> Vec<(String, String)> {
    let listed: Value = folder.run(&format!("snapshot list {AT} --json")).json();
    let of = |one: &Value, member: &str| one[member].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(|one| (of(one, "generation"), of(one, "state"))).collect()
}

#[track_caller]
fn check_states(folder: &Folder, expected: &[(&str, &str)]) {
    let mut expected: Vec<_> =
        expected.iter().map(|(name, state)| (name.to_string(), state.to_string())).collect();
    let mut found = states(folder);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn nights_are_published_taken_back_and_pruned() {
    let folder = Folder::with_secrets();
    let first = build(&folder, "2026-11-22", &[]);
    let second = build(&folder, "2026-11-23", &[]);
    check_states(&folder, &[(&first, "retired"), (&second, "published")]);

    let told = folder.run(&format!("snapshot rollback {AT} --why wrong-branches")).ok();
    assert_eq!(told, format!("{first} is current; {second} was taken back\n"));
    assert_eq!(current(&folder), first);
    check_states(&folder, &[(&first, "published"), (&second, "rolled_back")]);
    assert!(folder.run(&format!("snapshot list {AT}")).ok().contains("  wrong-branches\n"));

    let again = format!("snapshot publish {AT} {second} --max-rejected 0.05 --max-covered-change 0.2");
    folder.run(&again).refused(1, &["rolled back", "--accept"]);
    assert_eq!(current(&folder), first, "nothing comes back by accident");
    let told = folder.run(&format!("{again} --accept it-was-right")).ok();
    assert_eq!(told, format!("published {second} in the place of {first}\n"));
    assert_eq!(folder.run(&again).ok(), format!("{second} is current already\n"));

    let third = build(&folder, "2026-11-24", &[]);
    assert_eq!(folder.run(&format!("snapshot prune {AT} --keep 1")).ok(), format!("pruned {first}\n"));
    check_states(&folder, &[(&second, "retired"), (&third, "published")]);
    folder.run(&format!("snapshot publish {AT} {first}")).refused(1, &[&first]);
    folder.run(&format!("snapshot publish {AT} yesterday")).refused(2, &["yesterday"]);
}

#[test]
fn a_gate_keeps_what_it_refuses_out_and_says_what_to_do() {
    let folder = Folder::with_secrets();
    let first = build(&folder, "2026-11-22", &[]);
    let older = folder.build(&[&["--as-of", "2026-11-21"][..], &MESSY].concat());
    older.refused(1, &["as of 2026-11-21 after 2026-11-22", "--allow-older"]);
    let many = folder.build(&[&["--as-of", "2026-11-23", "--min-people", "1000000"][..], &MESSY].concat());
    many.refused(1, &["1000000", "--min-people"]);
    folder.build(&["--as-of", "2026-11-21", "--accept", " "]).refused(2, &["--accept <REASON>", "say why"]);
    assert_eq!(current(&folder), first);
    assert_eq!(states(&folder).iter().filter(|(_, state)| state == "built").count(), 2, "they stay on disk");
    build(&folder, "2026-11-21", &["--allow-older"]);
    assert_ne!(current(&folder), first);
}

#[test]
fn a_signed_generation_serves_and_an_unsigned_one_is_refused() {
    let folder = Folder::with_secrets();
    let keygen = "snapshot keygen --signing-key sign.key --public-key public.key";
    assert!(folder.run(keygen).ok().starts_with("key "));
    folder.run(keygen).refused(1, &["sign.key", "never overwritten"]);
    let name = build(&folder, "2026-11-22", &["--signing-key", "sign.key"]);
    for file in ["content.json.sig", "publication.json.sig"] {
        assert!(folder.path(&format!("snapshots/{name}/{file}")).exists(), "{file}");
    }
    folder.run("snapshot verify --snapshots snapshots --secrets secrets.toml").ok();
    let wrong = folder.build(&["--signing-key", "public.key"]);
    wrong.refused(1, &["public.key", "--signing-key"]);
    let verify = "snapshot verify --snapshots snapshots --secrets secrets.toml --public-key";
    folder.run(&format!("{verify} public.key")).ok();
    folder.run("snapshot keygen --signing-key other.key --public-key other-public.key").ok();
    folder
        .run(&format!("{verify} other-public.key"))
        .refused(1, &["signed with another key", "move its folder"]);
    // The same rows make the same generation, which is there and not signed again.
    let again = [&["--as-of", "2026-11-22", "--signing-key", "other.key"][..], &MESSY].concat();
    folder.build(&again).refused(1, &["signed with another key", "move its folder"]);
}
