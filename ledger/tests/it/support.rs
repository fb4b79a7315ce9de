//! Entries, keys, and the model that a ledger is held against: what was asked of it, and what it promised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Care, Day, IdKind, Notices, PersonId, Reason};
use ledger::sim::SimDisk;
use ledger::{
    Channel, Disk, Entry, Found, Language, Ledger, LedgerKeys, LedgerReader, Month, OpenError, Options,
    Outcome, Pending, ProviderId, RULES_VERSION, Receipt,
};

pub(crate) const SEGMENT: &str = "segment-00000001.led";
pub(crate) const HEADER_LEN: usize = 4096;
pub(crate) const SLOT_LEN: usize = 144;
pub(crate) const LEDGER: u16 = 7;

pub(crate) fn keys() -> Arc<LedgerKeys> {
    Arc::new(LedgerKeys::new(3, &[1; 32], 5, &[2; 32]).with_month(month("2026-10"), &[7; 32]))
}

pub(crate) fn month(text: &str) -> Month {
    Month::parse(text).unwrap()
}

/// A time within the tests' first month.
pub(crate) const NOW_MS: u64 = 1_793_000_000_000;

/// Short segments, so that a short test has several; each step in its order.
pub(crate) fn options() -> Options {
    Options {
        queue_len_max: 64,
        segment_len_min_bytes: segment_len(12),
        segment_len_max_bytes: segment_len(20),
        sync_interval_max: Duration::ZERO,
        ahead: false,
        clock_ms: || NOW_MS,
    }
}

/// The length of a file with room for that many entries.
pub(crate) fn segment_len(entries: u64) -> u64 {
    (HEADER_LEN as u64) + (entries + 1) * SLOT_LEN as u64
}

pub(crate) fn open(disk: &SimDisk) -> Result<Ledger, OpenError> {
    Ledger::open_or_init(disk, LEDGER, keys(), options())
}

pub(crate) fn reader(disk: &dyn Disk) -> LedgerReader {
    LedgerReader::open(disk, keys()).unwrap()
}

/// An entry that differs from all others in every field that can.
pub(crate) fn entry(n: u64) -> Entry {
    let small = u16::try_from(n % 60_000).unwrap();
    Entry {
        time_ms: 1_790_000_000_000 + n,
        channel: if n.is_multiple_of(2) { Channel::General } else { Channel::Personal },
        provider: ProviderId::parse(&format!("provider-{n}")).unwrap(),
        person: PersonId::from_u64(IdKind::National, 499_370_000 + n % 900_000 + 1).unwrap().into(),
        care: if n.is_multiple_of(3) { Care::Inpatient } else { Care::Outpatient },
        service_day: Day::from_number(small).unwrap(),
        language: if n.is_multiple_of(5) { Language::English } else { Language::Persian },
        outcome: Outcome::NotCovered,
        reason: Reason::from_u8(u8::try_from(n % 7).unwrap()).unwrap(),
        notices: Notices::from_bits(u8::try_from(n % 32).unwrap()).unwrap(),
        end: n.is_multiple_of(4).then(|| Day::from_number(small + 1).unwrap()),
        open_ended: n.is_multiple_of(7),
        generation: [1, 2, 3, 4, 5, 6],
        as_of: Day::from_number(46_000).unwrap(),
        decided_by: None,
        rules_version: RULES_VERSION,
        idempotency: None,
    }
}

/// What was asked of a ledger, over all its lives, and what it acknowledged.
#[derive(Clone, Default)]
pub(crate) struct Model {
    asked: BTreeMap<u64, Entry>,
    acknowledged: Vec<Receipt>,
    next: u64,
}

impl Model {
    /// A model whose first entry is number `next`.
    pub(crate) fn beginning_with(next: u64) -> Model {
        Model { next, ..Model::default() }
    }

    /// Appends the next entry. A sequence that was given out before fails the test.
    pub(crate) fn append(&mut self, ledger: &Ledger) -> Option<Pending> {
        let entry = entry(self.next);
        self.next += 1;
        let pending = ledger.append(entry.clone()).ok()?;
        let before = self.asked.insert(pending.sequence(), entry);
        assert_eq!(before, None, "sequence {} was given out twice", pending.sequence());
        Some(pending)
    }

    /// Waits, and notes an acknowledgement; whether there was one.
    pub(crate) fn wait(&mut self, pending: Pending) -> bool {
        let receipt = pending.wait();
        self.acknowledged.extend(receipt.ok());
        receipt.is_ok()
    }

    /// Appends and waits for that many entries, one after another.
    pub(crate) fn append_each(&mut self, ledger: &Ledger, count: usize) {
        for _ in 0..count {
            if let Some(pending) = self.append(ledger) {
                self.wait(pending);
            }
        }
    }

    /// Appends that many entries so that all but the first are one batch: the disk is held meanwhile.
    pub(crate) fn append_batch(&mut self, ledger: &Ledger, disk: &SimDisk, count: usize) {
        disk.hold();
        let first = self.append(ledger);
        if first.is_some() {
            disk.wait_until_held();
        }
        let rest: Vec<_> = (1..count).filter_map(|_| self.append(ledger)).collect();
        disk.release();
        for pending in first.into_iter().chain(rest) {
            self.wait(pending);
        }
    }

    pub(crate) fn acknowledged(&self) -> &[Receipt] {
        &self.acknowledged
    }

    /// Forgets what was acknowledged up to a sequence: it may be pruned.
    pub(crate) fn forget(&mut self, up_to: u64) {
        self.acknowledged.retain(|receipt| receipt.sequence > up_to);
    }

    /// Holds an open ledger to its promises, through the ledger itself and through a reader.
    pub(crate) fn check(&self, ledger: &Ledger, disk: &dyn Disk) -> Result<(), String> {
        let reader = LedgerReader::open(disk, ledger.keys().clone()).map_err(|error| error.to_string())?;
        for receipt in &self.acknowledged {
            let expected = Found {
                ledger: LEDGER,
                sequence: receipt.sequence,
                tracking_epoch: Some(receipt.tracking_code.key_epoch()),
                entry: self.asked[&receipt.sequence].clone(),
            };
            for found in [ledger.find(&receipt.tracking_code), reader.find(&receipt.tracking_code)] {
                let found = found.map_err(|error| error.to_string())?;
                if found.as_ref() != Some(&expected) {
                    return Err(format!("acknowledged entry {} is lost", receipt.sequence));
                }
            }
        }
        for found in reader.entries() {
            let found = found.map_err(|error| error.to_string())?;
            if self.asked.get(&found.sequence) != Some(&found.entry) {
                return Err(format!("entry {} is invented", found.sequence));
            }
        }
        let fault = reader.verify().fault;
        fault.map_or(Ok(()), |fault| Err(fault.to_string()))
    }

    /// Opens what a crash left, checks it, and goes on with a few entries more.
    pub(crate) fn check_disk(&mut self, disk: &SimDisk) -> Result<(), String> {
        let ledger = open(disk).map_err(|error| error.to_string())?;
        self.check(&ledger, disk)?;
        self.append_each(&ledger, 2);
        self.check(&ledger, disk)?;
        ledger.close().map_err(|error| error.to_string())?;
        drop(ledger);
        let ledger = open(disk).map_err(|error| error.to_string())?;
        self.append_each(&ledger, 1);
        self.check(&ledger, disk)
    }
}

/// Where a slot begins in the segment file.
pub(crate) fn slot_offset(slot: usize) -> usize {
    HEADER_LEN + slot * SLOT_LEN
}
