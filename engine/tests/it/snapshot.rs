//! Written people are found again, and nobody else; damaged files are refused and never panic.

use std::fs;
use std::path::Path;

use engine::{
    Compiler, Counts, Day, Entitlement, EntitlementRecord, FileDigest, INDEX_FILE, IdKind, MemoryMode,
    OpenError, OpenStep, Person, PersonId, RECORDS_FILE, Snapshot, SnapshotFiles, WriteError,
};
use proptest::prelude::*;

use crate::record::any_entitlement;

type People = std::collections::BTreeMap<PersonId, Vec<EntitlementRecord>>;

fn digest(path: &Path) -> FileDigest {
    let bytes = fs::read(path).unwrap();
    FileDigest { len: bytes.len() as u64, blake3: *blake3::hash(&bytes).as_bytes() }
}

fn files(dir: &Path) -> SnapshotFiles {
    SnapshotFiles { index: digest(&dir.join(INDEX_FILE)), records: digest(&dir.join(RECORDS_FILE)) }
}

fn counts(people: &People) -> Counts {
    Counts {
        people: people.values().filter(|records| !records.is_empty()).count() as u64,
        incomplete: people.values().filter(|records| records.is_empty()).count() as u64,
        entitlements: people.values().map(|records| records.len() as u64).sum(),
    }
}

fn write(dir: &Path, people: &People) -> SnapshotFiles {
    let mut compiler = Compiler::create(dir).unwrap();
    people.iter().for_each(|(&person, records)| compiler.add(person, records).unwrap());
    let compiled = compiler.finish().unwrap();
    assert_eq!(compiled, counts(people));
    files(dir)
}

fn any_person() -> impl Strategy<Value = PersonId> {
    let national = (1..999_999_999_u64).prop_filter_map("an ID", |n| PersonId::from_u64(IdKind::National, n));
    let dense =
        (500_000_001..500_000_040_u64).prop_filter_map("an ID", |n| PersonId::from_u64(IdKind::National, n));
    let foreign = "[0-9]{8,16}".prop_map(|digits| PersonId::parse(IdKind::Foreign, &digits).unwrap());
    prop_oneof![national, dense, foreign]
}

fn any_people() -> impl Strategy<Value = People> {
    let records = prop::collection::vec(any_entitlement(), 0..4).prop_map(|entitlements| {
        let mut records: Vec<_> = entitlements.iter().map(EntitlementRecord::pack).collect();
        records.sort_by_key(EntitlementRecord::storage_order);
        records.dedup();
        records
    });
    prop::collection::btree_map(any_person(), records, 0..60)
}

fn found(snapshot: &Snapshot, person: PersonId) -> Option<Vec<EntitlementRecord>> {
    match snapshot.find(person) {
        Person::Unknown => None,
        Person::Incomplete => Some(Vec::new()),
        Person::Entitled(records) => Some(records.to_vec()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_found(people in any_people(), others in prop::collection::vec(any_person(), 20)) {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), &people);
        let snapshot = Snapshot::open(dir.path(), &files).unwrap();
        prop_assert_eq!(snapshot.counts(), counts(&people));
        for person in people.keys().chain(&others) {
            prop_assert_eq!(found(&snapshot, *person), people.get(person).cloned());
        }
    }
}

fn small_people() -> People {
    let entitlement = |start: u16| {
        EntitlementRecord::pack(&Entitlement {
            category: engine::Category::INSURED,
            relation: engine::Relation::Itself,
            start: Day::from_number(start).unwrap(),
            end: None,
            turns_19: None,
            student_until: None,
            document_due: None,
            other_insurer: None,
            branch: None,
            mobile: None,
        })
    };
    let person = |kind, number| PersonId::from_u64(kind, number).unwrap();
    People::from([
        (person(IdKind::National, 1_234_567), vec![entitlement(1)]),
        (person(IdKind::National, 1_234_568), vec![]),
        (person(IdKind::National, 900_000_001), vec![entitlement(2), entitlement(3)]),
        (person(IdKind::Foreign, 112_345_678), vec![entitlement(4)]),
    ])
}

