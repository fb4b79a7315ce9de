//! Whole entries and segments of a ledger in the wrong place: every pair of entries exchanged, entries put in and taken
//! out, segments removed, exchanged, and cut off anywhere. See `evidence` for the ledger.

use ledger::Ledger;
use ledger::sim::SimDisk;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::evidence::{
    Finding, SLOTS, all_slots, check_found, found, look, name, set_slot, slot, three_segments, with,
    with_right_checksum,
};
use crate::support::{HEADER_LEN, LEDGER, Model, SLOT_LEN, keys, open, reader, slot_offset};

#[test]
fn every_pair_of_entries_exchanged() {
    for closed in [true, false] {
        let disk = three_segments(Model::default(), closed);
        let slots = all_slots(closed);
        let pairs = slots.iter().enumerate().flat_map(|(at, &one)| {
            slots[at + 1..].iter().map(move |&other| (one, other)).collect::<Vec<_>>()
        });
        let pairs: Vec<_> = pairs.collect();
        assert_eq!(pairs.len(), slots.len() * (slots.len() - 1) / 2);
        pairs.into_par_iter().for_each(|(one, other)| {
            let exchanged = set_slot(&disk, one, &slot(&disk, other));
            let exchanged = set_slot(&exchanged, other, &slot(&disk, one));
            let what = format!("{one:?} and {other:?}, closed: {closed}");
            let place = found(&exchanged, &what);
            let places =
                [one, other].map(|(segment, slot)| (format!("sim/{}", name(segment)), Some(slot as u64)));
            assert!(places.contains(&place), "{what}: found at {place:?}");
            if one.0 == other.0 {
                assert_eq!(place, places[0], "{what}: within a segment the first of them shows");
            }
        });
    }
}

/// An entry of this ledger or of another one under the same keys, put in at every place, as it is or with the sequence
/// that it should have there, and those behind it with theirs; and every entry taken out.
#[test]
fn every_entry_put_in_and_taken_out() {
    let other = three_segments(Model::beginning_with(100), true);
    for closed in [true, false] {
        let disk = three_segments(Model::default(), closed);
        for (segment, at) in all_slots(closed) {
            // The two begin alike: the same opening, and behind it either first entry has a right tag.
            let foreign = slot(&other, (segment, at.clamp(2, SLOTS - 1)));
            for (inserted, renumber) in
                [(slot(&disk, (1, 3)), false), (foreign.clone(), false), (foreign, true)]
            {
                if (segment, at) == (1, 3) && inserted == slot(&disk, (1, 3)) {
                    continue; // The same twice: it shows at the second one.
                }
                let changed = with(&disk, &name(segment), |bytes| {
                    drop(bytes.splice(slot_offset(at)..slot_offset(at), inserted));
                    if renumber {
                        renumber_from(&mut bytes[HEADER_LEN..], at);
                    }
                });
                check_found(&changed, segment, at, &format!("put in at {segment}, {at}, closed: {closed}"));
            }
            let taken_out = with(&disk, &name(segment), |bytes| {
                drop(bytes.drain(slot_offset(at)..slot_offset(at + 1)));
            });
            let what = format!("taken out at {segment}, {at}, closed: {closed}");
            if !closed && (segment, at) == (3, SLOTS - 1) {
                assert!(matches!(look(&taken_out), Finding::Nothing(_)), "{what}: as if never synced");
            } else {
                check_found(&taken_out, segment, at, &what);
            }
        }
    }
}

/// Gives the slots from `first` on the sequences that follow the one before, and right checksums.
fn renumber_from(slots: &mut [u8], first: usize) {
    let sequence = |slot: &[u8]| u64::from_le_bytes(slot[8..16].try_into().unwrap());
    let next = match first.checked_sub(1) {
        Some(before) => sequence(&slots[before * SLOT_LEN..]) + 1,
        None => sequence(&slots[SLOT_LEN..]),
    };
    let behind = slots.chunks_exact_mut(SLOT_LEN).skip(first);
    for (slot, sequence) in behind.filter(|slot| slot.iter().any(|&byte| byte != 0)).zip(next..) {
        slot[8..16].copy_from_slice(&sequence.to_le_bytes());
        with_right_checksum(slot);
    }
}

#[test]
fn every_segment_removed_and_exchanged() {
    let other_entries = three_segments(Model::beginning_with(100), true);
    let other_number = SimDisk::new();
    Ledger::init(&other_number, LEDGER + 1, &keys()).unwrap();
    drop(open(&other_number).unwrap());
    for closed in [true, false] {
        let disk = three_segments(Model::default(), closed);
        for segment in 1..=3 {
            let removed = disk.after_kill();
            removed.remove(&name(segment));
            let expected = (format!("sim/{}", name(segment)), None);
            assert_eq!(found(&removed, "removed"), expected);
            let error = open(&removed).err().unwrap().to_string();
            assert!(
                error.contains("is not there, though the rest of the ledger says that it was"),
                "{error}"
            );
            // Of another ledger under the same keys: with the same number it does not fit its neighbours.
            let theirs = other_entries.contents(&name(segment));
            let exchanged = with(&disk, &name(segment), |bytes| *bytes = theirs);
            let late = name(segment.max(2));
            assert_eq!(found(&exchanged, "exchanged"), (format!("sim/{late}"), None));
            let error = open(&exchanged).err().unwrap().to_string();
            let text = format!("it does not follow segment {}", segment.max(2) - 1);
            assert!(error.contains(&text), "{error}");
            let theirs = other_number.contents(&name(1));
            let exchanged = with(&disk, &name(segment), |bytes| *bytes = theirs);
            assert_eq!(found(&exchanged, "of another number"), expected);
            let error = open(&exchanged).err().unwrap().to_string();
            assert!(error.contains("it belongs to ledger 8, the folder to ledger 7"), "{error}");
            // And of this one, in another order.
            for with_number in (1..=3).filter(|&number| number != segment) {
                let theirs = disk.contents(&name(with_number));
                let exchanged = with(&disk, &name(segment), |bytes| *bytes = theirs);
                assert_eq!(found(&exchanged, "in another order"), expected);
                let error = open(&exchanged).err().unwrap().to_string();
                assert!(error.contains(&format!("it is segment {with_number}")), "{error}");
            }
        }
    }
}

#[test]
fn every_truncation_of_every_segment() {
    for closed in [true, false] {
        let disk = three_segments(Model::default(), closed);
        let noted = reader(&disk).verify().report.head;
        for segment in 1..=3 {
            for len in 0..disk.contents(&name(segment)).len() {
                let cut = with(&disk, &name(segment), |bytes| bytes.truncate(len));
                let what = format!("segment {segment} cut to {len} bytes, closed: {closed}");
                let Some(left) = len.checked_sub(HEADER_LEN).map(|left| left / SLOT_LEN) else {
                    assert_eq!(found(&cut, &what), (format!("sim/{}", name(segment)), None), "{what}");
                    continue;
                };
                if closed || segment < 3 {
                    check_found(&cut, segment, left, &what);
                    continue;
                }
                // What the mark does not tell of goes without a trace in the folder; the noted head tells.
                let is_silent = matches!(look(&cut), Finding::Nothing(_) | Finding::Unfinished(_));
                assert!(is_silent, "{what}: the mark told of the beginning only");
                assert_eq!(reader(&cut).verify().report.head == noted, left >= SLOTS, "{what}");
            }
        }
    }
}
