//! Bytes that changed on the disk: every one is noticed, the start stops with a message or, where it can
//! only be the last batch, moves the rest aside; nothing panics, and nothing wrong is given out.

use ledger::sim::SimDisk;
use ledger::{Found, LedgerReader, OpenError};

use crate::support::{HEADER_LEN, Model, SEGMENT, SLOT_LEN, entry, keys, open, reader, slot_offset};

/// Slots of a segment without a seal: opened; entry; four entries, which are one batch; entry; entry.
fn small_ledger() -> (SimDisk, Model) {
    ledger_of(Model::default())
}

fn ledger_of(mut model: Model) -> (SimDisk, Model) {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    model.append_batch(&ledger, &disk, 5);
    model.append_each(&ledger, 2);
    drop(ledger);
    assert_eq!(reader(&disk).verify().report.entries, 8);
    (disk, model)
}

/// The same, and a closing mark in slot 8, the seal in slot 9.
fn closed_ledger() -> (SimDisk, Model) {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let ledger = open(&disk).unwrap();
    model.append_batch(&ledger, &disk, 5);
    model.append_each(&ledger, 2);
    ledger.close().unwrap();
    assert_eq!(disk.contents(SEGMENT).len(), slot_offset(10), "cut to its seal's end");
    (disk, model)
}

fn with_byte_changed(disk: &SimDisk, at: usize) -> SimDisk {
    let changed = disk.after_kill();
    let mut bytes = changed.contents(SEGMENT);
    bytes[at] ^= 0x40;
    changed.replace(SEGMENT, bytes);
    changed
}

#[track_caller]
fn check_refused(disk: &SimDisk, expected: &str) {
    let before = disk.contents(SEGMENT);
    let error = open(disk).err().expect("the start stops").to_string();
    assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    assert!(error.contains("sim/"), "{error:?} names no file");
    assert_eq!(disk.contents(SEGMENT), before, "nothing was changed");
}

#[test]
fn every_byte_before_the_last_batch_stops_the_start() {
    let (disk, _) = small_ledger();
    for at in (0..HEADER_LEN).step_by(7).chain(0..48).chain(4070..HEADER_LEN) {
        check_refused(&with_byte_changed(&disk, at), "the file's header is wrong");
    }
    for at in HEADER_LEN..slot_offset(7) {
        let slot = (at - HEADER_LEN) / SLOT_LEN;
        let changed = with_byte_changed(&disk, at);
        check_refused(&changed, &format!("entry {slot} at byte {} is damaged", slot_offset(slot)));
        let verified = reader(&changed).verify();
        assert!(verified.fault.unwrap().to_string().contains(&format!("entry {slot} ")));
        assert_eq!(verified.report.entries, slot as u64, "what is before it is in order");
    }
}

/// What the mark does not tell of may be a torn tail; then the end counts as unclean.
#[test]
fn a_damaged_last_batch_is_moved_aside() {
    let (disk, model) = small_ledger();
    let last = model.acknowledged().last().unwrap().sequence;
    for at in slot_offset(7)..slot_offset(8) {
        let changed = with_byte_changed(&disk, at);
        let ledger = open(&changed).unwrap();
        let next = ledger.append(entry(0)).unwrap().sequence();
        assert!(last < 65_536 && next == 65_537, "goes on at {next}");
        assert!(changed.names().contains(&"torn-00000001-7-1.bin".to_owned()));
        assert_eq!(ledger.stats().torn_bytes, SLOT_LEN as u64);
    }
}

/// After a clean close nothing is a torn tail any more: closing mark and seal are told by the mark.
#[test]
fn a_damaged_end_of_a_closed_ledger_stops_the_start() {
    let (disk, _) = closed_ledger();
    for at in slot_offset(8)..slot_offset(9) {
        check_refused(
            &with_byte_changed(&disk, at),
            &format!("entry 8 at byte {} is damaged", slot_offset(8)),
        );
    }
    for at in slot_offset(9)..slot_offset(10) {
        let expected = "the entries end at entry 9, byte 5392, but 10 were acknowledged, up to sequence 9";
        check_refused(&with_byte_changed(&disk, at), expected);
    }
}

#[test]
fn every_truncation() {
    let (disk, model) = small_ledger();
    for len in (0..slot_offset(8)).rev().step_by(11) {
        let cut = disk.after_kill();
        let mut bytes = cut.contents(SEGMENT);
        bytes.truncate(len);
        cut.replace(SEGMENT, bytes);
        if len < HEADER_LEN {
            check_refused(&cut, "the file is too short");
            continue;
        }
        if len < slot_offset(1) {
            check_refused(&cut, "the entries end at entry 0, byte 4096, but 1 were acknowledged");
            continue;
        }
        // What came after the mark does not show; what is left must hold and nothing be made up.
        let ledger = open(&cut).unwrap();
        for found in reader(&cut).entries() {
            let sequence = found.unwrap().sequence;
            assert!(model.acknowledged().iter().any(|receipt| receipt.sequence == sequence));
        }
        assert!(ledger.append(entry(0)).unwrap().sequence() > 65_536);
    }
}

