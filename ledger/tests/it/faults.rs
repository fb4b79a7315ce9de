//! Writes and syncs that fail, disks that fill up, queues that do: the entry is refused, the ledger takes
//! nothing more until it is opened again, and then all that was acknowledged is there.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ledger::sim::{Fault, SimDisk, Survival};
use ledger::{AppendError, Ledger, Pending};

use crate::support::{Model, entry, keys, open, options, reader, segment_len};

/// Appends until something fails, and checks that it has failed for good; false when nothing did.
fn append_until_failed(ledger: &Ledger, disk: &SimDisk, model: &mut Model) -> bool {
    for _ in 0..8 {
        model.append_batch(ledger, disk, 4);
    }
    if ledger.is_writable() {
        return false;
    }
    let acknowledged = model.acknowledged().len();
    let steps = disk.steps();
    assert_eq!(ledger.append(entry(0)).err(), Some(AppendError::Failed));
    assert_eq!(ledger.close(), Err(AppendError::Failed));
    assert_eq!(disk.steps(), steps, "no write or sync is tried again");
    assert_eq!(model.acknowledged().len(), acknowledged);
    model.check(ledger, disk).unwrap();
    true
}

#[test]
fn every_write_and_sync_that_fails_once() {
    let mut failures = 0;
    for step in 0..60 {
        let (disk, mut model) = (SimDisk::new(), Model::default());
        drop(open(&disk).unwrap());
        disk.set_fault(disk.steps() + step, Fault::Fails);
        if let Ok(ledger) = open(&disk) {
            failures += u32::from(append_until_failed(&ledger, &disk, &mut model));
        }
        // A restart of the process alone: the cache shows what the failed sync did not bring to the disk.
        let restarted = disk.after_kill();
        assert_eq!(model.check_disk(&restarted), Ok(()), "restart after the failure at step {step}");
        for survival in [Survival::Nothing, Survival::Sectors, Survival::Torn] {
            let cut = restarted.after_power_cut(survival, step);
            assert_eq!(model.clone().check_disk(&cut), Ok(()), "power cut later, step {step}, {survival:?}");
        }
    }
    assert!(failures > 20, "{failures} failures were seen");
}

#[test]
fn full_disk() {
    for room in (0..1500).step_by(37) {
        let (disk, mut model) = (SimDisk::new(), Model::default());
        let ledger = open(&disk).unwrap();
        model.append_each(&ledger, 3);
        let used: usize = disk.names().iter().map(|name| disk.contents(name).len()).sum();
        disk.set_capacity(Some(used + room));
        assert!(append_until_failed(&ledger, &disk, &mut model), "room for {room} bytes more");
        drop(ledger);
        disk.set_capacity(None);
        assert_eq!(model.check_disk(&disk), Ok(()), "room for {room} bytes more");
    }
}

/// A ledger whose next segment is made ahead, in the shortest segments.
fn open_ahead(disk: &SimDisk) -> Ledger {
    Ledger::open_or_init(disk, 1, keys(), ledger::Options { ahead: true, ..options() }).unwrap()
}

/// Appends until the ledger takes no more for now. What it took may have to wait for the next segment.
fn append_until_short(ledger: &Ledger, model: &mut Model) -> Vec<Pending> {
    let (begun, mut taken) = (Instant::now(), Vec::new());
    while ledger.is_writable() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the disk is full, and the ledger goes on");
        taken.extend(model.append(ledger));
        sleep(Duration::from_millis(1));
    }
    assert_eq!(ledger.append(entry(0)).err(), Some(AppendError::Shortage));
    taken
}

#[test]
fn a_disk_that_is_full_for_a_while_stops_the_ledger_for_a_while() {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let ledger = open_ahead(&disk);
    for _ in 0..3 {
        model.append_each(&ledger, 3);
        let used: usize = disk.names().iter().map(|name| disk.contents(name).len()).sum();
        disk.set_capacity(Some(used));
        let waiting = append_until_short(&ledger, &mut model);
        assert!(!ledger.has_failed());
        disk.set_capacity(None);
        let begun = Instant::now();
        while !ledger.is_writable() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "there is room, and the ledger does not see it"
            );
            sleep(Duration::from_millis(5));
        }
        for pending in waiting {
            assert!(model.wait(pending), "what was taken is written once there is room");
        }
        model.append_each(&ledger, 3);
    }
    ledger.close().unwrap();
    drop(ledger);
    assert!(reader(&disk).verify().fault.is_none());
    let left = reader(&disk);
    for receipt in model.acknowledged() {
        assert!(left.find(&receipt.tracking_code).unwrap().is_some(), "{} is lost", receipt.sequence);
    }
}

#[test]
fn a_ledger_that_waits_for_room_closes_all_the_same() {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let ledger = open_ahead(&disk);
    model.append_each(&ledger, 1);
    let used: usize = disk.names().iter().map(|name| disk.contents(name).len()).sum();
    disk.set_capacity(Some(used));
    drop(append_until_short(&ledger, &mut model));
    // What waits for the next segment may be lost; it was acknowledged to nobody.
    let _ = ledger.close();
    drop(ledger);
    disk.set_capacity(None);
    let ledger = open(&disk).unwrap();
    for receipt in model.acknowledged() {
        assert!(ledger.find(&receipt.tracking_code).unwrap().is_some(), "{} is lost", receipt.sequence);
    }
}

#[test]
fn full_queue_refuses_and_recovers() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    disk.hold();
    let mut model = Model::default();
    let mut waiting = vec![model.append(&ledger).unwrap()];
    disk.wait_until_held();
    let mut refusal = None;
    for n in 0..1000 {
        match ledger.append(entry(n)) {
            Ok(pending) => waiting.push(pending),
            Err(error) => refusal = Some(error),
        }
    }
    let stats = ledger.stats();
    disk.release();
    let refusal = refusal.expect("a queue has a bound");
    assert_eq!(refusal, AppendError::Full);
    assert_eq!(refusal.to_string(), "the ledger's queue is full: try again in a moment");
    assert_eq!(stats.queue_len, options().queue_len_max as u64);
    assert!(ledger.is_writable(), "a full queue is no failure");
    for pending in waiting {
        pending.wait().unwrap();
    }
    ledger.append(entry(100)).unwrap().wait().unwrap();
    let stats = ledger.stats();
    assert_eq!(stats.queue_len, 0);
    assert!(stats.entries / stats.batches > 10, "what waited was synced together: {stats:?}");
}

#[test]
fn closed_means_closed() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let pending = ledger.append(entry(1)).unwrap();
    ledger.close().unwrap();
    pending.wait().unwrap();
    assert_eq!(ledger.append(entry(2)).err(), Some(AppendError::Closed));
    assert!(!ledger.is_writable());
    ledger.close().unwrap();
}

#[test]
fn a_batch_has_4096_entries_at_most() {
    let disk = SimDisk::new();
    let long = segment_len(20_000);
    let options = ledger::Options { queue_len_max: 20_000, segment_len_min_bytes: long, ..options() };
    let ledger = Ledger::open_or_init(&disk, 1, keys(), options).unwrap();
    disk.hold();
    let pending: Vec<_> = (0..10_000).map(|n| ledger.append(entry(n)).unwrap()).collect();
    disk.release();
    for pending in pending {
        pending.wait().unwrap();
    }
    let stats = ledger.stats();
    assert!((3..=4).contains(&stats.batches), "{stats:?}");
    ledger.close().unwrap();
    assert_eq!(reader(&disk).verify().report.inquiries, 10_000);
}
