//! From codes to entries over several lives of a ledger, and reading beside a running writer.

use std::sync::atomic::{AtomicBool, Ordering};

use ledger::sim::{Fault, SimDisk, Survival};
use ledger::{FindError, Ledger, LedgerKeys, Options, TrackingCode};

use crate::support::{LEDGER, Model, entry, keys, month, open, options, reader, segment_len};

#[test]
fn codes_resolve_over_clean_and_unclean_ends() {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let mut firsts = Vec::new();
    for life in 0..6 {
        let ledger = open(&disk).unwrap();
        model.append_each(&ledger, 7);
        firsts.push(model.acknowledged()[life * 7].sequence);
        model.check(&ledger, &disk).unwrap();
        if life % 2 == 0 {
            ledger.close().unwrap();
        }
    }
    // Opened 1, seven entries, closed 9, opened 10, seven entries, no close, opened 65,536 and so on.
    assert_eq!(firsts, [2, 11, 65_537, 65_546, 131_073, 131_082]);
    let report = reader(&disk).verify().report;
    assert_eq!((report.inquiries, report.openings, report.closings), (42, 6, 3));
    assert_eq!(report.sequences, Some((1, 131_088)));
    assert!(!report.closed);
}

#[test]
fn what_is_not_there_is_not_found() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let receipt = ledger.append(entry(1)).unwrap().wait().unwrap();
    drop(ledger);
    let ledger = open(&disk).unwrap();
    let reader = reader(&disk);
    let code = |sequence| reader.tracking_code(LEDGER, sequence);
    assert_eq!(code(receipt.sequence), receipt.tracking_code);
    // The marks of the openings, the gap, what is to come, and the far end.
    for sequence in [0, 1, 3, 65_535, 65_536, 65_537, 9_999_999_999] {
        assert_eq!(ledger.find(&code(sequence)).unwrap(), None, "sequence {sequence}");
        assert_eq!(reader.find(&code(sequence)).unwrap(), None, "sequence {sequence}");
    }
    let unknown_epoch = LedgerKeys::new(4, &[8; 32], 5, &[2; 32]).with_month(month("2026-10"), &[7; 32]);
    let other = SimDisk::new();
    Ledger::init(&other, LEDGER, &unknown_epoch).unwrap();
    let theirs = Ledger::open(&other, unknown_epoch.into(), options()).unwrap();
    let theirs = theirs.append(entry(1)).unwrap().wait().unwrap().tracking_code;
    assert_eq!(ledger.find(&theirs).unwrap(), None, "a key epoch that is not here");
}

#[test]
fn codes_of_another_ledger_say_which() {
    let (one, two) = (SimDisk::new(), SimDisk::new());
    let one = Ledger::open_or_init(&one, 1, keys(), options()).unwrap();
    let two = Ledger::open_or_init(&two, 2222, keys(), options()).unwrap();
    let code = two.append(entry(1)).unwrap().wait().unwrap().tracking_code;
    let error = one.find(&code).unwrap_err();
    assert!(matches!(error, FindError::OtherLedger { number: 2222 }));
    assert_eq!(error.to_string(), "the code belongs to ledger 2222: ask there");
}

#[test]
fn an_entry_is_found_only_once_it_is_durable() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    ledger.append(entry(0)).unwrap().wait().unwrap();
    disk.hold();
    let pending = ledger.append(entry(1)).unwrap();
    let code: TrackingCode = reader(&disk).tracking_code(LEDGER, pending.sequence());
    disk.wait_until_held();
    let found = ledger.find(&code);
    disk.release();
    assert_eq!(found.unwrap(), None);
    assert_eq!(pending.wait().unwrap().tracking_code, code);
    assert_eq!(ledger.find(&code).unwrap().unwrap().entry, entry(1));
}

/// New keys: old entries and codes stay readable, new ones are under the new keys, in one chain.
#[test]
fn keys_change_between_segments() {
    let disk = SimDisk::new();
    let old = open(&disk).unwrap().append(entry(1)).unwrap().wait().unwrap();
    let both = || {
        let new = LedgerKeys::new(4, &[3; 32], 6, &[4; 32]).with_month(month("2026-10"), &[7; 32]);
        new.with_tracking(3, &[1; 32]).with_ledger(5, &[2; 32])
    };
    let ledger = Ledger::open(&disk, both().into(), options()).unwrap();
    let new = ledger.append(entry(2)).unwrap().wait().unwrap();
    assert_eq!((old.tracking_code.key_epoch(), new.tracking_code.key_epoch()), (3, 4));
    assert_eq!(ledger.find(&old.tracking_code).unwrap().unwrap().entry, entry(1));
    assert_eq!(ledger.find(&new.tracking_code).unwrap().unwrap().entry, entry(2));
    drop(ledger);
    let error = open(&disk).err().unwrap().to_string();
    assert_eq!(error, "sim/segment-00000002.led needs ledger key 6: add it to the secrets file again");
}

/// Readers take no lock: whatever moment they look at, they see entries in order and no damage.
#[test]
fn verify_beside_a_running_writer() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..300 {
                let pending: Vec<_> =
                    (0..20).map(|n| ledger.append(entry(round * 20 + n)).unwrap()).collect();
                pending.into_iter().for_each(|pending| assert!(pending.wait().is_ok()));
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            let verified = reader(&disk).verify();
            assert!(verified.fault.is_none(), "{:?}", verified.fault);
            assert!(verified.report.entries >= seen);
            seen = verified.report.entries;
        }
    });
    assert_eq!(reader(&disk).verify().report.inquiries, 6000);
}

/// What a crash left is no damage to a reader, and it changes nothing.
#[test]
fn verify_of_a_crashed_ledger_reports_the_unfinished_rest() {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let options = Options { segment_len_min_bytes: segment_len(60), ..options() };
    let ledger = Ledger::open_or_init(&disk, LEDGER, keys(), options).unwrap();
    model.append_each(&ledger, 3);
    disk.hold();
    let first = model.append(&ledger).unwrap();
    disk.wait_until_held();
    let more: Vec<_> = (0..40).map(|_| model.append(&ledger).unwrap()).collect();
    // Write and sync of the first, and of the others: the power goes in that last sync.
    disk.set_fault(disk.steps() + 3, Fault::PowerCut);
    disk.release();
    assert!(first.wait().is_ok());
    more.into_iter().for_each(|pending| assert!(pending.wait().is_err()));
    let mut unfinished = 0;
    for seed in 0..20 {
        let left = disk.after_power_cut(Survival::Sectors, seed);
        let verified = reader(&left).verify();
        assert!(verified.fault.is_none(), "{:?}", verified.fault);
        unfinished += u32::from(verified.report.unfinished_bytes > 0);
        assert_eq!(left.steps(), 0, "nothing was changed");
    }
    assert!(unfinished > 5, "{unfinished} of 20 power cuts left something unfinished");
}

/// Neither messages nor `Debug` show a person ID.
#[test]
fn no_personal_data_in_debug() {
    let entry = entry(77);
    let person = entry.person.person().unwrap();
    let digits = person.reveal();
    assert!(!format!("{entry:?}").contains(&digits));
    assert!(format!("{entry:?}").contains("redacted"));
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    ledger.append(entry.clone()).unwrap().wait().unwrap();
    let bytes = disk.contents(crate::support::SEGMENT);
    let plain = person.to_u64().to_le_bytes();
    assert!(!bytes.windows(8).any(|window| window == plain), "the file holds the ID in clear");
}
