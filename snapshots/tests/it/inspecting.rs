//! `Store::inspect`: what it tells of generations in each state, with each kind of signature, and of damaged ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use snapshots::{
    BuildError, Event, Gate, GateLimits, GateReport, GenerationName, Inspection, PublicKey, PublishOptions,
    SignatureState, SigningKey, State, Store, StoreError,
};

use crate::states::{published, snapshots};
use crate::support::{build_with, data};

fn inspect(dir: &Path, name: &GenerationName) -> Inspection {
    Store::new(dir, "tester").inspect(name, &GateLimits::default(), &[]).unwrap()
}

#[track_caller]
fn gate(inspection: &Inspection, gate: Gate) -> &GateReport {
    inspection.gates.iter().find(|report| report.gate == gate).unwrap()
}

/// The messy extract, refused by two gates.
fn refused() -> (tempfile::TempDir, GenerationName) {
    let dir = tempfile::tempdir().unwrap();
    let error = build_with(&data("extract.csv"), dir.path(), |_| {}).unwrap_err();
    let BuildError::Refused { folder, .. } = error else { panic!("{error}") };
    let name = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
    (dir, name)
}

#[test]
fn a_refused_build_tells_each_gate_and_what_to_do() {
    let (dir, name) = refused();
    let inspection = inspect(dir.path(), &name);
    assert_eq!((inspection.state, inspection.current), (State::Built, false));
    assert_eq!((inspection.counts.people, inspection.counts.rejected), (3140, 97));
    let rejected = gate(&inspection, Gate::Rejected);
    assert!(rejected.refuses() && rejected.room.unwrap() < 0.0);
    let sentence = rejected.sentence();
    for text in [
        "compares rejected rows, as a share of all rows of the extract; allowed is at most 0.5 % (--max-rejected)",
        "Found: 97 of 3608 rows were rejected, a share of 0.0269 where at most 0.005 is allowed: 0.0219 beyond",
        "To do: mend the rows listed in ",
    ] {
        assert!(sentence.contains(text), "{sentence}");
    }
    let shared = gate(&inspection, Gate::Shared);
    assert!(!shared.refuses() && shared.room.unwrap() > 0.0 && shared.sentence().ends_with("to the limit."));
    // Nothing is current that the other gates could compare it with.
    assert_eq!(inspection.compared_with, None);
    for report in [Gate::People, Gate::Covered, Gate::Area, Gate::AsOf].map(|of| gate(&inspection, of)) {
        assert!(!report.refuses() && report.outcome.is_none(), "{report:?}");
        assert!(report.sentence().ends_with("There is nothing to compare it with."), "{}", report.sentence());
    }
    assert!(inspection.next.starts_with("refused by rejected, incomplete: mend"), "{}", inspection.next);
    assert!(
        inspection.next.contains(&format!("publish --snapshots {} {name} --accept", dir.path().display()))
    );
    assert!(inspection.rejects_path.unwrap().exists());
    assert_eq!(inspection.publication.accepted, None);
}

#[test]
fn a_limit_that_is_set_stands_beside_its_default() {
    let (dir, name) = refused();
    let limits = GateLimits { max_rejected: 0.03, max_incomplete: 0.03, ..GateLimits::default() };
    let inspection = Store::new(dir.path(), "tester").inspect(&name, &limits, &[]).unwrap();
    let rejected = gate(&inspection, Gate::Rejected);
    assert_eq!((rejected.setting.as_str(), rejected.default.as_str()), ("at most 3 %", "at most 0.5 %"));
    assert!(!rejected.refuses() && rejected.sentence().contains("at most 3 % instead of at most 0.5 %"));
    assert!(inspection.next.starts_with("no gate refuses it"), "{}", inspection.next);
}

