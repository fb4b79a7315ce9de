//! Poisoned extracts, one for each gate: just beyond its limit the build is refused, with a sentence that says by how
//! much and what to do, stays on disk unpublished, and is published with a reason; just within, it is published.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use snapshots::{
    BuildError, BuildOptions, BuildReport, Gate, GenerationName, State, Store, open_generation, read_current,
    read_publication,
};
use tempfile::TempDir;

use crate::support::{HEADER, build_with, copy_folder, mobile_key, national_id};

/// Known people of the usual extract.
const PEOPLE: u32 = 5000;
const DAUGHTERS: usize = 400;
const PENSIONERS: usize = 1000;
const COVERED: usize = 4500;
const REASON: &str = "the ministry asked for it";

/// One row of an extract.
#[derive(Clone)]
struct Row {
    nine: u32,
    category: &'static str,
    relation: &'static str,
    start: String,
    end: &'static str,
}

/// A national ID without its check digit, within the area of these leading digits.
fn nine(area: u32, number: u32) -> u32 {
    area * 1_000_000 + 1 + number
}

/// 5,000 people: 2,000 each with IDs from 001 and 002, 1,000 with IDs from 003; 1,000 pensioners, 400 daughters,
/// 500 whose cover has ended; and hardly two with the same entitlement.
fn usual() -> Vec<Row> {
    let people = (0..PEOPLE).map(|n| Row {
        nine: nine(1 + n / 2000, n),
        category: if n % 5 == 0 { "pensioner" } else { "insured" },
        relation: if n % 25 < 2 { "daughter" } else { "self" },
        start: format!("13{}/{}/{}", 60 + n % 37, 1 + n % 12, 1 + n % 29),
        end: if n % 10 == 3 { "1404/1/1" } else { "" },
    });
    people.collect()
}

/// So many more people like the usual ones; their IDs are nobody else's, and too few of one area to be compared.
fn newcomers(count: u32) -> impl Iterator<Item = Row> {
    usual().into_iter().zip(0..count).map(|(row, n)| Row { nine: nine(500 + n % 50, n), ..row })
}

fn changed(change: impl FnOnce(&mut Vec<Row>)) -> Vec<Row> {
    let mut rows = usual();
    change(&mut rows);
    rows
}

/// Sets a trait of the first rows that match, to have so many with it more.
fn more(count: usize, matches: impl Fn(&Row) -> bool, set: impl Fn(&mut Row)) -> Vec<Row> {
    changed(|rows| rows.iter_mut().filter(|row| matches(row)).take(count).for_each(set))
}

/// Moves so many people from the area of these leading digits to areas that are too small to be compared.
fn moved_from(area: u32, count: usize) -> Vec<Row> {
    let is_of = move |row: &Row| row.nine / 1_000_000 == area;
    more(count, is_of, |row| row.nine = nine(500 + row.nine % 50, row.nine % 1_000_000))
}

/// A night: a snapshots folder and the extract for it.
struct Night {
    dir: TempDir,
}

impl Night {
    /// Nothing is published yet.
    fn first() -> Night {
        Night { dir: tempfile::tempdir().unwrap() }
    }

