//! `snapshot inspect` and `snapshot diff`: their output, that it holds no ID, and where IDs are revealed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{Folder, program, words};
use crate::site::{AS_OF, data};

const AT: &str = "--snapshots snapshots";

fn current(folder: &Folder) -> String {
    folder.read("snapshots/CURRENT").trim().to_owned()
}

/// Two nights: the second one without a person, and with another one's cover ended.
fn two_nights() -> (Folder, String, String) {
    let folder = Folder::with_snapshot();
    let first = current(&folder);
    let text = fs::read_to_string(data("extract.csv")).unwrap();
    let gone = ",,,649,1391/05/14,insured,N,,5723985949,1403/06/02,2016-12-19,self,09043195545,\r\n";
    let ended = "۱۴۰۷/۰۵/۲۰,,,,1328/12/08,insured,N,,4040235861";
    assert!(text.contains(gone) && text.contains(ended));
    let text = text.replace(gone, "").replace(ended, "1405/08/25,,,,1328/12/08,insured,N,,4040235861");
    folder.write("second.csv", &text);
    let build =
        "snapshot build --snapshots snapshots --secrets secrets.toml --extract second.csv --as-of 2026-11-22";
    folder.run(&format!("{build} --max-rejected 0.05")).ok();
    let second = current(&folder);
    (folder, first, second)
}

#[test]
fn a_refused_build_is_inspected_by_name() {
    let folder = Folder::with_secrets();
    folder.build(&["--as-of", AS_OF]).refused(1, &["97 of 3608"]);
    folder.run(&format!("snapshot inspect {AT}")).refused(1, &["nothing is published"]);
    folder.run(&format!("snapshot inspect {AT} previous")).refused(1, &["snapshot list"]);
    folder.run(&format!("snapshot inspect {AT} yesterday")).refused(2, &["current or previous"]);
    let listed = folder.run(&format!("snapshot list {AT} --json")).json();
    let name = listed[0]["generation"].as_str().unwrap();
    let told = folder.run(&format!("snapshot inspect {AT} {name}")).ok();
    for text in [
        &format!("generation  {name}\nstate       built, since "),
        "rows        3608: 3423 entitlements, 88 duplicates, 97 rejected (see snapshots/rejects/",
        "signature   content.json: not signed\n",
        "judged then refused rejected: 97 of 3608 rows were rejected",
        "gate        rejected REFUSES: compares rejected rows, as a share of all rows of the extract; allowed is \
         at most 0.5 % (--max-rejected). Found: 97 of 3608 rows were rejected, a share of 0.0269 where at most 0.005 is \
         allowed: 0.0219 beyond the limit. To do: mend the rows listed in snapshots/rejects/",
        "gate        people not asked: ",
        "next        refused by rejected, incomplete: mend the extract and build again; or, if it is right as it \
         is, say why with `estehqaq snapshot publish --snapshots snapshots ",
    ] {
        assert!(told.contains(text), "{text}\n{told}");
    }
    let told = folder.run(&format!("snapshot inspect {AT} {name} --max-rejected 0.05")).ok();
    assert!(told.contains("next        no gate refuses it; "), "{told}");
}

#[test]
fn json_holds_all_that_is_known() {
    let (folder, first, second) = two_nights();
    let all = folder.run(&format!("snapshot inspect {AT} --json")).json();
    assert_eq!((all["generation"].clone(), all["state"].clone()), (json!(second), json!("published")));
    assert_eq!((all["current"].clone(), all["as_of"].clone()), (json!(true), json!(AS_OF)));
    let members = [
        "by",
        "categories",
        "compared_with",
        "counts",
        "current",
        "as_of",
        "files",
        "gates",
        "generation",
        "journal",
        "mobile_key",
        "next",
        "publication",
        "rejects_path",
        "relations",
        "signatures",
        "since",
        "state",
        "warnings",
        "why",
    ];
    let found: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = members.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(all["counts"]["people"], 3139);
    assert_eq!(all["files"].as_array().unwrap().len(), 4);
    let retired = folder.run(&format!("snapshot inspect {AT} previous --json")).json();
    assert_eq!((retired["generation"].clone(), retired["state"].clone()), (json!(first), json!("retired")));
    let people = gate(&retired, "people");
    assert_eq!(people["setting"], "a change of at most 2 %");
    assert_eq!(
        (people["flag"].clone(), people["outcome"]["passed"].clone()),
        (json!("--max-people-change"), json!(true))
    );
    let room = people["room"].as_f64().unwrap();
    assert!((room - (0.02 - 1.0 / 3139.0)).abs() < 1e-9, "{room}");
    let set = folder.run_with(
        &["snapshot", "inspect", "--snapshots", "snapshots", "previous", "--json"],
        &[("ESTEHQAQ_MAX_PEOPLE_CHANGE", "0")],
    );
    let set = set.json();
    assert_eq!(gate(&set, "people")["setting"], "a change of at most 0 %");
    assert_eq!(gate(&set, "people")["outcome"]["passed"], false);
}

fn gate<'a>(inspection: &'a Value, name: &str) -> &'a Value {
    inspection["gates"].as_array().unwrap().iter().find(|gate| gate["gate"] == name).unwrap()
}

