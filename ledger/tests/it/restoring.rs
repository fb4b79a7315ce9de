//! Restoring into a new folder under a new number: what arrives is checked, the power may fail at every step, and no
//! sequence or number is used again.

use std::sync::Arc;

use ledger::sim::{Fault, SimDisk};
use ledger::{
    Disk, Entry, FindError, FolderSource, Ledger, LedgerKeys, OpenError, Receipt, RestoreError, RestorePlan,
    Restored, restore,
};

use crate::days::{SURVIVALS, copy, entry_on, lives, on_day, open_on, reader};
use crate::support::{LEDGER, keys, month};

const NEW: u16 = 8;
const PLAN: RestorePlan = RestorePlan { number: NEW, last_segment: None };

fn restore_all(to: &SimDisk, from: &SimDisk, plan: RestorePlan) -> Result<Restored, RestoreError> {
    let source = FolderSource::open(from, &keys())?;
    restore(to, &source, plan, &keys(), &|_| ())
}

/// The files of sealed segments alone, as they are shipped.
fn shipped(from: &SimDisk) -> SimDisk {
    let disk = copy(from);
    for name in disk.names().iter().filter(|name| !name.ends_with(".led") && *name != "PRUNED") {
        SimDisk::remove(&disk, name);
    }
    disk
}