/// Opens after `damage` was done to one of the files; with the digests of before, or those of now.
#[track_caller]
fn open_damaged(name: &str, redigest: bool, damage: impl FnOnce(&mut Vec<u8>)) -> Result<(), OpenError> {
    let dir = tempfile::tempdir().unwrap();
    let before = write(dir.path(), &small_people());
    let path = dir.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let expected = if redigest { files(dir.path()) } else { before };
    let look = |snapshot: &Snapshot| small_people().keys().for_each(|&person| drop(found(snapshot, person)));
    let open = |memory| Snapshot::open_in(dir.path(), &expected, memory, &mut |_| {});
    let opened = open(MemoryMode::Mapped).map(|snapshot| look(&snapshot));
    let resident = open(MemoryMode::Resident).map(|snapshot| look(&snapshot));
    let text = |opened: &Result<(), OpenError>| opened.as_ref().err().map(ToString::to_string);
    assert_eq!(text(&resident), text(&opened), "both refuse the same");
    opened
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused() {
    for name in [INDEX_FILE, RECORDS_FILE] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &small_people());
        let len = fs::read(dir.path().join(name)).unwrap().len();
        for place in 0..len {
            let error = open_damaged(name, false, |bytes| bytes[place] ^= 0x40).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("does not match its digest"), "{error}");
            let error = open_damaged(name, false, |bytes| bytes.truncate(place)).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} has {place} bytes instead of {len}")), "{error}");
            assert!(error.contains("build the snapshot again"), "{error}");
        }
    }
}

/// Even where the digest is right, as for a file that a faulty builder wrote, nothing unchecked is used.
#[test]
fn wrong_headers_and_records_with_right_digests_never_panic() {
    for name in [INDEX_FILE, RECORDS_FILE] {
        for place in 0..512 {
            let result = open_damaged(name, true, |bytes| bytes[place] ^= 0x40);
            assert!(
                result.unwrap_err().to_string().contains(name),
                "header byte {place} of {name} is checked"
            );
        }
        for place in 0..512 {
            assert!(open_damaged(name, true, |bytes| bytes.truncate(place)).is_err());
        }
    }
    for place in 512..512 + 4 * 16 {
        for bit in 0..8 {
            let _ = open_damaged(RECORDS_FILE, true, |bytes| bytes[place] ^= 1 << bit);
        }
    }
    let wrong_pointer = open_damaged(RECORDS_FILE, true, |bytes| bytes[512 + 2 * 16] = 9).unwrap_err();
    assert!(
        wrong_pointer.to_string().contains("points beyond its part of the overflow area"),
        "{wrong_pointer}"
    );
    let other_version = open_damaged(INDEX_FILE, true, |bytes| bytes[8] = 2).unwrap_err();
    assert!(other_version.to_string().contains("its format version is not the one"), "{other_version}");
}

#[test]
fn people_out_of_order_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut compiler = Compiler::create(dir.path()).unwrap();
    let people: Vec<_> = small_people().into_iter().collect();
    compiler.add(people[1].0, &people[1].1).unwrap();
    assert!(matches!(compiler.add(people[1].0, &[]), Err(WriteError::OutOfOrder)));
    assert!(matches!(compiler.add(people[0].0, &[]), Err(WriteError::OutOfOrder)));
}

/// A placeholder ID gathers the rows of everybody whose own ID is not known; they must not cost the night.
#[test]
fn one_person_may_have_more_entitlements_than_two_bytes_count() {
    let dir = tempfile::tempdir().unwrap();
    let (person, records) = small_people().pop_first().unwrap();
    let one = records[0].unpack().unwrap();
    let starts = (0..=65_534).map(|start| Entitlement { start: Day::from_number(start).unwrap(), ..one });
    let pensions = starts.clone().map(|row| Entitlement { category: engine::Category::PENSIONER, ..row });
    let mut many: Vec<_> = starts.chain(pensions).map(|row| EntitlementRecord::pack(&row)).collect();
    many.sort_by_key(EntitlementRecord::storage_order);
    let people = People::from([(person, many)]);
    let files = write(dir.path(), &people);
    let snapshot = Snapshot::open(dir.path(), &files).unwrap();
    assert_eq!(found(&snapshot, person), people.get(&person).cloned());
}

