//! A ledger of three segments as evidence: each byte of it changed, by somebody who knows the format or not. All of it
//! is found, at its place; what cannot be found is told here by name. `exchanged` moves whole entries and segments.
//!
//! FORMAT.md says what a start reads: headers, seals, the mark, and the entries of the last segment. `verify` reads all.

use ledger::sim::SimDisk;
use ledger::{Head, Ledger, LedgerReader, OpenError, Options, ReadError, Record};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::support::{
    HEADER_LEN, LEDGER, Model, SLOT_LEN, entry, keys, open, options, reader, segment_len, slot_offset,
};

/// Entries of a segment; the seal is the slot of this number.
pub(crate) const SLOTS: usize = 6;

pub(crate) fn name(segment: usize) -> String {
    format!("segment-{segment:08}.led")
}

/// Where something is wrong: a file and, if it is one of entries, a slot.
pub(crate) type Place = (String, Option<u64>);

fn place_of_read(error: &ReadError) -> Place {
    match error {
        ReadError::Damaged(damage) => {
            assert_eq!(damage.offset, (HEADER_LEN as u64) + damage.slot * SLOT_LEN as u64);
            (damage.path.clone(), Some(damage.slot))
        }
        ReadError::CutOff { path, slots, .. } => (path.clone(), Some(*slots)),
        ReadError::MissingKey { path, .. } | ReadError::MarkRecord { path, .. } => (path.clone(), None),
        ReadError::Io { .. } => panic!("{error}"),
    }
}

fn place(error: &OpenError) -> Place {
    match error {
        OpenError::Read(error) => place_of_read(error),
        OpenError::Header { path, .. }
        | OpenError::SegmentMissing { path }
        | OpenError::WrongKey { path, .. }
        | OpenError::Mark { path } => (path.clone(), None),
        OpenError::NumberFile(error) => (error.path.clone(), None),
        other => panic!("{other}"),
    }
}

/// What is found wrong with a ledger, by opening it or else by reading it all.
pub(crate) enum Finding {
    Opening(Place),
    Verifying(Place),
    /// An unfinished batch behind the last entry, in bytes.
    Unfinished(u64),
    Nothing(Option<Head>),
}

/// Looks at a ledger as an auditor does, and holds a start to what FORMAT.md says of it.
pub(crate) fn look(disk: &SimDisk) -> Finding {
    if let Err(error) = LedgerReader::open(disk, keys()) {
        assert_eq!(open(disk).err().map(|error| error.to_string()), Some(error.to_string()));
        return Finding::Opening(place(&error));
    }
    let verified = reader(disk).verify();
    if let Some(fault) = verified.fault {
        let place = place_of_read(&fault);
        let started = open(&disk.after_kill()).map(drop).map_err(|error| error.to_string());
        if place.0.ends_with(&name(3)) {
            assert_eq!(started, Err(fault.to_string()), "a start reads the entries of the last segment");
        } else if let Err(error) = started {
            assert!(error.contains(&name(3)), "and of no other: {error}");
        }
        return Finding::Verifying(place);
    }
    match verified.report.unfinished_bytes {
        0 => Finding::Nothing(verified.report.head),
        bytes => Finding::Unfinished(bytes),
    }
}

#[track_caller]
pub(crate) fn found(disk: &SimDisk, what: &str) -> Place {
    match look(disk) {
        Finding::Opening(place) | Finding::Verifying(place) => place,
        Finding::Unfinished(bytes) => panic!("{what}: {bytes} bytes of an unfinished batch"),
        Finding::Nothing(_) => panic!("{what}: nothing is found"),
    }
}

#[track_caller]
pub(crate) fn check_found(disk: &SimDisk, segment: usize, slot: usize, what: &str) {
    assert_eq!(found(disk, what), (format!("sim/{}", name(segment)), Some(slot as u64)), "{what}");
}