#[test]
fn what_was_overridden_stands_in_publication_and_journal() {
    let (dir, name) = refused();
    let options = PublishOptions { accept: Some("a first night".to_owned()), ..PublishOptions::default() };
    let before = Timestamp::now();
    Store::new(dir.path(), "tester").publish(&name, &options).unwrap();
    let inspection = inspect(dir.path(), &name);
    assert_eq!((inspection.state, inspection.current), (State::Published, true));
    let accepted = inspection.publication.accepted.unwrap();
    assert_eq!((accepted.reason.as_str(), accepted.by.as_str()), ("a first night", "tester"));
    assert_eq!(accepted.gates, [Gate::Rejected, Gate::Incomplete]);
    assert!(before <= accepted.at && accepted.at <= Timestamp::now());
    let [built, published] = &inspection.journal[..] else { panic!("{:?}", inspection.journal) };
    assert_eq!(built.event, Event::Built { generation: name });
    let Event::Published { generation, before, overrode, gates } = &published.event else { panic!() };
    assert_eq!((*generation, *before), (name, None));
    assert_eq!(overrode, &[Gate::Rejected, Gate::Incomplete]);
    let refusing: Vec<_> = gates.iter().filter(|gate| !gate.passed).map(|gate| gate.gate).collect();
    assert_eq!(&refusing, overrode);
    assert_eq!(published.why.as_deref(), Some("a first night"));
    let journal = fs::read_to_string(dir.path().join("journal.ndjson")).unwrap();
    assert!(journal.contains(r#""overrode":["rejected","incomplete"]"#), "{journal}");
}

/// What the last line of the journal says of a gate: whether it passed, by which limit.
fn last_judged(dir: &Path, of: Gate) -> (bool, Option<f64>) {
    let line = Store::new(dir, "tester").journal().unwrap().pop().unwrap();
    let Event::Published { gates, .. } = line.event else { panic!("{line:?}") };
    let figures = gates.iter().find(|figures| figures.gate == of).unwrap();
    (figures.passed, figures.limit)
}

#[test]
fn each_publication_is_judged_in_the_journal_and_the_file_tells_of_the_build() {
    let (dir, name) = refused();
    let path = dir.path().join(name.to_string()).join("publication.json");
    let built = fs::read_to_string(&path).unwrap();
    let limits = GateLimits { max_rejected: 0.03, max_incomplete: 0.03, ..GateLimits::default() };
    let options = PublishOptions { limits: limits.clone(), ..PublishOptions::default() };
    Store::new(dir.path(), "tester").publish(&name, &options).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), built, "nothing was overridden");
    assert_eq!(last_judged(dir.path(), Gate::Rejected), (true, Some(0.03)));

    // Another one in its place, and then it once more, by other limits.
    let other = build_with(&data("extract.csv"), dir.path(), |options| {
        options.as_of = engine::Day::parse("2026-11-23").unwrap();
        options.limits = GateLimits { max_covered_change: 1.0, ..limits.clone() };
    });
    assert_eq!(inspect(dir.path(), &name).compared_with, Some(other.unwrap().generation.parse().unwrap()));
    let limits = GateLimits { max_rejected: 0.04, allow_older: true, max_covered_change: 1.0, ..limits };
    let options = PublishOptions { limits, ..PublishOptions::default() };
    Store::new(dir.path(), "tester").publish(&name, &options).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), built);
    assert_eq!(last_judged(dir.path(), Gate::Rejected), (true, Some(0.04)));
    assert_eq!(last_judged(dir.path(), Gate::AsOf), (true, None));
}

#[test]
fn gates_and_acceptance_in_the_file_are_of_one_judgement() {
    let (dir, name) = refused();
    let store = Store::new(dir.path(), "tester");
    let accept = |reason: &str| PublishOptions { accept: Some(reason.to_owned()), ..Default::default() };
    store.publish(&name, &accept("a first night")).unwrap();
    let as_of = engine::Day::parse("2026-11-23").unwrap();
    let build = |options: &mut snapshots::BuildOptions<'_>| {
        options.as_of = as_of;
        options.accept = Some("a second".to_owned());
    };
    build_with(&data("extract.csv"), dir.path(), build).unwrap();
    // By limits that let it through nothing is overridden, and what was accepted before goes on standing there.
    let before = inspect(dir.path(), &name).publication;
    let limits = GateLimits {
        max_rejected: 1.0,
        max_incomplete: 1.0,
        max_covered_change: 1.0,
        allow_older: true,
        ..GateLimits::default()
    };
    store.publish(&name, &PublishOptions { limits, ..Default::default() }).unwrap();
    assert_eq!(inspect(dir.path(), &name).publication, before);
    let gate_names = |gates: &[snapshots::GateOutcome]| {
        gates.iter().filter(|outcome| !outcome.passed).map(|outcome| outcome.gate).collect::<Vec<_>>()
    };
    let accepted = before.accepted.unwrap();
    assert_eq!((accepted.reason.as_str(), &accepted.gates), ("a first night", &gate_names(&before.gates)));
    // Overridden once more, both are of this time.
    build_with(&data("extract.csv"), dir.path(), build).unwrap();
    store.publish(&name, &accept("a third night")).unwrap();
    let after = inspect(dir.path(), &name).publication;
    let accepted = after.accepted.unwrap();
    assert_eq!((accepted.reason.as_str(), &accepted.gates), ("a third night", &gate_names(&after.gates)));
    assert!(accepted.gates.contains(&Gate::AsOf), "{accepted:?}");
}

