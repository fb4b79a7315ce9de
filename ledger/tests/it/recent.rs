//! What repeated requests need: places of entries with an idempotency key, and entries with the code of then.

use std::sync::Arc;

use engine::{Care, IdKind, PersonId};
use ledger::sim::SimDisk;
use ledger::{Asker, Channel, Entry, Idempotency, Keyed, Ledger, LedgerKeys, ProviderId, Question};

use crate::support::{LEDGER, SEGMENT, entry, month, open, options, slot_offset};

/// The digests of the n-th key of a provider.
fn digests(ledger: &Ledger, n: u64) -> Idempotency {
    let asker = Asker::Provider(ProviderId::parse("clinic-1").unwrap());
    let person = PersonId::from_u64(IdKind::National, 499_370_089).unwrap();
    let question = Question { person, care: Care::Outpatient, service_day: None };
    ledger.idempotency(month("2026-10"), &asker, &format!("key-{n}"), &question)
}

/// Every third entry comes with a key.
fn keyed_entry(ledger: &Ledger, n: u64) -> Entry {
    Entry { idempotency: n.is_multiple_of(3).then(|| digests(ledger, n)), ..entry(n) }
}

fn all_keyed(ledger: &Ledger, since_ms: u64) -> Vec<Keyed> {
    let mut found = Vec::new();
    for info in ledger.segments() {
        ledger.keyed(&info, since_ms, |keyed| found.push(keyed)).unwrap();
    }
    found
}

/// A ledger of several segments with entries 0 to 40, closed and opened again; what was written with a key.
fn several_segments(disk: &SimDisk) -> (Ledger, Vec<Keyed>) {
    let ledger = open(disk).unwrap();
    let mut written = Vec::new();
    for n in 0..=40 {
        let entry = keyed_entry(&ledger, n);
        let receipt = ledger.append(entry.clone()).unwrap().wait().unwrap();
        let (sequence, time_ms, channel) = (receipt.sequence, entry.time_ms, entry.channel);
        written.extend(entry.idempotency.map(|idempotency| Keyed {
            ledger: LEDGER,
            sequence,
            time_ms,
            channel,
            key: idempotency.key,
        }));
    }
    ledger.close().unwrap();
    drop(ledger);
    (open(disk).unwrap(), written)
}

#[test]
fn all_entries_with_a_key_are_told_of_in_order() {
    let disk = SimDisk::new();
    let (ledger, written) = several_segments(&disk);
    assert!(ledger.segments().len() >= 3 && written.len() == 14);
    assert_eq!(all_keyed(&ledger, 0), written);
    assert_eq!(written.iter().filter(|keyed| keyed.channel == Channel::Personal).count(), 7);
    let since_ms = written[5].time_ms;
    assert_eq!(all_keyed(&ledger, since_ms), written[5..]);
    assert_eq!(all_keyed(&ledger, since_ms + 1), written[6..]);
}

#[test]
fn a_damaged_slot_ends_it_with_its_place() {
    let disk = SimDisk::new();
    let (ledger, written) = several_segments(&disk);
    let mut bytes = disk.contents(SEGMENT);
    bytes[slot_offset(6) + 40] ^= 1;
    disk.replace(SEGMENT, bytes);
    let (mut found, info) = (Vec::new(), ledger.segments()[0].clone());
    let error = ledger.keyed(&info, 0, |keyed| found.push(keyed)).unwrap_err().to_string();
    assert!(error.contains("6"), "{error}");
    assert_eq!(found, written[..2], "entries 0 and 3 are behind the mark of the opening");
}

#[test]
fn an_entry_comes_with_the_code_that_was_given_out() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    let asked = keyed_entry(&ledger, 3);
    let receipt = ledger.append(asked.clone()).unwrap().wait().unwrap();
    let given = ledger.given(LEDGER, receipt.sequence).unwrap().unwrap();
    assert_eq!((given.entry, given.tracking_code), (asked.clone(), receipt.tracking_code));
    assert!(ledger.given(LEDGER, receipt.sequence + 1).unwrap().is_none(), "not there yet");
    assert!(ledger.given(LEDGER + 1, receipt.sequence).unwrap().is_none(), "of no ledger here");
    ledger.close().unwrap();
    assert!(ledger.given(LEDGER, receipt.sequence + 1).unwrap().is_none(), "a mark is no inquiry");
    drop(ledger);
    let fresh = |epoch| LedgerKeys::new(epoch, &[8; 32], 5, &[2; 32]).with_month(month("2026-10"), &[7; 32]);
    let rotated = Arc::new(fresh(4).with_tracking(3, &[1; 32]));
    let ledger = Ledger::open(&disk, rotated, options()).unwrap();
    let given = ledger.given(LEDGER, receipt.sequence).unwrap().unwrap();
    assert_eq!((given.entry, given.tracking_code), (asked, receipt.tracking_code));
    ledger.close().unwrap();
    drop(ledger);
    let ledger = Ledger::open(&disk, Arc::new(fresh(4)), options()).unwrap();
    assert!(ledger.given(LEDGER, receipt.sequence).unwrap().is_none(), "its tracking key is gone");
}
