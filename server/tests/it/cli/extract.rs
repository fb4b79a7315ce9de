//! `extract synth`: the same seed gives the same bytes.

use serde_json::Value;

use super::Folder;

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_other_ones() {
    let folder = Folder::new();
    let synth = |seed: u32, out: &str| {
        let line = format!("extract synth --people 3000 --seed {seed} --out {out} --targets {out}.ndjson");
        folder.run(&line).ok();
        (folder.read(out), folder.read(&format!("{out}.ndjson")))
    };
    let first = synth(7, "a.csv");
    assert_eq!(first, synth(7, "b.csv"));
    let other = synth(8, "c.csv");
    assert!(first.0 != other.0 && first.1 != other.1);
}

#[test]
fn what_was_made_is_told_and_can_be_built() {
    let folder = Folder::with_secrets();
    let line = "extract synth --people 3000 --seed 7 --out a.csv --as-of 1405/09/01 --targets t.ndjson";
    let told = folder.run(&format!("{line} --targets-count 120")).ok();
    let bytes = folder.read("a.csv").len();
    assert!(
        told.starts_with("a.csv: 3000 people, ") && told.contains(&format!(" {bytes} bytes\n")),
        "{told}"
    );
    assert!(told.ends_with("\nt.ndjson: 120 inquiries\n"), "{told}");
    let build =
        "snapshot build --extract a.csv --snapshots s --secrets secrets.toml --as-of 1405/09/01 --json";
    let report = folder.run(&format!("{build} --max-rejected 0")).json();
    assert_eq!(report["people"], 3000);
    assert!(told.contains(&format!(" {} rows,", report["rows"])), "{told}");
    let targets = folder.read("t.ndjson");
    assert_eq!(targets.lines().count(), 120);
    // A few of them, decided by `ask`; the service is held to whole samples elsewhere.
    for line in targets.lines().take(12) {
        let target: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| target["request"][name].as_str().unwrap().to_owned();
        let (id, kind, care, day) = (text("person_id"), text("id_kind"), text("care"), text("service_date"));
        let ask = ["ask", "--snapshots", "s", "--person-id", &id, "--id-kind", &kind, "--care", &care];
        let answer = folder.run_with(&[&ask[..], &["--service-date", &day]].concat(), &[]).json();
        assert_eq!(answer["status"], target["expected"]["general"]["status"], "{line}");
    }
}

#[test]
fn impossible_populations_are_refused() {
    let folder = Folder::new();
    for people in ["0", "90000001", "-1", "many"] {
        let line = format!("extract synth --people={people} --seed 1 --out a.csv");
        folder.run(&line).refused(2, &[&format!("'{people}' for '--people <N>'")]);
    }
    let line = "extract synth --people 10 --seed 1 --out";
    folder.run(&format!("{line} a.csv --as-of 1405/13/01")).refused(2, &["not a date"]);
    folder.run(&format!("{line} a.csv --targets-count 5")).refused(2, &["--targets <FILE>"]);
    folder.run(&format!("{line} none/a.csv")).refused(1, &["cannot write none/a.csv", "check the folder"]);
    folder.run(&format!("{line} a.csv --targets a.csv")).refused(1, &["would overwrite", "another file"]);
    folder.run(&format!("{line} a.csv --as-of 1999-12-31")).refused(1, &["within 2000-01-01..2058-12-31"]);
    assert!(!folder.path("a.csv").exists());
}