#[test]
fn only_what_overrides_the_gates_of_a_signed_generation_needs_the_key() {
    let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::from_bytes(&[1; 32]));
    let sign = |options: &mut snapshots::BuildOptions<'_>| options.signing_key = Some(key.clone());
    let error = build_with(&data("extract.csv"), dir.path(), sign).unwrap_err();
    let BuildError::Refused { folder, .. } = error else { panic!("{error}") };
    let name = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let store = Store::new(dir.path(), "tester");
    let accept = PublishOptions { accept: Some("a test".to_owned()), ..Default::default() };
    let error = store.publish(&name, &accept).unwrap_err().to_string();
    assert!(error.contains("is signed") && error.contains("--signing-key"), "{error}");
    let limits = GateLimits { max_rejected: 0.03, max_incomplete: 0.03, ..GateLimits::default() };
    store.publish(&name, &PublishOptions { limits, ..Default::default() }).unwrap();
    let inspected = store.inspect(&name, &GateLimits::default(), &[key.public()]).unwrap();
    assert!(inspected.signatures.iter().all(|signature| signature.state == SignatureState::Valid));
}

#[test]
fn a_reason_that_overrides_nothing_lists_no_gate() {
    let (dir, names) = published(&["2026-11-21"]);
    let journal = fs::read_to_string(snapshots(&dir).join("journal.ndjson")).unwrap();
    assert!(!journal.contains("overrode"), "{journal}");
    assert_eq!(inspect(&snapshots(&dir), &names[0]).publication.accepted, None);
}

#[test]
fn the_gates_judge_beside_what_is_current_and_the_journal_is_that_of_one() {
    let (dir, names) = published(&["2026-11-20", "2026-11-21", "2026-11-22"]);
    let dir = snapshots(&dir);
    let store = Store::new(&dir, "tester");
    let retired = inspect(&dir, &names[1]);
    assert_eq!((retired.state, retired.compared_with), (State::Retired, Some(names[2])));
    let as_of = gate(&retired, Gate::AsOf);
    assert_eq!((as_of.refuses(), as_of.room), (true, Some(-1.0)));
    assert!(as_of.sentence().contains("1 days beyond the limit"), "{}", as_of.sentence());
    let people = gate(&retired, Gate::People);
    assert_eq!((people.refuses(), people.room), (false, Some(0.02)));
    let seqs: Vec<_> = retired.journal.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, [3, 4, 6], "built, published, replaced");
    assert!(retired.next.contains(&format!("--to {}", names[1])), "{}", retired.next);

    store.rollback(None, Some("bad dates".to_owned())).unwrap();
    let taken_back = inspect(&dir, &names[2]);
    assert_eq!((taken_back.state, taken_back.why.as_deref()), (State::RolledBack, Some("bad dates")));
    assert!(gate(&taken_back, Gate::RolledBack).refuses());
    assert!(taken_back.next.starts_with("refused by rolled_back"), "{}", taken_back.next);
    let unknown: GenerationName = "2026-11-22-000000000000".parse().unwrap();
    let error = store.inspect(&unknown, &GateLimits::default(), &[]).unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
}

/// A signed generation whose files can be changed.
fn signed(key: &SigningKey) -> (tempfile::TempDir, GenerationName) {
    let dir = tempfile::tempdir().unwrap();
    let report = build_with(&data("extract.csv"), dir.path(), |options| {
        options.accept = Some("a test".to_owned());
        options.signing_key = Some(key.clone());
    });
    let name = report.unwrap().generation;
    let folder = dir.path().join(&name);
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o600)).unwrap();
    }
    (dir, name.parse().unwrap())
}

