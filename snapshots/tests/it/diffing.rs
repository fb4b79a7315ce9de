//! `diff` against a naive comparison that looks every person up on both sides, and on a copy of the messy extract
//! with one change of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use engine::{Care, Day, Decision, IdKind, MobileKey, Person, PersonId, Snapshot, Status, decide};
use proptest::prelude::*;
use proptest::sample::select;
use snapshots::{
    BuildOptions, Change, Diff, DiffOptions, GenerationName, PublicKey, Reveal, SigningKey, build, diff,
    open_generation,
};

use crate::support::{HEADER, as_of, build_file, build_with, data, mobile_key};

/// People who may be in the random extracts, of both kinds and in several parts of the ID space.
const POOL: [(IdKind, u64); 10] = [
    (IdKind::National, 1),
    (IdKind::National, 999_999),
    (IdKind::National, 1_000_001),
    (IdKind::National, 1_000_002),
    (IdKind::National, 123_456_789),
    (IdKind::National, 999_999_998),
    (IdKind::Foreign, 100_000_000),
    (IdKind::Foreign, 199_999_999),
    (IdKind::Foreign, 12_345_678_901),
    (IdKind::Foreign, 19_999_999_999_999_999),
];
/// A person without a usable row.
const UNUSABLE: &str = "?";

fn person(place: usize) -> PersonId {
    let (kind, number) = POOL[place];
    PersonId::from_u64(kind, number).unwrap()
}

/// One row of an extract.
fn row() -> impl Strategy<Value = String> {
    let start = select(vec!["2020-01-01", "2026-11-22", "2027-03-01", UNUSABLE]);
    let end = select(vec!["", "2026-11-21", "2026-11-22", "2027-06-01"]);
    let traits = select(vec!["insured,self", "pensioner,self", "insured,spouse", "pensioner,daughter"]);
    let (due, mobile) = (select(vec!["", "2026-11-01"]), select(vec!["", "09121234567", "09121234568"]));
    (0..POOL.len(), traits, start, end, due, mobile).prop_map(|(place, traits, start, end, due, mobile)| {
        let kind = if person(place).kind() == IdKind::National { "N" } else { "F" };
        format!("{kind},{},{traits},,{start},{end},,{due},,,{mobile},\n", person(place).reveal())
    })
}

/// A row that is always there: an extract without a usable one is refused.
const ANCHOR: &str = "N,4400276201,insured,self,,2020-01-01,,,,,,,\n";

fn build_rows(dir: &Path, rows: &[String], day: &str, key: &MobileKey) -> GenerationName {
    let extract = dir.join("extract.csv");
    fs::write(&extract, format!("{HEADER}\n{ANCHOR}{}", rows.concat())).unwrap();
    let snapshots = dir.join("snapshots");
    let mut options = BuildOptions::new(&extract, &snapshots, key, Day::parse(day).unwrap());
    options.accept = Some("a test".to_owned());
    build(&options).unwrap().generation.parse().unwrap()
}

fn compare(dir: &Path, names: [GenerationName; 2], reveal: Option<Reveal<'_>>) -> Diff {
    let [from, to] = names;
    let progress = &|_, _| {};
    diff(&DiffOptions { dir, from, to, service_date: None, public_keys: &[], progress }, reveal).unwrap()
}

