//! `provider add`: the key comes out once and alone.

use super::{Folder, words};

const ADD: &str = "provider add --providers providers.toml --name Shafa --ownership contracted";

#[track_caller]
fn check_key(stdout: &str, id: &str) {
    let (start, secret) = stdout.strip_suffix('\n').unwrap().rsplit_once('.').unwrap();
    assert_eq!(start, id);
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{stdout}");
}

#[test]
fn the_key_stands_alone_on_stdout_and_its_secret_nowhere_else() {
    let folder = Folder::new();
    let key = folder.run(&format!("{ADD} --id shafa.1 --type hospital")).ok();
    check_key(&key, "shafa.1");
    let file = folder.read("providers.toml");
    assert!(!file.contains(key.trim_end().rsplit_once('.').unwrap().1), "{file}");
    assert!(file.contains("type = \"hospital\"") && file.contains("ownership = \"contracted\""), "{file}");
    assert!(file.contains("scopes = [\"inquire\"]"), "the default scope: {file}");
}

#[test]
fn every_type_ownership_and_scope_is_taken() {
    let folder = Folder::new();
    for kind in ["hospital", "clinic", "paraclinic", "pharmacy", "physician"] {
        check_key(&folder.run(&format!("{ADD} --id {kind} --type {kind}")).ok(), kind);
    }
    folder.add_provider("of-our-own", "clinic");
    let add = format!("{ADD} --type clinic");
    folder.run(&format!("{add} --id desk --scope desk --scope claims --scope inquire")).ok();
    folder.run(&format!("{add} --id ops --scope ops desk")).ok();
    let file = folder.read("providers.toml");
    assert!(file.contains("ownership = \"owned\""), "{file}");
    assert!(file.contains("scopes = [\"desk\", \"claims\", \"inquire\"]"), "{file}");
    assert!(file.contains("scopes = [\"ops\", \"desk\"]"), "{file}");
}

#[test]
fn a_name_may_be_persian_and_have_spaces() {
    let folder = Folder::new();
    let mut add =
        words("provider add --providers providers.toml --id 1 --type clinic --ownership owned --name");
    add.push("درمانگاه «شفا» \"۱\"");
    check_key(&folder.run_with(&add, &[]).ok(), "1");
    assert!(folder.read("providers.toml").contains("درمانگاه «شفا»"));
}

#[test]
fn a_repeated_id_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    folder.run(&format!("{ADD} --id a --type clinic")).ok();
    let before = folder.read("providers.toml");
    let again = folder.run(&format!("{ADD} --id a --type pharmacy --scope desk"));
    again.refused(1, &["the provider `a` is already in providers.toml", "choose another ID"]);
    assert_eq!(folder.read("providers.toml"), before);
}

#[test]
fn a_bad_id_is_refused_with_what_it_may_be() {
    let folder = Folder::new();
    let long = "x".repeat(41);
    for id in ["a/b", "a,b", "شفا", "", &long] {
        let add = [&words(ADD)[..], &["--type", "clinic", "--id", id]].concat();
        let text = format!("`{id}` is no provider ID: use 1 to 40 of A-Z a-z 0-9 . _ -");
        folder.run_with(&add, &[]).refused(1, &[&text]);
    }
    assert!(!folder.path("providers.toml").exists());
}

#[test]
fn a_wrong_type_ownership_or_scope_is_wrong_usage() {
    let folder = Folder::new();
    let kinds = "[possible values: hospital, clinic, paraclinic, pharmacy, physician]";
    folder.run(&format!("{ADD} --id a --type spa")).refused(2, &["'spa' for '--type", kinds]);
    let scopes = "[possible values: inquire, claims, desk, ops]";
    folder
        .run(&format!("{ADD} --id a --type clinic --scope all"))
        .refused(2, &["'all' for '--scope", scopes]);
    let ownership = "provider add --providers p --id a --name n --type clinic --ownership mine";
    folder.run(ownership).refused(2, &["'mine' for '--ownership", "[possible values: owned, contracted]"]);
    folder.run("provider add --providers p --id a").refused(2, &["--name", "--type", "--ownership"]);
}

#[test]
fn a_broken_file_is_left_as_it_is() {
    let folder = Folder::new();
    folder.write("providers.toml", "# ours\n[[provider]]\nid = 1\n");
    let add = folder.run(&format!("{ADD} --id a --type clinic"));
    add.refused(1, &["the providers file providers.toml is not valid", "line 3"]);
    assert_eq!(folder.read("providers.toml"), "# ours\n[[provider]]\nid = 1\n");
}
