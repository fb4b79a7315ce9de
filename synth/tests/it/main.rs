//! The population generator: the same bytes for the same seed, valid and distinct people in realistic shares,
//! and expectations that the decider meets although it was never asked for them.
#![allow(clippy::unwrap_used)]

mod plain;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use engine::{Care, Day, IdKind, Mobile, MobileKey, Person, PersonId, decide};
use jiff::civil::{Date, date};
use serde_json::{Value, json};
use snapshots::BuildOptions;
use synth::{PEOPLE_MAX, SynthError, SynthOptions, SynthReport, TargetsOptions, synthesize, target_kinds};
use tempfile::TempDir;

use plain::{people, rows};

struct Made {
    extract: String,
    targets: Vec<Value>,
    report: SynthReport,
}

fn as_of() -> Day {
    Day::from_jalali(1405, 9, 1).unwrap()
}

fn civil(day: Day) -> Date {
    day.iso().to_string().parse().unwrap()
}

fn options(folder: &Path, people: u64, seed: u64, targets: Option<u64>) -> SynthOptions {
    let targets = targets.map(|count| TargetsOptions { path: folder.join("targets.ndjson"), count });
    SynthOptions { people, seed, as_of: civil(as_of()), out: folder.join("extract.csv"), targets }
}

fn make_as_of(as_of: Day, people: u64, seed: u64, targets: Option<u64>) -> Made {
    let folder = TempDir::new().unwrap();
    let options = SynthOptions { as_of: civil(as_of), ..options(folder.path(), people, seed, targets) };
    let report = synthesize(&options, &|_| ()).unwrap();
    let extract = fs::read_to_string(&options.out).unwrap();
    let lines = options.targets.map(|targets| fs::read_to_string(targets.path).unwrap()).unwrap_or_default();
    let targets = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Made { extract, targets, report }
}

fn make(people: u64, seed: u64, targets: Option<u64>) -> Made {
    make_as_of(as_of(), people, seed, targets)
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let first = make(20_000, 7, Some(500));
    let again = make(20_000, 7, Some(500));
    assert!(first.extract == again.extract && first.targets == again.targets);
    let other = make(20_000, 8, Some(500));
    assert!(first.extract != other.extract && first.targets != other.targets);
    let without_targets = make(20_000, 7, None);
    assert!(first.extract == without_targets.extract, "a sample changes nothing in the extract");
    assert_eq!(without_targets.report.targets, 0);
}

#[test]
fn every_row_is_valid_and_every_person_distinct() {
    let made = make(200_000, 1, None);
    let rows = rows(&made.extract);
    assert_eq!(made.report.people, 200_000);
    assert_eq!(made.report.rows, rows.len() as u64);
    assert_eq!(made.report.bytes, made.extract.len() as u64);
    let unreadable = rows.iter().filter(|row| row.check(as_of())).count();
    assert!((1..200).contains(&unreadable), "{unreadable} unreadable mobile numbers");
    let distinct: HashSet<_> = rows.iter().map(|row| (row.kind, row.id)).collect();
    assert_eq!(distinct.len(), 200_000);
    let equal: HashSet<_> = made.extract.lines().collect();
    assert_eq!(equal.len(), rows.len() + 1, "no row stands twice");
    for row in rows.iter().filter(|row| !row.principal.is_empty()) {
        assert!(distinct.contains(&(row.kind, row.principal)), "a principal is not in the extract");
    }
}

