//! All that a ledger goes through, in random order and with the power cut in between: entries, batches, turns of the day,
//! closing, rotation of keys, pruning, reveals; then its sealed segments, as they were shipped after each cut, restored.
//!
//! `ESTEHQAQ_TEST_LIVES` sets how many ledgers; each has a seed, which a failure tells.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::sim::{Fault, Random, SimDisk};
use ledger::{
    Act, Deed, FolderSource, Ledger, LedgerKeys, LedgerReader, Options, ProviderId, Record, RestorePlan,
    restore,
};

use crate::days::{DAY_MS, SURVIVALS};
use crate::rotating::rotated_keys;
use crate::support::{LEDGER, Model, NOW_MS, keys, options};

/// Cuts of the power in the life of one ledger.
const CUTS: usize = 5;
/// What is done at most between two cuts.
const DEEDS: usize = 10;

static CLOCK_MS: AtomicU64 = AtomicU64::new(NOW_MS);

/// A ledger through all its lives.
struct Lives {
    disk: SimDisk,
    model: Model,
    keys: Arc<LedgerKeys>,
    /// Sequences of reveals that were acknowledged.
    reveals: Vec<u64>,
    /// The files of sealed segments as they were first seen.
    shipped: BTreeMap<u32, Vec<u8>>,
    random: Random,
}

fn actor() -> ProviderId {
    ProviderId::parse("uid-0").unwrap()
}

impl Lives {
    fn open(&self) -> Option<Ledger> {
        let options = Options { clock_ms: || CLOCK_MS.load(Ordering::SeqCst), ..options() };
        Ledger::open_or_init(&self.disk, LEDGER, self.keys.clone(), options).ok()
    }

    /// Does things until the power goes, or enough was done.
    fn live(&mut self) {
        self.disk.set_fault(self.disk.steps() + self.random.below(90) as u64, Fault::PowerCut);
        let Some(mut ledger) = self.open() else { return };
        for _ in 0..DEEDS {
            match self.random.below(8) {
                0 => CLOCK_MS.store(NOW_MS + self.random.below(4) as u64 * DAY_MS, Ordering::SeqCst),
                1 | 2 => self.model.append_each(&ledger, 3),
                3 | 4 => {
                    let count = 2 + self.random.below(20);
                    self.model.append_batch(&ledger, &self.disk, count);
                }
                5 => self.reveal(&ledger),
                6 => self.prune(&ledger),
                _ => {
                    if self.random.below(3) > 0 {
                        let _ = ledger.close(); // An error is what a cut brings.
                    }
                    drop(ledger);
                    if self.random.below(2) == 0 {
                        self.keys = rotated_keys();
                    }
                    let Some(again) = self.open() else { return };
                    ledger = again;
                }
            }
        }
    }

    fn reveal(&mut self, ledger: &Ledger) {
        let deed = Deed::Export { first_day: None, last_day: None, entries: 1, revealed: true };
        let act = Act { time_ms: NOW_MS, actor: actor(), deed };
        let receipt = ledger.append(act).ok().and_then(|pending| pending.wait().ok());
        self.reveals.extend(receipt.map(|receipt| receipt.sequence));
    }

    fn prune(&mut self, ledger: &Ledger) {
        let segments = ledger.segments();
        let Some(last) = segments.get(self.random.below(segments.len() + 2)) else { return };
        // From here on they may be gone, whatever becomes of it.
        self.model.forget(last.last_sequence);
        self.reveals.retain(|sequence| *sequence > last.last_sequence);
        let _ = ledger.prune(Some(last.number), actor());
    }

    /// The power is back: all that was promised is there, and what was sealed is as it was.
    fn check(&mut self) {
        let survival = SURVIVALS[self.random.below(SURVIVALS.len())];
        self.disk = self.disk.after_power_cut(survival, self.random.number());
        let ledger = self.open().expect("what a power cut left can be opened");
        assert_eq!(self.model.check(&ledger, &self.disk), Ok(()));
        for &sequence in &self.reveals {
            let placed = ledger.placed(LEDGER, sequence).unwrap().map(|placed| placed.record);
            assert!(matches!(placed, Some(Record::Act(_))), "the reveal at {sequence} left no entry");
        }
        drop(ledger);
        // The opening's own segment is sealed by the next one only.
        let reader = LedgerReader::open(&self.disk, self.keys.clone()).unwrap();
        for info in reader.segments() {
            let mut bytes = Vec::new();
            reader.bytes(info).unwrap().read_to_end(&mut bytes).unwrap();
            let before = self.shipped.entry(info.number).or_insert_with(|| bytes.clone());
            assert_eq!(*before, bytes, "segment {} was sealed, and has changed", info.number);
        }
    }

    /// What was shipped comes back under another number, however often the power goes meanwhile.
    fn check_restored(&mut self) {
        let vault = SimDisk::new();
        for (number, bytes) in &self.shipped {
            let name = format!("segment-{number:08}.led");
            drop(ledger::Disk::create_new(&vault, &name).unwrap());
            vault.replace(&name, bytes.clone());
        }
        let Some(&last) = self.shipped.keys().last() else { return };
        // Some may be pruned before they were shipped; then there is nothing to go on from.
        if self.shipped.len() != last as usize {
            return;
        }
        let (source, plan) =
            (FolderSource::sealed_only(&vault), RestorePlan { number: LEDGER + 1, last_segment: None });
        let mut to = SimDisk::new();
        for cut in 0.. {
            assert!(cut < 100, "a restore that never ends");
            to.set_fault(to.steps() + self.random.below(60) as u64, Fault::PowerCut);
            let restored = restore(&to, &source, plan, &self.keys, &|_| ());
            let is_done = restored.is_ok();
            to = to.after_power_cut(SURVIVALS[self.random.below(4)], self.random.number());
            if is_done {
                break;
            }
            if LedgerReader::open(&to, self.keys.clone()).is_ok()
                && !to.names().contains(&"RESTORING".to_owned())
            {
                break; // All was done but the answer.
            }
        }
        let reader = LedgerReader::open(&to, self.keys.clone()).unwrap();
        let verified = reader.verify();
        assert!(verified.fault.is_none(), "{:?}", verified.fault);
        assert_eq!(verified.report.segments, self.shipped.len() as u64);
    }
}

#[test]
fn lives_in_random_order() {
    let ledgers = std::env::var("ESTEHQAQ_TEST_LIVES").map_or(60, |text| text.parse().unwrap());
    let first: u64 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    let (mut acknowledged, mut segments, mut restored) = (0, 0, 0);
    for seed in first..first + ledgers {
        println!("seed {seed}");
        let mut lives = Lives {
            disk: SimDisk::new(),
            model: Model::default(),
            keys: keys(),
            reveals: Vec::new(),
            shipped: BTreeMap::new(),
            random: Random(seed),
        };
        for _ in 0..CUTS {
            lives.live();
            lives.check();
        }
        lives.check_restored();
        acknowledged += lives.model.acknowledged().len();
        segments += lives.shipped.len();
        restored += usize::from(
            lives.shipped.keys().last().is_some_and(|last| *last as usize == lives.shipped.len()),
        );
    }
    println!(
        "{ledgers} ledgers: {acknowledged} entries held at the end, {segments} segments, {restored} restored"
    );
    assert!(acknowledged > 0 && segments > 0 && restored > 0);
}