#[test]
fn signatures_are_told_as_they_stand() {
    let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let (dir, name) = signed(&key);
    let check = |keys: &[PublicKey], expected: [SignatureState; 2]| {
        let inspected =
            Store::new(dir.path(), "tester").inspect(&name, &GateLimits::default(), keys).unwrap();
        let states: Vec<_> = inspected.signatures.iter().map(|signature| signature.state).collect();
        assert_eq!(states, expected);
        inspected.signatures
    };
    let both = |state| [state, state];
    let present = check(&[], both(SignatureState::Present));
    assert_eq!(present[0].key, Some(key.public().id()));
    check(&[other.public(), key.public()], both(SignatureState::Valid));
    check(&[other.public()], both(SignatureState::OtherKey));
    let path = dir.path().join(name.to_string()).join("publication.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("a test", "a jest")).unwrap();
    check(&[key.public()], [SignatureState::Valid, SignatureState::Wrong]);
    fs::write(path.with_extension("json.sig"), "nothing\n").unwrap();
    check(&[key.public()], [SignatureState::Valid, SignatureState::Damaged]);
    fs::remove_file(path.with_extension("json.sig")).unwrap();
    check(&[], [SignatureState::Present, SignatureState::Absent]);
}

#[test]
fn a_file_that_is_cut_off_or_missing_is_told() {
    let (dir, name) = signed(&SigningKey::from_bytes(&[1; 32]));
    let folder = dir.path().join(name.to_string());
    let file = |of: &str| {
        let files = inspect(dir.path(), &name).files;
        files.into_iter().find(|file| file.name == of).unwrap()
    };
    let content = file("content.json");
    let digest = blake3::hash(&fs::read(folder.join("content.json")).unwrap()).to_hex().to_string();
    assert_eq!((content.whole, content.blake3), (true, Some(digest)));
    let records = file("records.bin");
    assert_eq!((records.whole, records.length), (true, records.listed_length));
    fs::write(folder.join("records.bin"), "short").unwrap();
    let cut = file("records.bin");
    assert_eq!((cut.whole, cut.length, cut.listed_length), (false, Some(5), records.listed_length));
    fs::remove_file(folder.join("index.bin")).unwrap();
    let missing = file("index.bin");
    assert_eq!((missing.whole, missing.length), (false, None));
    assert!(missing.listed_length.is_some() && missing.blake3.is_some());
}

#[test]
fn only_what_is_possible_is_offered_next() {
    let (dir, names) = published(&["2026-11-21", "2026-11-22"]);
    let dir = snapshots(&dir);
    let store = Store::new(&dir, "tester");
    let next = |name: &GenerationName| inspect(&dir, name).next;
    let back = format!("rollback --snapshots {}` goes back to {}", dir.display(), names[0]);
    assert!(next(&names[1]).contains(&back), "{}", next(&names[1]));
    // Cut off, it is neither gone back to nor published.
    let records = dir.join(names[0].to_string()).join("records.bin");
    let whole = fs::read(&records).unwrap();
    fs::set_permissions(&records, Permissions::from_mode(0o600)).unwrap();
    fs::write(&records, "short").unwrap();
    assert!(next(&names[1]).ends_with("none before it that a rollback could lead to"), "{}", next(&names[1]));
    assert!(next(&names[0]).starts_with("it is damaged"), "{}", next(&names[0]));
    store.rollback(None, None).unwrap_err();
    fs::write(&records, whole).unwrap();
    // The one before the first is none.
    store.rollback(None, None).unwrap();
    assert!(next(&names[0]).ends_with("none before it that a rollback could lead to"), "{}", next(&names[0]));
    store.rollback(None, None).unwrap_err();
}

#[test]
fn without_a_current_one_what_was_retired_is_published() {
    let (dir, names) = published(&["2026-11-21", "2026-11-22"]);
    let dir = snapshots(&dir);
    fs::remove_file(dir.join("CURRENT")).unwrap();
    let store = Store::new(&dir, "tester");
    store.rollback(Some(names[0]), None).unwrap_err();
    let next = inspect(&dir, &names[0]).next;
    assert!(next.starts_with("no gate refuses it; `estehqaq snapshot publish"), "{next}");
    store.publish(&names[0], &PublishOptions::default()).unwrap();
}