#[test]
fn shares_are_those_of_a_population() {
    let made = make(200_000, 2, None);
    let rows = rows(&made.extract);
    let mut seen = HashMap::new();
    let mut people = Vec::new();
    let (mut several, mut farthest) = (0, 0);
    for (line, row) in rows.iter().enumerate() {
        match seen.insert((row.kind, row.id), line) {
            None => people.push(row),
            Some(first) => {
                several += 1;
                farthest = farthest.max(line - first);
            }
        }
    }
    #[track_caller]
    fn check(part: usize, of: usize, low: f64, high: f64) {
        let share = part as f64 / of as f64;
        assert!((low..=high).contains(&share), "{share}");
    }
    let count = |test: &dyn Fn(&plain::Row<'_>) -> bool| people.iter().filter(|row| test(row)).count();
    check(count(&|row| row.kind == "F"), people.len(), 0.035, 0.045);
    check(several, people.len(), 0.04, 0.06);
    assert!(farthest > 10_000, "rows of one person stand far apart: {farthest}");
    check(count(&|row| row.relation == "self"), people.len(), 0.30, 0.50);
    check(count(&|row| row.relation == "spouse"), people.len(), 0.20, 0.35);
    for (child, high) in [("son", 0.20), ("daughter", 0.20)] {
        check(count(&|row| row.relation == child), people.len(), 0.10, high);
    }
    for parent in ["father", "mother"] {
        check(count(&|row| row.relation == parent), people.len(), 0.005, 0.03);
    }
    check(count(&|row| row.category == "pensioner"), people.len(), 0.12, 0.25);
    check(count(&|row| row.end.is_empty()), people.len(), 0.55, 0.75);
    check(count(&|row| plain::day(row.end).is_some_and(|end| end < as_of())), people.len(), 0.06, 0.15);
    check(count(&|row| plain::day(row.start) > Some(as_of())), people.len(), 0.005, 0.03);
    check(count(&|row| row.mobile.is_empty()), people.len(), 0.02, 0.10);
    check(count(&|row| !row.insurer.is_empty()), people.len(), 0.02, 0.05);
    let jalali = rows.iter().filter(|row| row.start.len() == 10 && row.start.contains('/')).count();
    check(jalali, rows.len(), 0.94, 0.98);
}

#[test]
fn places_are_skewed_and_families_share_them() {
    let made = make(200_000, 3, None);
    let rows = rows(&made.extract);
    let mut places: HashMap<&str, u32> = HashMap::new();
    let mut homes = HashMap::new();
    let (mut children, mut at_home) = (0, 0);
    for row in rows.iter().filter(|row| row.kind == "N") {
        *places.entry(&row.id[..3]).or_default() += 1;
        homes.insert(row.id, (&row.id[..3], row.mobile));
        if matches!(row.relation, "son" | "daughter") {
            children += 1;
            at_home += u32::from(homes[row.principal].0 == &row.id[..3]);
        }
    }
    assert!((780..=800).contains(&places.len()), "{} places", places.len());
    let mut sizes: Vec<u32> = places.into_values().collect();
    sizes.sort_unstable();
    let total: u32 = sizes.iter().sum();
    let largest: u32 = sizes.iter().rev().take(100).sum();
    assert!(largest * 2 > total * 4 / 5, "the hundred largest places have {largest} of {total}");
    assert!(sizes[sizes.len() - 1] < total / 80, "no place has more than its cap");
    assert!(at_home * 10 > children * 8, "{at_home} of {children} children have a parent's place");
}

#[test]
fn every_kind_appears_and_the_sample_is_spread_evenly() {
    for seed in 0..8 {
        let made = make(10_000, seed, Some(200));
        assert_eq!((made.targets.len(), made.report.targets), (200, 200));
        let kinds: HashSet<&str> =
            made.targets.iter().map(|target| target["kind"].as_str().unwrap()).collect();
        let missing: Vec<&str> = target_kinds().filter(|kind| !kinds.contains(kind)).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
    }
    let made = make(100_000, 4, Some(5_000));
    let lines: HashMap<PersonId, usize> = rows(&made.extract)
        .iter()
        .enumerate()
        .rev() // of several rows the first one counts
        .filter_map(|(line, row)| PersonId::parse(IdKind::National, row.id).ok().map(|id| (id, line)))
        .collect();
    let known = made.targets.iter().filter_map(|target| lines.get(&person_of(target)));
    let mut tenths = [0; 10];
    known.for_each(|line| tenths[(line * 10 / 100_000).min(9)] += 1);
    assert!(tenths.iter().all(|count| (400..550).contains(count)), "{tenths:?}");
}

#[test]
fn the_first_target_of_a_kind_is_plain_and_for_the_as_of_date() {
    let made = make(20_000, 5, Some(400));
    let mut seen = HashSet::new();
    for target in &made.targets {
        if seen.insert(target["kind"].as_str().unwrap()) {
            assert_eq!(target["request"]["service_date"], "2026-11-22");
            assert!(target["request"]["mobile"].as_str().unwrap().starts_with("09"));
        }
    }
    assert_eq!(seen.len(), target_kinds().count());
}

fn person_of(target: &Value) -> PersonId {
    let request = &target["request"];
    let kind = IdKind::from_code(request["id_kind"].as_str().unwrap()).unwrap();
    PersonId::parse(kind, request["person_id"].as_str().unwrap()).unwrap()
}

/// What the decider says of a person, in the form of a targets file.
fn answered(person: Person<'_>, id: PersonId, request: &Value, key: &MobileKey) -> Value {
    let day = Day::parse(request["service_date"].as_str().unwrap()).unwrap();
    let care = Care::from_code(request["care"].as_str().unwrap()).unwrap();
    let mobile = Mobile::parse(request["mobile"].as_str().unwrap()).unwrap().unwrap();
    let codes = |care| {
        let mut codes: Vec<&str> =
            decide(person, day, care).notices.iter().map(|notice| notice.code()).collect();
        codes.sort_unstable();
        codes
    };
    let decision = decide(person, day, Care::Outpatient);
    let status = decision.status().code();
    let personal = match person.carries(key.fingerprint(id, &mobile)) {
        false => json!("mobile_mismatch"),
        true => json!({
            "status": status,
            "reason": decision.reason.code(),
            "end_date": decision.end.map(|end| end.iso().to_string()),
            "open_ended": decision.open_ended,
            "notices": codes(Care::Outpatient),
        }),
    };
    json!({"general": {"status": status, "notices": codes(care)}, "personal": personal})
}

#[track_caller]
fn check_against_the_decider(as_of: Day, seed: u64) {
    let key = MobileKey::new(1, [9; 32]);
    let made = make_as_of(as_of, 60_000, seed, Some(12_000));
    let people = people(&made.extract, &key);
    assert_eq!(people.len(), 60_000);
    for target in &made.targets {
        let id = person_of(target);
        let found = people.get(&id);
        assert_eq!(found.is_none(), target["kind"] == "unknown");
        let person = found.map_or(Person::Unknown, |records| Person::Entitled(records));
        let answer = answered(person, id, &target["request"], &key);
        let entitlements: Vec<_> = found.into_iter().flatten().map(|record| record.unpack()).collect();
        assert_eq!(answer, target["expected"], "{} {entitlements:?}", target["kind"]);
    }
}

#[test]
fn the_decider_meets_every_expectation() {
    check_against_the_decider(as_of(), 1);
    check_against_the_decider(as_of(), 2);
}

#[test]
fn the_decider_meets_every_expectation_on_odd_dates() {
    // A leap day, the first day of a year, and the ends of the range of as-of dates.
    for (year, month, day) in [(2025, 3, 20), (2025, 3, 21), (2000, 1, 1), (2058, 12, 31), (2024, 2, 29)] {
        check_against_the_decider(Day::from_gregorian(year, month, day).unwrap(), 3);
    }
}

/// The same through a built, published and opened generation: rows are read as the extract reader reads them.
#[test]
fn a_published_generation_meets_every_expectation() {
    let folder = TempDir::new().unwrap();
    let options = options(folder.path(), 100_000, 6, Some(10_000));
    let made = synthesize(&options, &|_| ()).unwrap();
    let snapshots = folder.path().join("snapshots");
    let key = MobileKey::new(1, [7; 32]);
    let mut build = BuildOptions::new(&options.out, &snapshots, &key, as_of());
    build.limits.max_rejected = 0.0;
    let report = snapshots::build(&build).unwrap();
    assert_eq!((report.rows, report.entitlements, report.people), (made.rows, made.rows, made.people));
    assert_eq!((report.rejected, report.duplicates, report.incomplete), (0, 0, 0));
    let rules: Vec<&str> = report.warnings.keys().map(AsRef::as_ref).collect();
    assert_eq!(rules, ["bad_mobile"]);
    let generation = snapshots::open_current(&snapshots, &[key]).unwrap();
    let lines = fs::read_to_string(options.targets.unwrap().path).unwrap();
    for line in lines.lines() {
        let target: Value = serde_json::from_str(line).unwrap();
        let id = person_of(&target);
        let person = generation.snapshot.find(id);
        let answer = answered(person, id, &target["request"], &generation.mobile_key);
        assert_eq!(answer, target["expected"], "{}", target["kind"]);
    }
}

#[test]
fn small_populations_have_exactly_as_many_people() {
    for count in 1..=40 {
        let made = make(count, count, Some(100));
        let rows = rows(&made.extract);
        let distinct: HashSet<_> = rows.iter().map(|row| (row.kind, row.id)).collect();
        assert_eq!(distinct.len() as u64, count);
        assert_eq!(made.targets.len(), 100);
    }
}

#[test]
fn progress_ends_with_the_number_of_people() {
    let folder = TempDir::new().unwrap();
    let heard = Mutex::new(Vec::new());
    let progress = |people| heard.lock().unwrap().push(people);
    synthesize(&options(folder.path(), 120_000, 1, None), &progress).unwrap();
    let heard = heard.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.len() >= 3, "{heard:?}");
    assert_eq!(heard.last(), Some(&120_000));
}

#[track_caller]
fn check_refused(options: &SynthOptions, message: &str) {
    let error: SynthError = synthesize(options, &|_| ()).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn options_at_fault_are_refused_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let good = options(folder.path(), 10, 1, Some(10));
    for people in [0, PEOPLE_MAX + 1] {
        check_refused(&SynthOptions { people, ..good.clone() }, "ask for 1 to 90000000");
    }
    for (year, month, day) in [(1999, 12, 31), (2059, 1, 1)] {
        let as_of = date(year, month, day);
        check_refused(&SynthOptions { as_of, ..good.clone() }, "choose a date within 2000-01-01..2058-12-31");
    }
    let targets = Some(TargetsOptions { path: good.out.clone(), count: 1 });
    check_refused(&SynthOptions { targets, ..good.clone() }, "give them another file");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
    let out = folder.path().join("missing").join("extract.csv");
    check_refused(&SynthOptions { out, ..good }, "check the folder");
}
