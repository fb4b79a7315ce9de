//! What is refused before anything is sent, with which exit code and words.

use crate::{Fixture, KEY, loadgen};

/// Runs with the fixture's files, the given URL and more arguments; checks exit code and words.
#[track_caller]
fn check(fixture: &Fixture, url: &str, more: &[&str], code: i32, words: &str) {
    let targets = fixture.path("targets");
    let mut args = vec!["run", "--url", url, "--targets", targets.to_str().unwrap()];
    args.extend(more);
    let finished = loadgen(&args);
    assert_eq!(finished.code, code, "{}", finished.stderr);
    assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    assert_eq!(finished.stdout, "", "stdout is for results");
    fixture.assert_nothing_leaked(&finished);
}

/// A port that nobody listens on: it is reserved, and only root could.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn wrong_usage_ends_with_2() {
    let fixture = Fixture::new(1);
    let key = fixture.path("key");
    let key = key.to_str().unwrap();
    check(&fixture, NOWHERE, &[], 2, "--endpoint general needs a key");
    check(&fixture, NOWHERE, &["--endpoint", "mixed"], 2, "--endpoint mixed needs a key");
    check(
        &fixture,
        NOWHERE,
        &["--endpoint", "personal", "--key-file", key],
        2,
        "--key-file would be ignored",
    );
    check(
        &fixture,
        "ftp://127.0.0.1",
        &["--key-file", key],
        2,
        "--url: must begin with `http://` or `https://`",
    );
    check(
        &fixture,
        NOWHERE,
        &["--key-file", key, "--ca", key],
        2,
        "--ca would be ignored: no URL begins with",
    );
    check(&fixture, &format!("http://{KEY}@h"), &["--key-file", key], 2, "--url: must not hold a user name");
    check(&fixture, NOWHERE, &["--connections", "0"], 2, "--connections");
    check(&fixture, NOWHERE, &["--duration-s", "86401"], 2, "1..=86400");
    check(&fixture, NOWHERE, &["--endpoint", "other"], 2, "general, personal, mixed");
    check(&fixture, NOWHERE, &["--speed", "9"], 2, "--speed");
    assert_eq!(loadgen(&[]).code, 2);
    assert_eq!(loadgen(&["--help"]).code, 0);
    assert_eq!(loadgen(&["--version"]).stdout, concat!("loadgen ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn nobody_listening_ends_with_1() {
    let fixture = Fixture::new(1);
    let personal = ["--endpoint", "personal"];
    check(&fixture, NOWHERE, &personal, 1, "cannot open connection 1 of 16 to 127.0.0.1:1: ");
    check(&fixture, NOWHERE, &personal, 1, "is the server running there?");
}

#[test]
fn unusable_key_files_are_named_by_line_only() {
    let fixture = Fixture::new(1);
    let path = fixture.path("key");
    // Who mistakes the flag gives the key itself.
    check(&fixture, NOWHERE, &["--key-file", KEY], 1, "the file named by --key-file cannot be read: ");
    let check_text = |text: &str, words: &str| {
        std::fs::write(&path, text).unwrap();
        check(&fixture, NOWHERE, &["--key-file", path.to_str().unwrap()], 1, words);
    };
    check_text("\n \n", "holds no key");
    check_text(&format!("{KEY}\n{}\n", KEY.replace('.', "")), "line 2: not a key");
    check_text(&KEY.replace('.', ". "), "line 1: not a key");
}

#[test]
fn unusable_targets_are_named_by_line_only() {
    let fixture = Fixture::new(1);
    let personal = ["--endpoint", "personal"];
    let good = crate::target(&fixture.people[0]).to_string();
    let check_line = |line: &str| {
        fixture.write_targets(&[good.clone(), line.to_owned()]);
        check(&fixture, NOWHERE, &personal, 1, "line 2, column ");
    };
    let id = &fixture.people[0];
    check_line(id);
    check_line(&format!("{{\"request\": \"{id}\"}}"));
    check_line(&format!("{{\"request\": {{}}, \"{id}\": 1}}"));
    check_line(&format!("{{\"request\": {{\"person_id\": \"{id}\""));
    check_line("{\"request\": {}, \"expected\": {\"persnal\": \"mobile_mismatch\"}}");
    let answer =
        |fields: &str| format!("{{\"request\": {{}}, \"expected\": {{\"personal\": {{{fields}}}}}}}");
    let right =
        r#""status": "covered", "reason": "active", "end_date": null, "open_ended": true, "notices": []"#;
    for (part, wrong) in [
        ("\"covered\"", "\"yes\""),
        ("\"active\"", "\"working\""),
        ("null", "\"1405/09/01\""),
        ("\"end_date\": null, ", ""),
        ("[]", "[\"objection\"]"),
    ] {
        assert!(right.contains(part));
        check_line(&answer(&right.replace(part, wrong)));
    }
    fixture.write_targets(&[answer(right)]);
    check(&fixture, NOWHERE, &personal, 1, "cannot open connection"); // the line itself is fine
}

#[test]
fn targets_that_do_not_feed_the_endpoint_are_refused() {
    let fixture = Fixture::new(1);
    fixture.write_targets(&["{\"request\": {\"person_id\": \"1\"}}".to_owned()]);
    check(&fixture, NOWHERE, &["--endpoint", "personal"], 1, "has no line for this --endpoint");
    std::fs::remove_file(fixture.path("targets")).unwrap();
    check(&fixture, NOWHERE, &["--endpoint", "personal"], 1, "cannot be read: ");
}