/// Opens what was restored, and holds it to all that was written before.
#[track_caller]
fn check(disk: &SimDisk, written: &[(Receipt, Entry)], what: &str) {
    let ledger = Ledger::open(disk, keys(), on_day(9)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(ledger.number(), NEW, "{what}");
    for (receipt, entry) in written {
        let found = ledger.find(&receipt.tracking_code).unwrap().map(|found| (found.ledger, found.entry));
        assert_eq!(found, Some((LEDGER, entry.clone())), "{what}");
    }
    let receipt = ledger.append(entry_on(9, 7)).unwrap().wait().unwrap();
    assert_eq!(receipt.sequence, 2, "{what}: a new ledger's sequences begin anew, after the opening");
    let found = ledger.find(&receipt.tracking_code).unwrap().unwrap();
    assert_eq!((found.ledger, found.sequence), (NEW, 2), "{what}");
    ledger.close().unwrap();
    drop(ledger);
    let verified = reader(disk).verify();
    assert!(verified.fault.is_none(), "{what}: {:?}", verified.fault);
    let codes = [&written[0].0.tracking_code, &receipt.tracking_code];
    for code in codes {
        assert!(reader(disk).find(code).unwrap().is_some(), "{what}");
    }
    assert!(!disk.names().iter().any(|name| name == "RESTORING"), "{what}");
}

#[test]
fn a_closed_ledger_comes_back_under_another_number() {
    let (from, written) = lives(&[0, 1]);
    for source in [copy(&from), shipped(&from)] {
        let to = SimDisk::new();
        let restored = restore_all(&to, &source, PLAN).unwrap();
        let last = reader(&from).segments().last().unwrap().clone();
        assert_eq!((restored.segments, restored.brought_before, restored.last_segment), (4, 0, 4));
        assert_eq!((restored.end, restored.digest), ((LEDGER, last.last_sequence), Some(last.digest)));
        assert_eq!(restored.entries, reader(&from).verify().report.entries);
        assert_eq!(reader(&to).number(), NEW);
        assert!(reader(&to).verify().fault.is_none());
        check(&to, &written, "restored");
    }
}

/// The copy of a ledger that was not closed: its last segment has no seal, and may have a torn tail.
#[test]
fn an_unclean_copy_comes_back_with_its_last_entries() {
    let (from, mut written) = lives(&[0]);
    let ledger = open_on(&from, 1).unwrap();
    for n in 0..3 {
        let entry = entry_on(1, n);
        written.push((ledger.append(entry.clone()).unwrap().wait().unwrap(), entry));
    }
    let torn = copy(&from);
    let name = "segment-00000003.led";
    let mut bytes = torn.contents(name);
    bytes[4096 + 4 * 144 + 50] = 7; // In the slot behind the last entry.
    torn.replace(name, bytes);
    for source in [copy(&from), torn] {
        let to = SimDisk::new();
        let restored = restore_all(&to, &source, PLAN).unwrap();
        assert_eq!((restored.segments, restored.entries, restored.digest), (3, 16 + 4, None));
        check(&to, &written, "unclean");
    }
    // From a place for sealed segments it is not taken.
    let error = restore_all(&SimDisk::new(), &shipped(&from), PLAN).unwrap_err();
    assert!(error.to_string().starts_with("sim/segment-00000003.led has no seal"), "{error}");
    let up_to = RestorePlan { last_segment: Some(2), ..PLAN };
    let to = SimDisk::new();
    assert_eq!(restore_all(&to, &shipped(&from), up_to).unwrap().segments, 2);
    check(&to, &written[..14], "sealed alone");
}

/// Of an opening that was cut short nothing is brought.
#[test]
fn a_segment_without_entries_is_left_out() {
    let (from, written) = lives(&[0]);
    let ledger = open_on(&from, 1).unwrap();
    drop(ledger);
    let name = "segment-00000003.led";
    let mut bytes = from.contents(name);
    bytes[4096..].fill(0);
    from.replace(name, bytes);
    // The mark was written before that opening.
    let (earlier, _) = lives(&[0]);
    from.replace("MARK", earlier.contents("MARK"));
    let to = SimDisk::new();
    let restored = restore_all(&to, &from, PLAN).unwrap();
    assert_eq!((restored.segments, restored.last_segment), (2, 2));
    check(&to, &written, "without the empty one");
}

#[test]
fn a_restored_ledger_is_restored_again() {
    let (from, written) = lives(&[0]);
    let (middle, to) = (SimDisk::new(), SimDisk::new());
    restore_all(&middle, &from, RestorePlan { number: 9, ..PLAN }).unwrap();
    let ledger = Ledger::open(&middle, keys(), on_day(5)).unwrap();
    let entry = entry_on(5, 1);
    let receipt = ledger.append(entry.clone()).unwrap().wait().unwrap();
    ledger.close().unwrap();
    drop(ledger);
    for number in [LEDGER, 9] {
        let error = restore_all(&SimDisk::new(), &middle, RestorePlan { number, ..PLAN }).unwrap_err();
        assert!(matches!(error, RestoreError::SameNumber { number: told } if told == number), "{error}");
    }
    restore_all(&to, &middle, PLAN).unwrap();
    let found = reader(&to).find(&receipt.tracking_code).unwrap().unwrap();
    assert_eq!((found.ledger, found.entry), (9, entry));
    check(&to, &written, "twice");
}

#[test]
fn a_pruned_ledger_comes_back_from_where_it_begins() {
    let (from, written) = lives(&[0, 1, 5]);
    let complete = shipped(&from);
    let ledger = open_on(&from, 9).unwrap();
    let actor = ledger::ProviderId::parse("uid-0").unwrap();
    ledger.prune(Some(4), actor).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    for source in [copy(&from), shipped(&from)] {
        let to = SimDisk::new();
        assert_eq!(restore_all(&to, &source, PLAN).unwrap().segments, 3);
        check(&to, &written[28..], "pruned");
        let pruned = reader(&to).verify().report.pruned;
        assert_eq!(pruned, reader(&from).verify().report.pruned);
        assert!(reader(&to).find(&written[0].0.tracking_code).unwrap().is_none());
    }
    // Without PRUNED nobody says that the beginning was meant to go.
    let headless = shipped(&from);
    SimDisk::remove(&headless, "PRUNED");
    let error = restore_all(&SimDisk::new(), &headless, PLAN).unwrap_err().to_string();
    assert!(error.starts_with("sim/segment-00000004.led is not there, and the chain needs it"), "{error}");
    // An archive may have more than the ledger itself.
    let to = SimDisk::new();
    assert_eq!(restore_all(&to, &complete, PLAN).unwrap().segments, 6);
    check(&to, &written, "archive");
}

#[track_caller]
fn refused(to: &SimDisk, from: &SimDisk, plan: RestorePlan, text: &str) {
    let error = restore_all(to, from, plan).unwrap_err().to_string();
    assert!(error.contains(text), "{error}");
}

#[test]
fn what_is_not_in_order_is_not_restored() {
    let (from, written) = lives(&[0, 1]);
    let plan = |number| RestorePlan { number, ..PLAN };
    refused(&SimDisk::new(), &from, plan(LEDGER), "another number, which no ledger has or had");
    for number in [0, 10_000] {
        refused(&SimDisk::new(), &from, plan(number), "is no ledger number: take one from 1 to 9999");
    }
    refused(&SimDisk::new(), &SimDisk::new(), PLAN, "there is no segment with entries to restore");
    refused(
        &SimDisk::new(),
        &from,
        RestorePlan { last_segment: Some(9), ..PLAN },
        "segment-00000009.led is not there",
    );
    for number in [1, 2, 3] {
        let gap = shipped(&from);
        SimDisk::remove(&gap, &format!("segment-{number:08}.led"));
        refused(
            &SimDisk::new(),
            &gap,
            PLAN,
            &format!("segment-{number:08}.led is not there, and the chain needs it"),
        );
    }
    // Segments of another ledger, and in another order.
    let (other, _) = lives(&[1, 5]);
    let mixed = shipped(&from);
    mixed.replace("segment-00000003.led", other.contents("segment-00000003.led"));
    refused(&SimDisk::new(), &mixed, PLAN, "it does not follow segment 2");
    mixed.replace("segment-00000003.led", from.contents("segment-00000004.led"));
    refused(&SimDisk::new(), &mixed, PLAN, "it is segment 4");
    // Into a folder that is something already.
    let (to, _) = lives(&[0]);
    refused(&to, &from, PLAN, "says this is ledger 7 already");
    let to = SimDisk::new();
    drop(to.create_new("notes.txt").unwrap());
    refused(&to, &from, PLAN, "notes.txt is no part of a ledger");
    refused(&shipped(&from), &from, PLAN, "segment-00000001.led is no part of a ledger");
    // Under other keys.
    let other = Arc::new(LedgerKeys::new(3, &[1; 32], 5, &[9; 32]).with_month(month("2026-10"), &[7; 32]));
    let source = FolderSource::sealed_only(&from);
    let error = restore(&SimDisk::new(), &source, PLAN, &other, &|_| ()).unwrap_err().to_string();
    assert!(error.contains("use the right secrets file"), "{error}");
    check_flips(&from, &written);
}

/// Every byte of a segment in the middle counts: in steps that meet each field.
fn check_flips(from: &SimDisk, written: &[(Receipt, Entry)]) {
    let name = "segment-00000002.led";
    let whole = from.contents(name);
    let to = SimDisk::new();
    for at in (0..whole.len()).step_by(31).chain(whole.len() - 144..whole.len()) {
        let flipped = shipped(from);
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        flipped.replace(name, bytes);
        let error = restore_all(&to, &flipped, PLAN).unwrap_err();
        assert!(error.to_string().contains(name), "byte {at}: {error}");
        assert!(!to.names().contains(&name.to_owned()), "byte {at}: it was left there");
    }
    // The next try, from a good copy, goes on with what had come.
    let restored = restore_all(&to, from, PLAN).unwrap();
    assert_eq!((restored.segments, restored.brought_before), (4, 1));
    check(&to, written, "after all those");
}

#[test]
fn a_restore_that_was_cut_short_is_told_and_goes_on_only_as_it_was() {
    let (from, written) = lives(&[0, 1]);
    let to = SimDisk::new();
    to.set_fault(14, Fault::PowerCut);
    assert!(restore_all(&to, &from, PLAN).is_err());
    let to = to.after_power_cut(ledger::sim::Survival::Everything, 0);
    let error = Ledger::open_or_init(&to, 1, keys(), on_day(9)).err().unwrap().to_string();
    assert!(error.contains("RESTORING says that a restore into this folder was cut short"), "{error}");
    let error = ledger::LedgerReader::open(&to, keys()).err().unwrap();
    assert!(matches!(error, OpenError::NotInitialised { .. }), "{error}");
    refused(&to, &from, RestorePlan { number: 9, ..PLAN }, "a restore under another number was begun here");
    // From a source with fewer segments what is beyond them goes.
    restore_all(&to, &from, RestorePlan { last_segment: Some(1), ..PLAN }).unwrap();
    assert_eq!(reader(&to).segments().len(), 1);
    let error = reader(&to).find(&written[0].0.tracking_code);
    assert!(!matches!(error, Err(FindError::OtherLedger { .. })));
    check(&to, &written[..11], "the first segment");
}

#[test]
fn power_cut_at_every_step_of_a_restore() {
    let (closed, written) = lives(&[0, 1]);
    let pruned = copy(&closed);
    let ledger = open_on(&pruned, 9).unwrap();
    ledger.prune(Some(2), ledger::ProviderId::parse("uid-0").unwrap()).unwrap();
    drop(ledger); // Not closed: with a last segment that has no seal.
    for (from, written) in [(&closed, &written[..]), (&copy(&pruned), &written[14..])] {
        let mut cuts = 0;
        for step in 0.. {
            let to = SimDisk::new();
            to.set_fault(step, Fault::PowerCut);
            if restore_all(&to, from, PLAN).is_ok() {
                break;
            }
            cuts += 1;
            for survival in SURVIVALS {
                for seed in 0..3 {
                    let left = to.after_power_cut(survival, seed);
                    check_after_cut(&left, from, written, &format!("step {step}, {survival:?}, seed {seed}"));
                }
            }
        }
        assert!(cuts > 25, "only {cuts} steps");
    }
}

/// What a cut left is no ledger yet or a whole one; the same command makes it whole.
fn check_after_cut(left: &SimDisk, from: &SimDisk, written: &[(Receipt, Entry)], what: &str) {
    match ledger::LedgerReader::open(left, keys()) {
        Ok(reader) => {
            let verified = reader.verify();
            assert!(verified.fault.is_none(), "{what}: {:?}", verified.fault);
            let entries = ledger::LedgerReader::open(from, keys()).unwrap().verify().report.entries;
            assert_eq!(verified.report.entries, entries, "{what}: a ledger with a part of its entries");
        }
        Err(OpenError::NotInitialised { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
    }
    match restore_all(left, from, PLAN) {
        Ok(_) => {}
        // All was done but the answer.
        Err(RestoreError::Init(ledger::InitError::AlreadyInitialised { existing: NEW, .. })) => {}
        Err(error) => panic!("{what}: {error}"),
    }
    check(left, written, what);
}