    /// The usual people are current.
    fn after_usual() -> Night {
        static USUAL: OnceLock<TempDir> = OnceLock::new();
        let usual = USUAL.get_or_init(|| {
            let night = Night::first();
            night.build(&usual(), |_| {}).unwrap();
            night.dir
        });
        let night = Night::first();
        copy_folder(&usual.path().join("snapshots"), &night.snapshots());
        night
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    fn current(&self) -> Option<GenerationName> {
        read_current(&self.snapshots()).ok()
    }

    fn build(
        &self,
        rows: &[Row],
        set: impl FnOnce(&mut BuildOptions<'_>),
    ) -> Result<BuildReport, BuildError> {
        let lines = rows.iter().map(|Row { nine, category, relation, start, end }| {
            format!("N,{},{category},{relation},,{start},{end},,,68415941,,,\n", national_id(*nine))
        });
        self.build_text(&lines.collect::<String>(), set)
    }

    fn build_text(
        &self,
        rows: &str,
        set: impl FnOnce(&mut BuildOptions<'_>),
    ) -> Result<BuildReport, BuildError> {
        let extract = self.dir.path().join("extract.csv");
        fs::write(&extract, format!("{HEADER}\n{rows}")).unwrap();
        build_with(&extract, &self.snapshots(), set)
    }
}

/// What a refusal must look like, apart from how it comes about.
#[track_caller]
fn check_refused(
    night: &Night,
    gate: Gate,
    told: &str,
    build: impl Fn(Option<String>) -> Result<BuildReport, BuildError>,
) {
    let before = night.current();
    let error = build(None).unwrap_err();
    let BuildError::Refused { folder, rejects_path, .. } = &error else { panic!("{error}") };
    let name: GenerationName = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let told = told.replace("REJECTS", &rejects_path.display().to_string());
    let current = before.map_or_else(String::new, |name| name.to_string());
    let told = told.replace("CURRENT", &current);
    let expected = format!(
        "generation {name} was not published: {told}; the build stays in {} unpublished",
        folder.display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(night.current(), before, "what was current still is");
    let store = Store::new(&night.snapshots(), "tester");
    let state_of = |name| store.list().unwrap().into_iter().find(|listed| listed.generation == name).unwrap();
    assert_eq!(state_of(name).state, State::Built);
    open_generation(&night.snapshots(), &name, &[mobile_key()]).unwrap();
    let refused = read_publication(&night.snapshots(), &name).unwrap();
    let failed: Vec<_> = refused.gates.iter().filter(|outcome| !outcome.passed).collect();
    assert!(matches!(failed[..], [only] if only.gate == gate), "{failed:?}");

    let report = build(Some(REASON.to_owned())).unwrap();
    assert_eq!(report.generation, name.to_string());
    assert_eq!(night.current(), Some(name));
    let accepted = read_publication(&night.snapshots(), &name).unwrap().accepted.unwrap();
    assert_eq!((accepted.reason.as_str(), accepted.gates), (REASON, vec![gate]));
    assert_eq!(store.journal().unwrap().last().unwrap().why.as_deref(), Some(REASON));
}

/// Just beyond: refused, and published with a reason. Just within: published as it is.
#[track_caller]
fn check(make: fn() -> Night, gate: Gate, beyond: &[Row], within: &[Row], told: &str) {
    let night = make();
    check_refused(&night, gate, told, |accept| night.build(beyond, |options| options.accept = accept));
    let night = make();
    let report = night.build(within, |_| {}).unwrap();
    assert_eq!(night.current().unwrap().to_string(), report.generation);
    assert!(read_publication(&night.snapshots(), &night.current().unwrap()).unwrap().accepted.is_none());
}

/// A share that is compared with the current generation: a sentence for each direction.
fn change_told(what: &str, before: usize, after: usize, change: &str, most: &str, limit: &str) -> String {
    format!(
        "{what}: {after} after {before} in CURRENT, a change of {change}{most}, where at most {limit} is allowed; check \
         the export, or allow more with FLAG, or accept this one with --accept"
    )
}

#[test]
fn rejected_rows() {
    // 25 and 26 rows of 5,000 and 5,001 whose ID nobody can have.
    let text = |rejected: usize| {
        let rows = usual()
            .into_iter()
            .skip(25)
            .map(|row| format!("N,{},insured,self,,{},,,,,,,\n", national_id(row.nine), row.start));
        rows.collect::<String>() + &"N,1111111111,insured,self,,1400/1/1,,,,,,,\n".repeat(rejected)
    };
    let night = Night::first();
    let told = "26 of 5001 rows were rejected, a share of 0.0052 where at most 0.005 is allowed; mend the rows listed in \
                REJECTS, or allow more with --max-rejected";
    check_refused(&night, Gate::Rejected, told, |accept| {
        night.build_text(&text(26), |options| options.accept = accept)
    });
    assert_eq!(Night::first().build_text(&text(25), |_| {}).unwrap().rejected, 25);
}

#[test]
fn incomplete_people() {
    // Their only row has no first day. Second rows of others keep the share of rejected rows below its limit.
    let text = |incomplete: u32| {
        let known = usual().into_iter().skip(25);
        let mut rows: String = known
            .map(|row| format!("N,{},insured,self,,{},,,,,,,\n", national_id(row.nine), row.start))
            .collect();
        for row in usual().into_iter().skip(25).take(500) {
            rows += &format!("N,{},pensioner,self,,1400/1/1,,,,,,,\n", national_id(row.nine));
        }
        for number in 0..incomplete {
            rows += &format!("N,{},insured,self,,?,,,,,,,\n", national_id(nine(4, number)));
        }
        rows
    };
    let night = Night::first();
    let told = "26 of 5001 people are incomplete, a share of 0.0052 where at most 0.005 is allowed; mend the rows listed \
                in REJECTS, or allow more with --max-incomplete";
    check_refused(&night, Gate::Incomplete, told, |accept| {
        night.build_text(&text(26), |options| options.accept = accept)
    });
    assert_eq!(Night::first().build_text(&text(25), |_| {}).unwrap().incomplete, 25);
}

#[test]
fn an_entitlement_that_more_than_half_share() {
    let shared = |count| {
        more(
            count,
            |_| true,
            |row| {
                *row = Row {
                    category: "insured",
                    relation: "self",
                    start: "1400/1/1".to_owned(),
                    end: "",
                    ..row.clone()
                }
            },
        )
    };
    check(
        Night::first,
        Gate::Shared,
        &shared(2501),
        &shared(2500),
        "2501 of 5000 people have the very same entitlement, a share of 0.5002 where at most 0.5 is allowed; look for a \
         constant column in the extract, or allow more with --max-shared",
    );
}

#[test]
fn too_few_people() {
    let build = |night: &Night, min_people, accept| {
        night.build(&usual(), |options| {
            options.limits.min_people = min_people;
            options.accept = accept;
        })
    };
    let night = Night::first();
    let told = "there are 5000 people, where at least 5001 are expected; check that the export was complete, or lower \
                --min-people";
    check_refused(&night, Gate::MinPeople, told, |accept| build(&night, 5001, accept));
    build(&Night::first(), 5000, None).unwrap();
}

#[test]
fn another_number_of_people() {
    let told = |after, change| {
        change_told("there are people", 5000, after, change, "", "0.02")
            .replace("FLAG", "--max-people-change")
    };
    let grown = |count| changed(|rows| rows.extend(newcomers(count)));
    check(Night::after_usual, Gate::People, &grown(101), &grown(100), &told(5101, "+0.0202"));
    // Every 49th, so that no group loses more than another.
    let shrunk = |count: usize| changed(|rows| (0..count).for_each(|n| drop(rows.remove(n * 48))));
    check(Night::after_usual, Gate::People, &shrunk(101), &shrunk(100), &told(4899, "-0.0202"));
}

#[test]
fn another_share_covered() {
    let told = |after: &str, change: &str| {
        format!(
            "a share of {after} is covered on the as-of date after 0.9000 in CURRENT, a change of {change} where at most \
             0.01 is allowed; check the dates of cover in the extract, or allow more with --max-covered-change, or accept \
             this one with --accept"
        )
    };
    let covered = |row: &Row| row.end.is_empty();
    assert_eq!(usual().iter().filter(|row| covered(row)).count(), COVERED);
    let fewer = |count| more(count, covered, |row| row.end = "1404/1/1");
    check(Night::after_usual, Gate::Covered, &fewer(51), &fewer(50), &told("0.8898", "0.0102"));
    let further = |count| more(count, |row| !row.end.is_empty(), |row| row.end = "");
    check(Night::after_usual, Gate::Covered, &further(51), &further(50), &told("0.9102", "0.0102"));
}

#[test]
fn another_number_of_a_category() {
    let told = |after, change| {
        change_told("people of category pensioner", PENSIONERS, after, change, ", the largest change", "0.05")
            .replace("FLAG", "--max-group-change")
    };
    let further = |count| more(count, |row| row.category == "insured", |row| row.category = "pensioner");
    check(Night::after_usual, Gate::Category, &further(51), &further(50), &told(1051, "+0.0510"));
    let fewer = |count| more(count, |row| row.category == "pensioner", |row| row.category = "insured");
    check(Night::after_usual, Gate::Category, &fewer(51), &fewer(50), &told(949, "-0.0510"));
}

#[test]
fn another_number_of_a_relation() {
    let told = |after, change| {
        change_told("people of relation daughter", DAUGHTERS, after, change, ", the largest change", "0.05")
            .replace("FLAG", "--max-group-change")
    };
    let further = |count| more(count, |row| row.relation == "self", |row| row.relation = "daughter");
    check(Night::after_usual, Gate::Relation, &further(21), &further(20), &told(421, "+0.0525"));
    let fewer = |count| more(count, |row| row.relation == "daughter", |row| row.relation = "self");
    check(Night::after_usual, Gate::Relation, &fewer(21), &fewer(20), &told(379, "-0.0525"));
}

#[test]
fn another_number_of_an_area() {
    let told = |area: &str, before, after, change| {
        let what = format!("people with national IDs from {area}");
        change_told(&what, before, after, change, ", the largest change", "0.1")
            .replace("FLAG", "--max-area-change")
    };
    check(
        Night::after_usual,
        Gate::Area,
        &moved_from(1, 201),
        &moved_from(1, 200),
        &told("001", 2000, 1799, "-0.1005"),
    );
    // Into an area that has 1,000: only one with more is compared, so that this limit is the stricter one.
    let moved_to_3 = |count| {
        let from = |row: &Row| row.nine / 1_000_000 < 3;
        more(count, from, |row| row.nine = nine(3, 500_000 + row.nine % 1_000_000))
    };
    check(
        Night::after_usual,
        Gate::Area,
        &moved_to_3(101),
        &moved_to_3(100),
        &told("003", 1000, 1101, "+0.1010"),
    );
    // It may shrink as it likes: it has not more than 1,000 before or after.
    let night = Night::after_usual();
    night.build(&moved_from(3, 900), |_| {}).unwrap();
}

#[test]
fn an_older_as_of_date() {
    let build = |night: &Night, day: &str, accept| {
        let as_of = engine::Day::parse(day).unwrap();
        night.build(&usual(), |options| {
            options.as_of = as_of;
            options.accept = accept;
        })
    };
    let night = Night::after_usual();
    let told = "it is as of 2026-11-21 after 2026-11-22 in CURRENT; give the newest extract with its --as-of; to go back \
                use `snapshot rollback`, or allow it with --allow-older";
    check_refused(&night, Gate::AsOf, told, |accept| build(&night, "2026-11-21", accept));
    let night = Night::after_usual();
    let same_day = night.build(&changed(|rows| rows.extend(newcomers(1))), |_| {}).unwrap();
    assert_eq!(night.current().unwrap().to_string(), same_day.generation);
}

#[test]
fn the_usual_people_pass_every_gate_on_any_night() {
    let usual_again = |night: Night| night.build(&usual(), |_| {}).unwrap().gates;
    let gates = usual_again(Night::first());
    assert!(gates.len() == 4 && gates.iter().all(|outcome| outcome.passed), "{gates:?}");
    let night = Night::after_usual();
    let as_of = engine::Day::parse("2026-11-23").unwrap();
    let gates = night.build(&usual(), |options| options.as_of = as_of).unwrap().gates;
    assert!(gates.len() == 10 && gates.iter().all(|outcome| outcome.passed), "{gates:?}");
}

/// Two at fault are told in one message.
#[test]
fn every_gate_that_refuses_is_told() {
    let night = Night::after_usual();
    let error = night.build(&usual()[..3000], |_| {}).unwrap_err().to_string();
    for told in [
        "there are people: 3000 after 5000",
        "also: people of category",
        "also: people with national IDs from 002",
    ] {
        assert!(error.contains(told), "{told} is not in {error}");
    }
    assert!(Path::new(&night.snapshots()).join("CURRENT").exists());
}
