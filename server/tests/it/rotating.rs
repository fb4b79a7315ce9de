//! Three small generations in which nobody has the same answer twice, and the check of an answer against the
//! generation that it names: what came from two at once shows.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use engine::NationalId;
use serde_json::{Value, json};

use crate::client::Reply;

/// The people of each generation and those that it does not know.
pub(crate) const PEOPLE: usize = 3000;
pub(crate) const AS_OF: [&str; 3] = ["2026-11-22", "2026-11-23", "2026-11-24"];
/// In all three; the day that is asked about.
const DAY: &str = "2026-11-22";
const ENDS: [&str; 3] = ["2031-05-01", "2032-06-02", "2033-07-03"];
const COLUMNS: &str = "id_kind,person_id,category,relation,birth_date,coverage_start,coverage_end,student_until,\
                       document_due,principal_id,other_insurer,mobile,branch\n";

/// What a person is in a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    CoveredForGood,
    CoveredUntil(&'static str),
    Unknown,
}

fn is(person: usize, generation: usize) -> Is {
    match (person + generation) % 3 {
        0 => Is::CoveredForGood,
        1 => Is::CoveredUntil(ENDS[generation]),
        _ => Is::Unknown,
    }
}

fn person_id(person: usize) -> String {
    let nine = 100_000_001 + u32::try_from(person).unwrap() * 7919;
    engine::PersonId::National(NationalId::from_nine(nine).unwrap()).reveal()
}

fn mobile(person: usize) -> String {
    format!("0912{person:07}")
}

/// Writes the extract of a generation.
pub(crate) fn write_extract(path: &Path, generation: usize) {
    let mut text = COLUMNS.to_owned();
    for person in 0..PEOPLE {
        let end = match is(person, generation) {
            Is::CoveredForGood => "",
            Is::CoveredUntil(end) => end,
            Is::Unknown => continue,
        };
        let (id, mobile) = (person_id(person), mobile(person));
        writeln!(text, "N,{id},insured,self,,2020-01-01,{end},,,,,{mobile},{}", person % 9999 + 1).unwrap();
    }
    fs::write(path, text).unwrap();
}

pub(crate) fn general_body(person: usize) -> Value {
    json!({"person_id": person_id(person), "service_date": DAY})
}

pub(crate) fn personal_body(person: usize) -> Value {
    json!({"person_id": person_id(person), "mobile": mobile(person), "service_date": DAY})
}

/// Asserts that an answer is the one that the generation it names must give; which one that is.
#[track_caller]
pub(crate) fn check_general(reply: &Reply, person: usize, names: &[String; 3]) -> usize {
    let answer = reply.json();
    assert_eq!(reply.status, 201, "{reply:?}");
    let generation = named(&answer, names);
    let covered = is(person, generation) != Is::Unknown;
    assert_eq!(answer["status"], if covered { "covered" } else { "not_covered" }, "{reply:?}");
    assert_eq!(answer["notices"].as_array().unwrap().len(), usize::from(!covered), "{reply:?}");
    generation
}

/// The same of a personal inquiry. A mismatch names no generation; it is right if there is one without the person.
#[track_caller]
pub(crate) fn check_personal(reply: &Reply, person: usize, names: &[String; 3]) -> Option<usize> {
    if reply.status == 403 {
        assert_eq!(reply.json()["code"], "mobile_mismatch", "{reply:?}");
        return None;
    }
    let answer = reply.json();
    assert_eq!(reply.status, 201, "{reply:?}");
    let generation = named(&answer, names);
    let end = match is(person, generation) {
        Is::CoveredForGood => json!(null),
        Is::CoveredUntil(end) => json!(end),
        Is::Unknown => panic!("that generation does not know the person: {reply:?}"),
    };
    assert_eq!(
        (&answer["end_date"], answer["open_ended"].as_bool()),
        (&end, Some(end.is_null())),
        "{reply:?}"
    );
    Some(generation)
}

#[track_caller]
fn named(answer: &Value, names: &[String; 3]) -> usize {
    let name = answer["snapshot"].as_str().unwrap();
    let generation = names.iter().position(|known| known == name).unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(answer["as_of"], AS_OF[generation], "{answer}");
    generation
}

/// Switches `CURRENT` as a builder does, but for the syncs.
pub(crate) fn set_current(snapshots: &Path, name: &str) {
    fs::write(snapshots.join("beside"), format!("{name}\n")).unwrap();
    fs::rename(snapshots.join("beside"), snapshots.join("CURRENT")).unwrap();
}

/// How long a loop is to be: as that variable says, or so many.
pub(crate) fn rounds(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Numbers without pattern: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}