#[test]
fn bytes_that_no_section_owns_are_refused() {
    for name in [INDEX_FILE, RECORDS_FILE] {
        let error = open_damaged(name, true, |bytes| *bytes.last_mut().unwrap() = 1);
        let padded = name == RECORDS_FILE && (2 + 2 + 2) * 16 % 64 != 0 || name == INDEX_FILE;
        assert!(!padded || error.unwrap_err().to_string().contains("its padding is not zero"));
        let error = open_damaged(name, true, |bytes| {
            bytes.extend([0; 64]);
            let len = (bytes.len() as u64).to_le_bytes();
            bytes[16..24].copy_from_slice(&len);
        });
        assert!(error.unwrap_err().to_string().contains("something follows its last section"));
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), &small_people());
    fs::remove_file(dir.path().join(RECORDS_FILE)).unwrap();
    let error = Snapshot::open(dir.path(), &files).err().unwrap().to_string();
    assert!(
        error.contains("records.bin") && error.contains("check that the generation is complete"),
        "{error}"
    );
}

/// Everything that is asked of a snapshot, in the memory of choice.
#[track_caller]
fn open_in(memory: MemoryMode, dir: &Path, files: &SnapshotFiles) -> Snapshot {
    let snapshot = Snapshot::open_in(dir, files, memory, &mut |_| {}).unwrap();
    assert_eq!(snapshot.memory_mode(), memory);
    assert_eq!(snapshot.len_bytes(), files.index.len + files.records.len);
    let lens = snapshot.address_ranges().map(|range| range.len() as u64);
    assert_eq!(lens, [files.index.len, files.records.len]);
    snapshot
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn mapped_or_resident_the_same_is_found(people in any_people()) {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), &people);
        for memory in [MemoryMode::Mapped, MemoryMode::Resident] {
            let snapshot = open_in(memory, dir.path(), &files);
            for (&person, records) in &people {
                prop_assert_eq!(found(&snapshot, person), Some(records.clone()));
            }
        }
    }
}

/// Larger than a huge page, so that the copy begins at the border of one and ends within another.
#[test]
fn large_files_are_found_whole_when_they_are_resident() {
    let dir = tempfile::tempdir().unwrap();
    let record = small_people().into_values().find(|records| records.len() == 1).unwrap();
    let persons = (1..200_000).filter_map(|n| PersonId::from_u64(IdKind::National, n * 997));
    let people: People = persons.map(|person| (person, record.clone())).collect();
    let files = write(dir.path(), &people);
    assert!(files.records.len > 3 << 20);
    let snapshot = open_in(MemoryMode::Resident, dir.path(), &files);
    assert!(snapshot.address_ranges()[1].start.is_multiple_of(2 << 20));
    assert_eq!(snapshot.counts(), counts(&people));
    for &person in people.keys() {
        assert_eq!(found(&snapshot, person).as_ref(), Some(&record));
    }
}

#[test]
fn a_resident_snapshot_does_not_care_what_becomes_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let people = small_people();
    let files = write(dir.path(), &people);
    let snapshot = open_in(MemoryMode::Resident, dir.path(), &files);
    for name in [INDEX_FILE, RECORDS_FILE] {
        // Of a mapped file, the next look-up would end the process.
        fs::File::options().write(true).open(dir.path().join(name)).unwrap().set_len(0).unwrap();
    }
    for (&person, records) in &people {
        assert_eq!(found(&snapshot, person).as_ref(), Some(records));
    }
}

#[test]
fn steps_are_told_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), &small_people());
    let steps = |memory| {
        let mut steps = Vec::new();
        Snapshot::open_in(dir.path(), &files, memory, &mut |step| steps.push(step)).unwrap();
        steps
    };
    use OpenStep::{Check, Verify, Warm};
    assert_eq!(steps(MemoryMode::Mapped), [Verify, Warm, Check, Verify, Warm, Check]);
    assert_eq!(steps(MemoryMode::Resident), [Verify, Check, Verify, Check]);
}