#[test]
fn signatures_are_checked_with_the_public_key() {
    let folder = Folder::with_secrets();
    folder.run("snapshot keygen --signing-key sign.key --public-key public.key").ok();
    folder.build(&["--as-of", AS_OF, "--max-rejected", "0.05", "--signing-key", "sign.key"]).ok();
    let told = folder.run(&format!("snapshot inspect {AT}")).ok();
    assert!(
        told.contains("signature   content.json: signed, not checked: give --public-key (key "),
        "{told}"
    );
    let told = folder.run(&format!("snapshot inspect {AT} --public-key public.key")).ok();
    for file in ["content.json", "publication.json"] {
        assert!(
            told.contains(&format!("signature   {file}: signed, and the signature is valid (key ")),
            "{told}"
        );
    }
    folder
        .run(&format!("snapshot inspect {AT} --public-key sign.key"))
        .refused(1, &["sign.key", "--public-key"]);
}

#[test]
fn diff_counts_without_an_id() {
    let (folder, first, second) = two_nights();
    let counts = folder.run(&format!("snapshot diff {AT} {first} {second} --json")).json();
    assert_eq!(
        counts["changes"],
        json!({"appeared": 0, "vanished": 1, "gained_cover": 0, "lost_cover": 1, "end_later": 0,
               "end_earlier": 0, "stored_otherwise": 0})
    );
    assert_eq!(counts["people"], json!({"from": 3194, "to": 3193}));
    assert_eq!((counts["vanished_covered"].clone(), counts["unchanged"].clone()), (json!(1), json!(3192)));
    assert_eq!((counts["service_date"].clone(), counts["notes"].clone()), (json!(AS_OF), json!([])));
    assert_eq!(counts["relations"]["self"]["lost_cover"], 1);
    assert_eq!(counts["categories"]["incomplete"]["people"], json!({"from": 54, "to": 54}));
    let told = folder.run(&format!("snapshot diff {AT} previous current")).ok();
    assert!(
        told.starts_with(&format!(
            "from {first} to {second}, judged on {AS_OF}\npeople       3194 -> 3193\n"
        ))
    );
    assert!(told.contains("\nvanished     1 (of them 1 were covered)\n"), "{told}");
    let shown = format!("{told}{counts}");
    assert!(["4040235861", "5723985949"].iter().all(|id| !shown.contains(id)), "{shown}");
    // Before its cover ended, only the end date of it differs.
    let told = folder.run(&format!("snapshot diff {AT} previous current --service-date 1405/08/24")).ok();
    assert!(told.contains("\nlost cover   0\nend date     0 later, 1 earlier\n"), "{told}");
}

/// IDs come out only here: read from the file, not from what a command printed.
#[test]
fn ids_are_revealed_in_a_new_private_file() {
    let (folder, ..) = two_nights();
    let reveal = format!("snapshot diff {AT} previous current --reveal-ids changed.csv");
    folder.run(&reveal).ok();
    let mode = fs::metadata(folder.path("changed.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let expected = "id_kind,person_id,change,reason_from,end_from,reason_to,end_to\n\
                    national,4040235861,lost_cover,active,2028-08-10,ended,2026-11-16\n\
                    national,5723985949,vanished,active,open,,\n";
    assert_eq!(folder.read("changed.csv"), expected);
    folder.run(&reveal).refused(1, &["changed.csv", "never overwritten"]);
    folder.run(&format!("snapshot diff {AT} previous current --reveal-ids one.csv --limit 1")).ok();
    assert_eq!(
        folder.read("one.csv"),
        expected.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()
    );
    folder.run(&format!("snapshot diff {AT} previous current --limit 1")).refused(2, &["--reveal-ids"]);
    folder.run(&format!("snapshot diff {AT} previous current --json --reveal-ids -")).refused(2, &["stdout"]);
    let unknown = "2026-11-22-000000000000";
    folder.run(&format!("snapshot diff {AT} {unknown} current --reveal-ids none.csv")).refused(1, &[unknown]);
    assert!(!folder.path("none.csv").exists(), "half a list is none");
}

/// Run by hand: the usual way to run a command lets no ID through.
#[test]
fn with_a_dash_they_come_on_stdout_and_the_counts_on_stderr() {
    let (folder, ..) = two_nights();
    let line = format!("snapshot diff {AT} previous current --reveal-ids -");
    let output = program().current_dir(folder.root()).args(words(&line)).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    assert!(stdout.lines().nth(1).unwrap().starts_with("national,4040235861,lost_cover,"), "{stdout}");
    assert!(stderr.contains("lost cover   1\n") && !stderr.contains("4040235861"), "{stderr}");
}

#[test]
fn unequal_mobile_keys_are_told() {
    let folder = Folder::with_snapshot();
    let first = current(&folder);
    folder.run("secrets init --secrets other.toml").nothing();
    let extract = data("extract.csv");
    let build = format!(
        "snapshot build --snapshots snapshots --secrets other.toml --max-rejected 0.05 --as-of {AS_OF} --extract {}",
        extract.display()
    );
    folder.run(&build).ok();
    let counts = folder.run(&format!("snapshot diff {AT} {first} current --json")).json();
    assert_eq!(counts["unchanged"], 3194);
    assert!(counts["notes"][0].as_str().unwrap().starts_with("the mobile keys are not the same (1 and 1)"));
}
