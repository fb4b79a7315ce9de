//! Retention: which segments may go, that evidence of it comes first, and that the power may fail at every step of it.

use std::collections::BTreeSet;

use ledger::sim::{Fault, SimDisk};
use ledger::{Act, Deed, Entry, Ledger, ProviderId, PruneError, Receipt, Record, prunable};

use crate::days::{DAY_MS, SURVIVALS, copy, lives, open_on, reader};
use crate::support::NOW_MS;

fn actor() -> ProviderId {
    ProviderId::parse("uid-0").unwrap()
}

/// The last segment that may go.
fn last_prunable(disk: &SimDisk, keep_days: u32, now_ms: u64) -> Option<u32> {
    prunable(reader(disk).segments(), keep_days, now_ms).last().map(|info| info.number)
}

fn acts(disk: &SimDisk) -> Vec<Act> {
    let records = reader(disk).records().map(Result::unwrap).map(|placed| placed.record).collect::<Vec<_>>();
    let act = |record| if let Record::Act(act) = record { Some(act) } else { None };
    records.into_iter().filter_map(act).collect()
}

#[test]
fn segments_go_once_all_of_their_entries_are_old_enough() {
    // Two segments a day: 1 and 2 on day 0, 3 and 4 on day 1, 5 and 6 on day 5, 7 and 8 on day 9.
    let (disk, _) = lives(&[0, 1, 5, 9]);
    assert_eq!(reader(&disk).segments().len(), 8);
    let now_ms = NOW_MS + 9 * DAY_MS;
    for (keep_days, last) in
        [(0, Some(6)), (3, Some(6)), (4, Some(4)), (7, Some(4)), (8, Some(2)), (9, None), (u32::MAX, None)]
    {
        assert_eq!(last_prunable(&disk, keep_days, now_ms), last, "{keep_days} days");
    }
    // A clock that runs ahead prunes nothing more, one that is behind less.
    assert_eq!(last_prunable(&disk, 4, now_ms + 1_000 * DAY_MS), Some(4));
    assert_eq!(last_prunable(&disk, 4, u64::MAX), Some(4));
    assert_eq!(last_prunable(&disk, 4, NOW_MS + 5 * DAY_MS), Some(2));
    assert_eq!(last_prunable(&disk, 0, 0), None);
    assert!(prunable(&[], 0, now_ms).is_empty());
}

/// A segment with one late entry keeps all that follow it: the chain has no holes.
#[test]
fn only_a_beginning_goes() {
    let (disk, _) = lives(&[5, 0, 1, 9]);
    assert_eq!(last_prunable(&disk, 6, NOW_MS + 9 * DAY_MS), None);
    assert_eq!(last_prunable(&disk, 3, NOW_MS + 9 * DAY_MS), Some(6));
}

#[test]
fn what_is_pruned_is_gone_and_the_rest_is_in_order() {
    let (disk, written) = lives(&[0, 1, 5]);
    let before = reader(&disk).verify().report;
    let ledger = open_on(&disk, 9).unwrap();
    let entries: u64 = ledger.segments()[..4].iter().map(|info| info.entries).sum();
    let pruned = ledger.prune(Some(4), actor()).unwrap();
    assert_eq!((pruned.segments, pruned.entries, pruned.last_segment), (4, entries, Some(4)));
    check_pruned(&ledger, &written);
    ledger.close().unwrap();
    drop(ledger);
    let verified = reader(&disk).verify();
    assert!(verified.fault.is_none());
    assert_eq!(verified.report.pruned, entries);
    assert_eq!(verified.report.entries, before.entries - entries + 3, "opened, prune, closed");
    let deed = Deed::Prune { segment: 4, entries };
    assert_eq!(acts(&disk), [Act { time_ms: NOW_MS + 9 * DAY_MS, actor: actor(), deed }]);
    // It goes on as before, and prunes on.
    let ledger = open_on(&disk, 9).unwrap();
    assert_eq!(ledger.prune(Some(6), actor()).unwrap().segments, 2);
    ledger.close().unwrap();
    drop(ledger);
    assert!(reader(&disk).verify().fault.is_none());
    let left: BTreeSet<u32> = reader(&disk).segments().iter().map(|info| info.number).collect();
    assert_eq!(left, (7..=8).collect());
}