/// What the naive comparison knows of a person on one side.
struct Side {
    decision: Decision,
    known: bool,
    entries: Vec<String>,
    groups: [BTreeSet<&'static str>; 2],
}

fn side(snapshot: &Snapshot, id: PersonId, day: Day, mobiles: bool) -> Side {
    let found = snapshot.find(id);
    let mut side = Side {
        decision: decide(found, day, Care::Outpatient),
        known: !matches!(found, Person::Unknown),
        entries: Vec::new(),
        groups: Default::default(),
    };
    match found {
        Person::Unknown => {}
        Person::Incomplete => side.groups = [BTreeSet::from(["incomplete"]), BTreeSet::from(["incomplete"])],
        Person::Entitled(records) => {
            for entitlement in records.iter().map(|record| record.unpack().unwrap()) {
                side.groups[0].insert(entitlement.category.code());
                side.groups[1].insert(entitlement.relation.code());
                let mobile = entitlement.mobile.filter(|_| mobiles);
                side.entries.push(format!("{:?}", engine::Entitlement { mobile, ..entitlement }));
            }
        }
    }
    side.entries.sort();
    side
}

fn naive_change(before: &Side, after: &Side) -> Option<Change> {
    let covered = |side: &Side| side.decision.status() == Status::Covered;
    let end = |side: &Side| {
        let Decision { open_ended, end, .. } = side.decision;
        if open_ended { u32::MAX } else { end.map_or(0, |day| u32::from(day.number()) + 1) }
    };
    Some(match (before.known, after.known) {
        (false, false) => return None,
        (false, true) => Change::Appeared,
        (true, false) => Change::Vanished,
        _ if covered(before) && !covered(after) => Change::LostCover,
        _ if !covered(before) && covered(after) => Change::GainedCover,
        _ if end(before) < end(after) => Change::EndLater,
        _ if end(before) > end(after) => Change::EndEarlier,
        // An incomplete person has no entries, as little as one that is unknown.
        _ if before.entries != after.entries => Change::StoredOtherwise,
        _ => return None,
    })
}

/// Counts by change for everybody and for each group.
type Counts = BTreeMap<(&'static str, &'static str), u64>;

fn naive(dir: &Path, names: [GenerationName; 2], keys: &[MobileKey]) -> (Counts, Vec<(PersonId, Change)>) {
    let open = |name: &GenerationName| open_generation(dir, name, keys).unwrap();
    let (from, to) = (open(&names[0]), open(&names[1]));
    let mobiles = from.mobile_key.id() == to.mobile_key.id();
    let mut ids: Vec<_> = (0..POOL.len()).map(person).collect();
    ids.push(PersonId::parse(IdKind::National, "4400276201").unwrap());
    ids.sort();
    let (mut counts, mut changed) = (Counts::new(), Vec::new());
    for id in ids {
        let day = names[1].as_of();
        let (before, after) = (side(&from.snapshot, id, day, mobiles), side(&to.snapshot, id, day, mobiles));
        for (name, side) in [("from", &before), ("to", &after)] {
            *counts.entry(("people", name)).or_default() += u64::from(side.known);
            let covered = side.decision.status() == Status::Covered;
            *counts.entry(("covered", name)).or_default() += u64::from(covered);
        }
        let Some(change) = naive_change(&before, &after) else { continue };
        changed.push((id, change));
        *counts.entry(("all", change.code())).or_default() += 1;
        for kind in 0..2 {
            for group in before.groups[kind].union(&after.groups[kind]) {
                *counts.entry((group, change.code())).or_default() += 1;
            }
        }
    }
    counts.retain(|_, count| *count > 0);
    (counts, changed)
}

const CHANGES: [Change; 7] = [
    Change::Appeared,
    Change::Vanished,
    Change::GainedCover,
    Change::LostCover,
    Change::EndLater,
    Change::EndEarlier,
    Change::StoredOtherwise,
];

/// The same form of what `diff` counted.
fn counted(diff: &Diff) -> Counts {
    let mut counts = Counts::new();
    for (what, both) in [("people", diff.people), ("covered", diff.covered)] {
        counts.insert((what, "from"), both.from);
        counts.insert((what, "to"), both.to);
    }
    for change in CHANGES {
        counts.insert(("all", change.code()), *{ diff.changes }.of(change));
        for (group, counted) in diff.categories.iter().chain(&diff.relations) {
            let code = CODES.iter().find(|code| *code == group).unwrap();
            *counts.entry((code, change.code())).or_default() += *{ counted.changes }.of(change);
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

const CODES: [&str; 6] = ["insured", "pensioner", "self", "spouse", "daughter", "incomplete"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_agrees_with_looking_everybody_up(
        common in proptest::collection::vec(row(), 0..10),
        before in proptest::collection::vec(row(), 0..8),
        after in proptest::collection::vec(row(), 0..8),
        other_key in any::<bool>(),
        limit in 0..4_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let keys = [mobile_key(), MobileKey::new(2, [8; 32])];
        let new_key = &keys[usize::from(other_key)];
        let names = [
            build_rows(dir.path(), &[common.clone(), before].concat(), "2026-11-21", &keys[0]),
            build_rows(dir.path(), &[common, after].concat(), "2026-11-22", new_key),
        ];
        let snapshots = dir.path().join("snapshots");
        let (expected, changed) = naive(&snapshots, names, &keys);
        let mut told = Vec::new();
        let mut tell = |changed: &snapshots::Changed| { told.push((changed.id, changed.change)); Ok(()) };
        let all = compare(&snapshots, names, Some(Reveal { limit: u64::MAX, to: &mut tell }));
        prop_assert_eq!(counted(&all), expected);
        prop_assert_eq!(&told, &changed);
        prop_assert_eq!(all.revealed, changed.len() as u64);
        prop_assert_eq!(all.notes.len(), usize::from(other_key));
        // Whoever is there before and does not vanish is there after, beside those who appeared.
        let Diff { people, covered, changes, unchanged, .. } = all.clone();
        prop_assert_eq!(people.from - changes.vanished + changes.appeared, people.to);
        prop_assert_eq!(
            covered.from + changes.gained_cover + all.appeared_covered,
            covered.to + changes.lost_cover + all.vanished_covered
        );
        prop_assert_eq!(unchanged + changed.len() as u64, people.from + changes.appeared);

        let mut first = Vec::new();
        let mut tell = |changed: &snapshots::Changed| { first.push((changed.id, changed.change)); Ok(()) };
        let some = compare(&snapshots, names, Some(Reveal { limit, to: &mut tell }));
        prop_assert_eq!(&first[..], &changed[..changed.len().min(limit as usize)]);
        prop_assert_eq!(Diff { revealed: all.revealed, ..some }, all);
    }
}

/// One change of each kind in a copy of the messy extract.
fn changed_copy(text: &str) -> String {
    let mut text = format!("{text},,,,1350/1/1,insured,N,,1112223339,,1400/1/1,self,,\n");
    for (from, to) in [
        (",,,649,1391/05/14,insured,N,,5723985949,1403/06/02,2016-12-19,self,09043195545,\r\n", ""),
        ("۱۴۰۷/۰۵/۲۰,,,,1328/12/08,insured,N,,4040235861", "1405/08/25,,,,1328/12/08,insured,N,,4040235861"),
        (
            "1405/08/30,,,616,1358-5-10,insured,N,,3388970173",
            "1406/08/30,,,616,1358-5-10,insured,N,,3388970173",
        ),
        (
            "١٤٠٥/٠٩/٠٢,,,594,1390/02/05,insured,N,,5852926183",
            "1405/10/02,,,594,1390/02/05,insured,N,,5852926183",
        ),
        ("1407/06/26,OTHER,,150", "1407/06/20,OTHER,,150"),
        (",,,289,1948-05-21,insured,N,,4734056390", ",,,290,1948-05-21,insured,N,,4734056390"),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    text
}

#[test]
fn each_kind_of_change_in_the_messy_extract_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = dir.path().join("snapshots");
    let copy = dir.path().join("copy.csv");
    fs::write(&copy, changed_copy(&fs::read_to_string(data("extract.csv")).unwrap())).unwrap();
    let names = [data("extract.csv"), copy]
        .map(|extract| build_file(&extract, &snapshots).unwrap().generation.parse().unwrap());
    let found = compare(&snapshots, names, None);
    let mut changes = found.changes;
    assert_eq!(CHANGES.map(|change| *changes.of(change)), [1; 7], "{found:?}");
    assert_eq!((found.people.from, found.people.to), (3194, 3194));
    assert_eq!((found.appeared_covered, found.vanished_covered), (1, 1));
    assert_eq!((found.covered.from, found.unchanged, found.revealed), (found.covered.to, 3188, 0));
    assert_eq!(found.service_date, as_of().iso().to_string());
    let mut insured = found.categories["insured"].changes;
    assert_eq!(CHANGES.map(|change| *insured.of(change)), [1; 7]);
    assert_eq!(found.categories["pensioner"].changes, snapshots::Changes::default());
    assert_eq!(found.relations["self"].changes, insured);
    // Seen the other way round, everything is its opposite.
    let back = compare(&snapshots, [names[1], names[0]], None);
    assert_eq!((back.people, back.changes, back.unchanged), (found.people, found.changes, found.unchanged));
    let same = compare(&snapshots, [names[0], names[0]], None);
    assert_eq!((same.changes, same.unchanged), (snapshots::Changes::default(), 3194));
    assert_eq!(same.notes, ["both are the same generation"]);
}

#[test]
fn a_damaged_generation_is_refused_by_name_and_the_date_is_that_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let row = |end: &str| format!("N,68415941,insured,self,,1400/1/1,{end},,,,,,\n");
    let names = [("", "2026-11-21"), ("2026-12-01", "2026-11-22")]
        .map(|(end, day)| build_rows(dir.path(), &[row(end)], day, &mobile_key()));
    let snapshots = dir.path().join("snapshots");
    let on = |day: &str| {
        let (service_date, progress) = (Some(Day::parse(day).unwrap()), &|_, _| {});
        let [from, to] = names;
        diff(&DiffOptions { dir: &snapshots, from, to, service_date, public_keys: &[], progress }, None)
    };
    assert_eq!(on("2026-12-01").unwrap().changes.end_earlier, 1);
    assert_eq!(on("2026-12-02").unwrap().changes.lost_cover, 1);
    let folder = snapshots.join(names[1].to_string());
    let permissions = |mode| Permissions::from_mode(mode);
    fs::set_permissions(&folder, permissions(0o700)).unwrap();
    fs::set_permissions(folder.join("records.bin"), permissions(0o600)).unwrap();
    let mut bytes = fs::read(folder.join("records.bin")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(folder.join("records.bin"), bytes).unwrap();
    let error = on("2026-12-01").unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot open {}: ", names[1])) && error.contains("records.bin"),
        "{error}"
    );
}

#[test]
fn with_a_public_key_both_signatures_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::from_bytes(&[1; 32]);
    let names = ["2026-11-21", "2026-11-22"].map(|day| {
        let report = build_with(&data("extract.csv"), dir.path(), |options| {
            options.as_of = Day::parse(day).unwrap();
            options.accept = Some("a test".to_owned());
            options.signing_key = Some(key.clone());
        });
        report.unwrap().generation.parse::<GenerationName>().unwrap()
    });
    let compare = |public_keys: &[PublicKey]| {
        let (dir, [from, to]) = (dir.path(), names);
        diff(&DiffOptions { dir, from, to, service_date: None, public_keys, progress: &|_, _| {} }, None)
    };
    compare(&[key.public()]).unwrap();
    let folder = dir.path().join(names[0].to_string());
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let publication = folder.join("publication.json");
    fs::set_permissions(&publication, Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&publication).unwrap();
    fs::write(&publication, text.replace("a test", "a jest")).unwrap();
    let error = compare(&[key.public()]).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot open {}", names[0])), "{error}");
    assert!(error.contains("publication.json: its signature does not fit its bytes"), "{error}");
    compare(&[]).unwrap();
    fs::write(&publication, text).unwrap();
    fs::remove_file(folder.join("publication.json.sig")).unwrap();
    let error = compare(&[key.public()]).unwrap_err().to_string();
    assert!(error.contains("publication.json is not signed"), "{error}");
}