#[test]
fn every_truncation_of_a_closed_ledger() {
    let (disk, _) = closed_ledger();
    for len in 0..slot_offset(10) {
        let cut = disk.after_kill();
        let mut bytes = cut.contents(SEGMENT);
        bytes.truncate(len);
        cut.replace(SEGMENT, bytes);
        let entries = len.saturating_sub(HEADER_LEN) / SLOT_LEN;
        match len {
            ..HEADER_LEN => check_refused(&cut, "the file is too short"),
            _ => check_refused(
                &cut,
                &format!("the entries end at entry {entries}, byte {}", slot_offset(entries)),
            ),
        }
    }
}

/// Entries that are whole but not the ones that were written here: exchanged, taken out, of another ledger.
#[test]
fn whole_entries_in_the_wrong_place() {
    let (disk, _) = small_ledger();
    let slots = |bytes: &[u8]| bytes[HEADER_LEN..].to_vec();
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        let changed = disk.after_kill();
        let bytes = changed.contents(SEGMENT);
        let mut after = slots(&bytes);
        change(&mut after);
        changed.replace(SEGMENT, [&bytes[..HEADER_LEN], &after[..]].concat());
        changed
    };
    let taken_out = change(&|slots| drop(slots.drain(6 * SLOT_LEN..7 * SLOT_LEN)));
    check_refused(&taken_out, "entry 6 at byte 4960 is damaged: its sequence 8 does not follow 6");
    let taken_out_of_batch = change(&|slots| drop(slots.drain(3 * SLOT_LEN..4 * SLOT_LEN)));
    check_refused(&taken_out_of_batch, "its place in its batch does not follow");
    let doubled = change(&|slots| slots.copy_within(SLOT_LEN..2 * SLOT_LEN, 2 * SLOT_LEN));
    check_refused(&doubled, "its sequence 2 does not follow 2");
    let last_removed = change(&|slots| slots[7 * SLOT_LEN..8 * SLOT_LEN].fill(0));
    assert!(open(&last_removed).is_ok(), "what came after the mark does not show");

    // An entry with the right sequence, under the right keys, from a ledger with other entries.
    let (other, _) = ledger_of(Model::beginning_with(100));
    let theirs = slots(&other.contents(SEGMENT));
    let spliced = change(&|slots| slots[7 * SLOT_LEN..].copy_from_slice(&theirs[7 * SLOT_LEN..]));
    check_refused(&spliced, "entry 7 at byte 5104 is damaged: its chain tag is wrong");
}

/// An entry changed by somebody who knows the format, but not the key.
#[test]
fn a_forged_entry_with_a_right_checksum() {
    let (disk, model) = small_ledger();
    for slot in 0..8 {
        let forged = disk.after_kill();
        let mut bytes = forged.contents(SEGMENT);
        let at = slot_offset(slot);
        bytes[at + 16] ^= 1;
        let crc = crc32c::crc32c(&bytes[at + 4..at + SLOT_LEN]);
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        forged.replace(SEGMENT, bytes);
        check_refused(&forged, &format!("entry {slot} at byte {at} is damaged: its chain tag is wrong"));
        if let Some(receipt) = model.acknowledged().iter().find(|receipt| receipt.sequence == slot as u64 + 1)
        {
            let found: Result<Option<Found>, _> = reader(&forged).find(&receipt.tracking_code);
            assert!(found.unwrap_err().to_string().contains("its chain tag is wrong"));
        }
    }
}

#[test]
fn bytes_far_behind_the_end_are_no_torn_tail() {
    let (disk, _) = small_ledger();
    let mut bytes = disk.contents(SEGMENT);
    bytes.resize(slot_offset(8 + 4096) + 200, 0);
    let far = slot_offset(8 + 4096);
    bytes[far] = 1;
    disk.replace(SEGMENT, bytes.clone());
    check_refused(&disk, "entry 8 at byte 5248 is damaged");
    bytes[far] = 0;
    bytes[far - 1] = 1;
    disk.replace(SEGMENT, bytes);
    assert!(open(&disk).is_ok(), "as far as one batch reaches it may be a torn tail");
}

#[test]
fn wrong_and_missing_keys() {
    let (disk, _) = small_ledger();
    let other = std::sync::Arc::new(ledger::LedgerKeys::new(3, &[1; 32], 5, &[9; 32]));
    let error = LedgerReader::open(&disk, other).err().unwrap();
    assert!(matches!(error, OpenError::WrongKey { key_id: 5, .. }));
    let newer = ledger::LedgerKeys::new(3, &[1; 32], 6, &[9; 32]);
    let error = LedgerReader::open(&disk, std::sync::Arc::new(newer)).err().unwrap().to_string();
    assert_eq!(error, "sim/segment-00000001.led needs ledger key 5: add it to the secrets file again");
    assert!(LedgerReader::open(&disk, keys()).is_ok());
}