/// The open ledger after its first four segments were pruned, which are two days.
fn check_pruned(ledger: &Ledger, written: &[(Receipt, Entry)]) {
    for (at, (receipt, entry)) in written.iter().enumerate() {
        let found = ledger.find(&receipt.tracking_code).unwrap();
        assert_eq!(found.map(|found| found.entry), (at >= 28).then(|| entry.clone()), "entry {at}");
    }
}

#[test]
fn only_a_sealed_segment_is_pruned() {
    let (disk, _) = lives(&[0]);
    let ledger = open_on(&disk, 9).unwrap();
    for segment in [0, 3, 99] {
        let error = ledger.prune(Some(segment), actor()).unwrap_err();
        assert!(matches!(error, PruneError::NotSealed { segment: told } if told == segment));
    }
    ledger.close().unwrap();
    let error = ledger.prune(Some(1), actor()).unwrap_err().to_string();
    assert!(error.contains("was not written, and nothing was pruned: the ledger is closed"), "{error}");
    drop(ledger);
    assert!(acts(&disk).is_empty());
    assert_eq!(reader(&disk).segments().len(), 3);
}

#[test]
fn everything_sealed_may_go() {
    let (disk, _) = lives(&[0, 1]);
    let last = {
        let ledger = open_on(&disk, 9).unwrap();
        ledger.prune(Some(4), actor()).unwrap();
        ledger.append(crate::support::entry(1)).unwrap().sequence()
    };
    // It was dropped, as if killed.
    let ledger = open_on(&disk, 9).unwrap();
    let next = ledger.append(crate::support::entry(1)).unwrap().sequence();
    assert!(next > last, "{next} was given out before");
}

/// A pruning until the power goes at a step; whether it was acknowledged.
fn prune_until(disk: &SimDisk, step: u64) -> bool {
    let Ok(ledger) = open_on(disk, 9) else { return false };
    let steps = disk.steps();
    disk.set_fault(steps + step, Fault::PowerCut);
    ledger.prune(Some(4), actor()).is_ok()
}

#[test]
fn power_cut_at_every_step_of_a_pruning() {
    let (before, written) = lives(&[0, 1, 5]);
    let indexed = copy(&before);
    for number in 1..=6 {
        drop(ledger::Disk::create_new(&indexed, &format!("segment-{number:08}.idx")).unwrap());
    }
    let indexed = copy(&indexed);
    let mut cuts = 0;
    for step in 0.. {
        let disk = copy(&indexed);
        if prune_until(&disk, step) {
            break;
        }
        cuts += 1;
        for survival in SURVIVALS {
            for seed in 0..4 {
                let left = disk.after_power_cut(survival, seed);
                check_after_cut(&left, &written, &format!("step {step}, {survival:?}, seed {seed}"));
            }
        }
    }
    // Write and sync of the act; PRUNED in five steps; four segments and four indexes; the folder.
    assert!(cuts >= 16, "only {cuts} steps");
}

fn check_after_cut(disk: &SimDisk, written: &[(Receipt, Entry)], what: &str) {
    let ledger = open_on(disk, 9).unwrap_or_else(|error| panic!("{what}: {error}"));
    let is_pruned = ledger.segments().first().unwrap().number == 5;
    for (at, (receipt, entry)) in written.iter().enumerate() {
        let found = ledger.find(&receipt.tracking_code).unwrap().map(|found| found.entry);
        let expected = (!is_pruned || at >= 28).then(|| entry.clone());
        assert_eq!(found, expected, "{what}: entry {at}");
    }
    let fault = reader(disk).verify().fault;
    assert!(fault.is_none(), "{what}: {fault:?}");
    if is_pruned {
        assert_eq!(acts(disk).len(), 1, "{what}: pruned without an entry that says so");
    } else {
        ledger.prune(Some(4), actor()).unwrap();
    }
    ledger.prune(None, actor()).unwrap();
    let old = |name: &String| name.starts_with("segment-") && ("segment-00000005" > name.as_str());
    let stays: Vec<String> = disk.names().into_iter().filter(old).collect();
    assert_eq!(stays, Vec::<String>::new(), "{what}");
    assert!(disk.names().contains(&"segment-00000005.idx".to_owned()), "{what}");
    ledger.close().unwrap();
    drop(ledger);
    assert!(reader(disk).verify().fault.is_none(), "{what}");
}