/// Three segments: two that were full, and one that was closed, or ended by a kill after a batch of four.
pub(crate) fn three_segments(mut model: Model, closed: bool) -> SimDisk {
    let disk = SimDisk::new();
    let short =
        Options { segment_len_min_bytes: segment_len(SLOTS as u64), segment_len_max_bytes: 0, ..options() };
    let ledger = Ledger::open_or_init(&disk, LEDGER, keys(), short).unwrap();
    model.append_each(&ledger, 2 * SLOTS - 1);
    if closed {
        model.append_each(&ledger, 5);
        ledger.close().unwrap();
    } else {
        model.append_each(&ledger, 2);
        model.append_batch(&ledger, &disk, 1 + 3);
    }
    drop(ledger);
    let disk = disk.after_kill();
    let report = reader(&disk).verify().report;
    assert_eq!((report.segments, report.entries, report.closed), (3, 18, closed));
    disk
}

pub(crate) fn with(disk: &SimDisk, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
    let changed = disk.after_kill();
    let mut bytes = changed.contents(file);
    change(&mut bytes);
    changed.replace(file, bytes);
    changed
}

pub(crate) fn slot(disk: &SimDisk, (segment, slot): (usize, usize)) -> Vec<u8> {
    disk.contents(&name(segment))[slot_offset(slot)..slot_offset(slot + 1)].to_vec()
}

pub(crate) fn set_slot(disk: &SimDisk, (segment, slot): (usize, usize), bytes: &[u8]) -> SimDisk {
    with(disk, &name(segment), |file| file[slot_offset(slot)..slot_offset(slot + 1)].copy_from_slice(bytes))
}

