//! `secrets init`, and what is made of a secrets file that is not as it should be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::Folder;
use super::serving::{SERVE, Serving};

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o7777
}

/// The sections of a fresh file, by kind.
fn section<'a>(text: &'a str, kind: &str) -> &'a str {
    let start = text.find(&format!("[[{kind}]]")).unwrap();
    let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end);
    &text[start..end]
}

fn key<'a>(text: &'a str, kind: &str) -> &'a str {
    let section = section(text, kind);
    section.split('"').nth(1).unwrap()
}

/// Runs a command that reads the file and nothing before it.
#[track_caller]
fn check_refused(folder: &Folder, texts: &[&str]) -> String {
    let ran = folder.run("ledger verify --ledger none --secrets secrets.toml");
    let message = ran.refused(1, &[&["the secrets file secrets.toml"], texts].concat()).to_owned();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn init_makes_a_key_of_each_kind_for_the_owner_alone() {
    let folder = Folder::with_secrets();
    assert_eq!(mode(&folder, "secrets.toml"), 0o600);
    let text = folder.read("secrets.toml");
    let keys = ["mobile", "tracking", "ledger", "month"].map(|kind| key(&text, kind));
    for key in keys {
        assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    }
    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    assert_ne!(key(&Folder::with_secrets().read("secrets.toml"), "mobile"), keys[0]);
    folder.run("ledger init --ledger ledger --secrets secrets.toml").ok();
}

#[test]
fn init_never_overwrites() {
    let folder = Folder::with_secrets();
    let before = folder.read("secrets.toml");
    let again = folder.run("secrets init --secrets secrets.toml");
    again.refused(1, &["secrets.toml is there already", "choose another name"]);
    assert_eq!(folder.read("secrets.toml"), before);
    folder.run("secrets init --secrets none/secrets.toml").refused(1, &["cannot write", "none/secrets.toml"]);
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_cure() {
    let folder = Folder::with_secrets();
    for mode in [0o644, 0o604, 0o660, 0o601] {
        fs::set_permissions(folder.path("secrets.toml"), Permissions::from_mode(mode)).unwrap();
        let mode = format!("(mode {mode:04o})");
        check_refused(&folder, &["can be read by others", &mode, "run `chmod 600` on it"]);
    }
    for mode in [0o600, 0o400, 0o640, 0o440] {
        fs::set_permissions(folder.path("secrets.toml"), Permissions::from_mode(mode)).unwrap();
        let missing = folder.run("ledger verify --ledger none --secrets secrets.toml");
        missing.refused(1, &["LEDGER is not there"]);
    }
}

#[test]
fn a_missing_file_is_told_with_how_to_make_one() {
    let folder = Folder::new();
    check_refused(&folder, &["cannot read", "No such file", "make one with `estehqaq secrets init`"]);
}

#[test]
fn a_broken_file_is_told_by_its_line_and_never_quoted() {
    let folder = Folder::with_secrets();
    let good = folder.read("secrets.toml");
    let secret = key(&good, "tracking").to_owned();
    let at = good.lines().position(|line| line.contains(&secret)).unwrap() + 1;
    let breaks: [(&str, String, usize); 6] = [
        ("no closing quote", good.replace(&format!("{secret}\""), &secret), at),
        ("no quotes", good.replace(&format!("\"{secret}\""), &secret), at),
        ("no `=`", good.replace(&format!("key = \"{secret}"), &format!("key \"{secret}")), at),
        (
            "a member too many",
            good.replace(&format!("\"{secret}\""), &format!("\"{secret}\"\nx = 1")),
            at + 1,
        ),
        ("the key twice", good.replace(&secret, &format!("{secret}\"\nkey = \"{secret}")), at + 1),
        ("an id that is a text", good.replacen("id = 1\nkey = \"", "id = \"one\"\nkey = \"", 1), 7),
    ];
    for (what, text, line) in breaks {
        assert_ne!(text, good, "{what}");
        folder.write("secrets.toml", &text);
        let message = check_refused(&folder, &[&format!("not as it should be at line {line};")]);
        assert!(!holds_a_part(&message, &secret), "{what}: {message}");
        assert!(!holds_a_part(&message, key(&good, "mobile")), "{what}: {message}");
    }
    folder.write("secrets.toml", &good.replace("[[ledger]]", "[[ledgr]]"));
    check_refused(&folder, &["not as it should be at line"]);
}

/// Whether the text has six digits in a row of the key's.
fn holds_a_part(text: &str, key: &str) -> bool {
    (0..=key.len() - 6).any(|start| text.contains(&key[start..start + 6]))
}

#[test]
fn keys_that_cannot_be_keys_are_told_by_kind_and_id() {
    let folder = Folder::with_secrets();
    let good = folder.read("secrets.toml");
    for (kind, wrong) in [("mobile", "z"), ("tracking", ""), ("ledger", "00")] {
        let secret = key(&good, kind);
        folder.write("secrets.toml", &good.replace(secret, &format!("{}{wrong}", &secret[1..])));
        let text = format!("{kind} key 1 is not 64 hexadecimal digits");
        let message = check_refused(&folder, &[&text]);
        assert!(!holds_a_part(&message, secret), "{message}");
    }
}

#[test]
fn an_id_stands_once_and_a_tracking_id_is_a_digit() {
    let folder = Folder::with_secrets();
    let good = folder.read("secrets.toml");
    for kind in ["mobile", "tracking", "ledger"] {
        let again = section(&good, kind).replace(&key(&good, kind)[..32], &"0".repeat(32));
        folder.write("secrets.toml", &format!("{good}\n{again}\n"));
        let text = format!("{kind} key 1 stands there twice");
        let message = check_refused(&folder, &[&text, "give a new key an id of its own"]);
        assert!(!holds_a_part(&message, &key(&good, kind)[32..]), "{message}");
    }
    let ten = section(&good, "tracking").replace("id = 1", "id = 10");
    folder.write("secrets.toml", &format!("{good}\n{ten}\n"));
    check_refused(&folder, &["tracking key 10 has an id that is no single digit", "0 to 9"]);
}

#[test]
fn a_builder_needs_the_mobile_keys_only_and_a_server_all() {
    let folder = Folder::with_secrets();
    let good = folder.read("secrets.toml");
    let only = |kinds: &[&str]| {
        let sections: Vec<_> = kinds.iter().map(|kind| section(&good, kind)).collect();
        folder.write("secrets.toml", &sections.join("\n\n"));
    };
    only(&["mobile"]);
    folder.build(&["--max-rejected", "0.05"]).ok();
    folder.run("snapshot verify --snapshots snapshots --secrets secrets.toml").ok();
    only(&["tracking", "ledger"]);
    folder.build(&["--max-rejected", "0.05"]).refused(1, &["holds no mobile key", "name another file"]);
    folder.run("ledger init --ledger other --secrets secrets.toml").ok();
    folder.write("providers.toml", "");
    let all = ["mobile", "tracking", "ledger", "month"];
    for missing in all {
        let others: Vec<_> = all.into_iter().filter(|&kind| kind != missing).collect();
        only(&others);
        let serve = folder.run(
            "serve --snapshots snapshots --ledger ledger --providers providers.toml --secrets secrets.toml \
             --listen 127.0.0.1:0",
        );
        serve.refused(1, &[&format!("holds no {missing} key, which ")]);
        assert!(!folder.path("ledger").exists(), "nothing is made before the keys are there");
    }
}

const LEDGER: &str = "--ledger ledger --secrets secrets.toml";

/// A code that a service gives out with the keys of now.
fn ask(folder: &Folder, key: &str) -> String {
    let mut serving = Serving::start(folder, SERVE);
    let answer = serving.client().ask(key, &json!({"person_id": "5742616694"})).json();
    serving.terminate();
    answer["tracking_code"].as_str().unwrap().to_owned()
}

#[test]
fn after_a_rotation_old_codes_and_entries_stay_readable() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("shafa", "hospital");
    let before = ask(&folder, &key);
    let told = folder.run("secrets rotate --secrets secrets.toml").ok();
    assert!(told.starts_with("added tracking key ") && told.contains("month key"), "{told}");
    assert_eq!(mode(&folder, "secrets.toml"), 0o600);
    let after = ask(&folder, &key);
    assert_ne!(before[..1], after[..1], "the first digit tells the key of a code");
    for code in [&before, &after] {
        let found: Value =
            serde_json::from_str(&folder.run(&format!("ledger find {LEDGER} {code}")).ok()).unwrap();
        assert_eq!((found["provider"].as_str(), found["status"].as_str()), (Some("shafa"), Some("covered")));
        assert_eq!(found["person_id"].as_str().map(str::len), Some(10), "{found}");
    }
    assert!(folder.run(&format!("ledger verify {LEDGER}")).ok().ends_with("closed clean\n"));
    // One key a month is enough, and a file keeps room for the others.
    folder.run("secrets rotate --secrets secrets.toml").refused(1, &["there is a key for", "--kind"]);
    folder.run("secrets rotate --secrets secrets.toml --kind ledger").ok();
}

/// Of two that change the file at once, one would lose the other's keys.
#[test]
fn one_command_changes_the_file_at_a_time_and_what_a_crash_left_is_no_hindrance() {
    let folder = Folder::with_snapshot();
    let rotate = "secrets rotate --secrets secrets.toml --kind ledger";
    let lock = fs::File::open(folder.path(".")).unwrap();
    lock.lock().unwrap();
    for command in [
        rotate,
        "secrets forget --secrets secrets.toml --before 2079-01 --also-present",
        "secrets init --secrets x",
    ] {
        folder.run(command).refused(1, &["another command is changing", "run this one again"]);
    }
    lock.unlock().unwrap();
    folder.write("secrets.toml.new", "half a fi");
    folder.run(rotate).ok();
    assert_eq!(mode(&folder, "secrets.toml"), 0o600);
    assert!(!folder.path("secrets.toml.new").exists());
}

/// The key of this month was added in time, but the service not restarted before the month began: its entries are under
/// what follows from the older key, which forgetting the months before must not lose.
#[test]
fn forgetting_keeps_the_key_that_a_month_began_under() {
    let folder = Folder::with_snapshot();
    let added = folder.read("secrets.toml");
    let section = section(&added, "month");
    let this_month = section.lines().find_map(|line| line.strip_prefix("id = ")).unwrap();
    let older = section.replace(this_month, "202601").replace(&key(&added, "month")[..32], &"5".repeat(32));
    folder.write("secrets.toml", &added.replace(section, &older));
    let provider = folder.add_provider("shafa", "hospital");
    let first = ask(&folder, &provider);
    folder.write("secrets.toml", &added.replace(section, &format!("{older}\n\n{section}")));
    let second = ask(&folder, &provider);
    let month = format!("{}-{}", &this_month[..4], &this_month[4..]);
    folder.run(&format!("secrets forget --secrets secrets.toml --before {month}")).ok();
    assert!(!folder.read("secrets.toml").contains("202601"));
    let third = ask(&folder, &provider);
    for code in [first, second, third] {
        let found: Value =
            serde_json::from_str(&folder.run(&format!("ledger find {LEDGER} {code}")).ok()).unwrap();
        assert_eq!(found["person_id"].as_str().map(str::len), Some(10), "{found}");
    }
    let again = folder.run(&format!("secrets forget --secrets secrets.toml --before {month}")).ok();
    assert_eq!(again, format!("no key leads to a month before {month}\n"));
}

#[test]
fn forgotten_months_hide_their_ids_and_leave_the_chain_whole() {
    let folder = Folder::with_snapshot();
    let key = folder.add_provider("shafa", "hospital");
    let code = ask(&folder, &key);
    let told = folder.run("secrets forget --secrets secrets.toml --before 2079-01 --also-present").ok();
    assert!(told.contains("cannot be read with this file any more"), "{told}");
    assert!(folder.run(&format!("ledger verify {LEDGER}")).ok().ends_with("closed clean\n"));
    let found = folder.run(&format!("ledger find {LEDGER} {code}")).ok();
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(
        (found["person_id"].clone(), found["status"].clone()),
        (json!(""), json!("covered")),
        "{found}"
    );
    let again = folder.run("secrets forget --secrets secrets.toml --before 2079-01 --also-present").ok();
    assert_eq!(again, "no key leads to a month before 2079-01\n");
    folder.run("secrets forget --secrets secrets.toml --before 2026-13").refused(2, &["--before"]);
}

#[test]
fn a_month_to_come_is_forgotten_on_request_only() {
    let folder = Folder::with_secrets();
    let before = folder.read("secrets.toml");
    let ran = folder.run("secrets forget --secrets secrets.toml --before 2079-01");
    ran.refused(1, &["2079-01 is still to come", "--also-present"]);
    assert_eq!(folder.read("secrets.toml"), before);
}

/// However it is written, a forgotten key is not left in the file.
#[test]
fn no_forgotten_key_stays_behind() {
    let folder = Folder::with_secrets();
    let forget = "secrets forget --secrets secrets.toml --before 2079-01 --also-present";
    let fresh = folder.read("secrets.toml");
    let old = key(&fresh, "month").to_owned();
    for heading in ["[[month]] # the first one", "[[ month ]]"] {
        folder.write("secrets.toml", &fresh.replace("[[month]]", heading));
        folder.run(forget).ok();
        assert!(!folder.read("secrets.toml").contains(&old), "{heading}");
    }
    let commented = fresh.replace("[[month]]\n", &format!("[[month]]\n# key = \"{}\"\n", old.to_uppercase()));
    let section = section(&fresh, "month");
    let id = section.lines().nth(1).unwrap().replace("id = ", "");
    let inline = format!("month = [{{ id = {id}, key = \"{old}\" }}]\n{}", fresh.replace(section, ""));
    for text in [commented, inline] {
        folder.write("secrets.toml", &text);
        folder.run(forget).refused(1, &["cannot take out", "nothing was changed"]);
        assert_eq!(folder.read("secrets.toml"), text);
    }
}