/// Gives a slot the checksum that it should have: what somebody can do who knows the format and has no key.
pub(crate) fn with_right_checksum(slot: &mut [u8]) {
    let crc = crc32c::crc32c(&slot[4..SLOT_LEN]);
    slot[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Each byte with all its bits turned, and with one.
fn turned(at: usize) -> [u8; 2] {
    [0xFF, 1 << (at % 8)]
}

#[test]
fn every_byte_of_a_closed_ledger() {
    let disk = three_segments(Model::default(), true);
    for segment in 1..=3 {
        let len = disk.contents(&name(segment)).len();
        assert_eq!(len, slot_offset(SLOTS + 1));
        (0..len).into_par_iter().for_each(|at| {
            for bits in turned(at) {
                let changed = with(&disk, &name(segment), |bytes| bytes[at] ^= bits);
                let slot = at.checked_sub(HEADER_LEN).map(|at| (at / SLOT_LEN) as u64);
                let expected = (format!("sim/{}", name(segment)), slot);
                let what = format!("segment {segment}, byte {at}, bits {bits:02x}");
                // An opening reads headers, seals, and the last entry, whose tag the seal goes on from.
                let last = SLOTS as u64 - 1;
                let by_opening = slot.is_none_or(|slot| slot == last || slot > last && segment < 3);
                match look(&changed) {
                    Finding::Opening(place) => assert_eq!((place, true), (expected, by_opening), "{what}"),
                    Finding::Verifying(place) => assert_eq!((place, false), (expected, by_opening), "{what}"),
                    _ => panic!("{what}: nothing is found"),
                }
            }
        });
    }
    for file in ["LEDGER", "MARK"] {
        (0..disk.contents(file).len()).into_par_iter().for_each(|at| {
            for bits in turned(at) {
                let changed = with(&disk, file, |bytes| bytes[at] ^= bits);
                let found = match LedgerReader::open(&changed, keys()) {
                    Err(error) => place(&error),
                    // One record of MARK is enough to open it; after a clean close both must be whole.
                    Ok(reader) => place_of_read(&reader.verify().fault.expect("it is found")),
                };
                assert_eq!(found, (format!("sim/{file}"), None), "{file}, byte {at}, bits {bits:02x}");
            }
        });
    }
}

/// Of a ledger that ended unclean nobody can tell a last batch that was damaged from one that was never synced, nor a
/// record of MARK from one whose write was cut short.
#[test]
fn every_byte_of_a_ledger_that_was_killed() {
    let disk = three_segments(Model::default(), false);
    let noted = reader(&disk).verify().report.head;
    for segment in 1..=3 {
        let len = disk.contents(&name(segment)).len();
        (0..len).into_par_iter().for_each(|at| {
            let changed = with(&disk, &name(segment), |bytes| bytes[at] ^= 1 << (at % 8));
            let what = format!("segment {segment}, byte {at}");
            let slot = at.checked_sub(HEADER_LEN).map(|at| at / SLOT_LEN);
            // The last batch of three is in slots 3 to 5; behind it there are zeros.
            let Some(slot) = slot.filter(|&slot| segment == 3 && slot >= 3) else {
                let expected = (format!("sim/{}", name(segment)), slot.map(|slot| slot as u64));
                assert_eq!(found(&changed, &what), expected, "{what}");
                return;
            };
            match look(&changed) {
                Finding::Unfinished(bytes) => {
                    let end = if slot < SLOTS { slot_offset(SLOTS) } else { at + 1 };
                    assert_eq!(bytes, (end - slot_offset(slot)) as u64, "{what}");
                    assert!(slot == SLOTS || reader(&changed).verify().report.head != noted, "{what}");
                }
                _ => panic!("{what}: it looks like no torn tail"),
            }
        });
    }
    for at in 0..disk.contents("MARK").len() {
        let changed = with(&disk, "MARK", |bytes| bytes[at] ^= 1);
        assert!(matches!(look(&changed), Finding::Nothing(head) if head == noted), "MARK, byte {at}");
    }
}

/// Every byte of every entry and seal, by somebody who makes the checksum right again.
#[test]
fn every_byte_with_a_right_checksum() {
    for closed in [true, false] {
        let disk = three_segments(Model::default(), closed);
        for segment in 1..=3 {
            let slots = if closed || segment < 3 { SLOTS + 1 } else { SLOTS };
            (0..slots * SLOT_LEN).into_par_iter().filter(|at| at % SLOT_LEN >= 4).for_each(|at| {
                let (number, within) = (at / SLOT_LEN, at % SLOT_LEN);
                for bits in turned(at) {
                    let mut forged = slot(&disk, (segment, number));
                    forged[within] ^= bits;
                    with_right_checksum(&mut forged);
                    let what = format!("segment {segment}, entry {number}, byte {within}, bits {bits:02x}");
                    let forged = set_slot(&disk, (segment, number), &forged);
                    // A seal may be under a newer key than its entries: one that is not here is asked for.
                    let is_key_of_seal = number == SLOTS && (64..68).contains(&within);
                    let slot = (!is_key_of_seal).then_some(number as u64);
                    assert_eq!(found(&forged, &what), (format!("sim/{}", name(segment)), slot), "{what}");
                }
            });
        }
        (1..=3).into_par_iter().for_each(|segment| {
            for at in 0..HEADER_LEN - 4 {
                let forged = with(&disk, &name(segment), |bytes| {
                    bytes[at] ^= 1 << (at % 8);
                    let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
                    bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
                });
                let what = format!("segment {segment}, byte {at} of the header");
                assert_eq!(found(&forged, &what), (format!("sim/{}", name(segment)), None), "{what}");
            }
        });
    }
}

/// All slots of a ledger that hold an entry or a seal.
pub(crate) fn all_slots(closed: bool) -> Vec<(usize, usize)> {
    let slots = |segment| if closed || segment < 3 { SLOTS + 1 } else { SLOTS };
    (1..=3).flat_map(|segment| (0..slots(segment)).map(move |slot| (segment, slot))).collect()
}

/// What is read before the damage is what was written, and nothing is read over it.
#[test]
fn what_is_left_of_a_damaged_ledger_is_as_it_was() {
    let disk = three_segments(Model::default(), true);
    for (segment, at) in all_slots(true).into_iter().filter(|(_, at)| *at < SLOTS - 1) {
        let damaged = with(&disk, &name(segment), |bytes| bytes[slot_offset(at) + 70] ^= 1);
        let read = reader(&damaged);
        let mut last = 0;
        for placed in read.records() {
            let Ok(placed) = placed else { break };
            let Record::Inquiry(found) = placed.record else { panic!("there are no acts") };
            assert_eq!(found, entry(last), "segment {segment}, entry {at}");
            last += 1;
        }
        assert!(last < 16, "{last} entries were read over the damage");
    }
}
