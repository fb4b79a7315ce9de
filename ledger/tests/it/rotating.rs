//! Keys that change and days that end, with the power cut at every step; and a clock that jumps back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Care, IdKind, PersonId};
use ledger::sim::{Fault, SimDisk};
use ledger::{
    Asker, Ledger, LedgerKeys, OpenError, Options, ProviderId, Question, ReadError, Span, prunable,
};

use crate::days::{DAY_MS, SURVIVALS, copy, entry_on, lives, open_on, reader};
use crate::support::{LEDGER, Model, NOW_MS, entry, keys, month, open, options};

/// The keys after a rotation of tracking, ledger and month keys; the old ones stay.
pub(crate) fn rotated_keys() -> Arc<LedgerKeys> {
    let new = LedgerKeys::new(4, &[3; 32], 6, &[4; 32]).with_month(month("2026-10"), &[7; 32]);
    let new = new.with_month(month("2026-11"), &[8; 32]);
    Arc::new(new.with_tracking(3, &[1; 32]).with_ledger(5, &[2; 32]))
}

/// A life under new keys, up to a power cut; whether it came to its end.
fn live_rotated(disk: &SimDisk, model: &mut Model) -> bool {
    let Ok(ledger) = Ledger::open(disk, rotated_keys(), options()) else { return false };
    model.append_each(&ledger, 2);
    model.append_batch(&ledger, disk, 14);
    ledger.close().is_ok()
}

#[test]
fn power_cut_at_every_step_of_a_rotation() {
    for closed in [true, false] {
        let (before, mut model) = (SimDisk::new(), Model::default());
        let ledger = open(&before).unwrap();
        model.append_batch(&ledger, &before, 9);
        if closed {
            ledger.close().unwrap();
        }
        drop(ledger);
        let mut cuts = 0;
        for step in 0.. {
            let (disk, mut model) = (before.after_kill(), model.clone());
            disk.set_fault(step, Fault::PowerCut);
            if live_rotated(&disk, &mut model) {
                break;
            }
            cuts += 1;
            for survival in SURVIVALS {
                for seed in 0..4 {
                    let left = disk.after_power_cut(survival, seed);
                    let what = format!("closed: {closed}, step {step}, {survival:?}, seed {seed}");
                    check_after_cut(&left, &model, &what);
                }
            }
        }
        assert!(cuts > 30, "only {cuts} steps");
    }
}

/// With both keys all is there; with the old ones alone it is, or the key that is missing is named.
fn check_after_cut(left: &SimDisk, model: &Model, what: &str) {
    let with_old = open(&left.after_kill());
    match with_old {
        Ok(ledger) => assert_eq!(model.check(&ledger, left), Ok(()), "{what}"),
        Err(OpenError::Read(ReadError::MissingKey { key_id: 6, .. })) => {}
        Err(error) => panic!("{what}: {error}"),
    }
    let ledger =
        Ledger::open(left, rotated_keys(), options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut model = model.clone();
    assert_eq!(model.check(&ledger, left), Ok(()), "{what}");
    model.append_each(&ledger, 1);
    assert_eq!(model.check(&ledger, left), Ok(()), "{what}");
    ledger.close().unwrap();
}

/// What the clock of [`power_cut_at_every_step_of_a_turn_of_the_day`] shows.
static CLOCK_MS: AtomicU64 = AtomicU64::new(NOW_MS);

/// A life over midnight, and with a clock that is put back by three days after it.
fn live_over_midnight(disk: &SimDisk, model: &mut Model) -> bool {
    CLOCK_MS.store(NOW_MS, Ordering::SeqCst);
    let options = Options { clock_ms: || CLOCK_MS.load(Ordering::SeqCst), ..options() };
    let Ok(ledger) = Ledger::open_or_init(disk, LEDGER, keys(), options) else { return false };
    for now_ms in [NOW_MS, NOW_MS + DAY_MS, NOW_MS - 2 * DAY_MS] {
        CLOCK_MS.store(now_ms, Ordering::SeqCst);
        model.append_each(&ledger, 2);
    }
    ledger.close().is_ok()
}

#[test]
fn power_cut_at_every_step_of_a_turn_of_the_day() {
    let mut cuts = 0;
    for step in 0.. {
        let (disk, mut model) = (SimDisk::new(), Model::default());
        disk.set_fault(step, Fault::PowerCut);
        if live_over_midnight(&disk, &mut model) {
            assert_eq!(reader(&disk).segments().len(), 3, "each day has a segment");
            break;
        }
        cuts += 1;
        for survival in SURVIVALS {
            for seed in 0..4 {
                let left = disk.after_power_cut(survival, seed);
                let checked = model.clone().check_disk(&left);
                assert_eq!(checked, Ok(()), "step {step}, {survival:?}, seed {seed}");
            }
        }
    }
    assert!(cuts > 50, "only {cuts} steps");
}

/// Entries keep the order in which they were answered, whatever the clock says; days find them by what it said then;
/// nothing grows old by it; and a month before the first key is written under that one.
#[test]
fn a_clock_that_jumps_back_spoils_nothing() {
    let (disk, written) = lives(&[9, 0, 5]);
    let reader = reader(&disk);
    assert!(reader.verify().fault.is_none());
    let entries: Vec<_> = reader.entries().map(|found| found.unwrap().entry).collect();
    assert_eq!(entries, written.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>());
    let first = engine::Day::parse("2026-10-26").unwrap();
    let on = |day: u16| {
        let day = engine::Day::from_number(first.number() + day);
        reader.records_of(Span { first: day, last: day }).count()
    };
    assert_eq!([on(9), on(0), on(5), on(1)], [14, 14, 14, 0]);
    // The first segments are the youngest by their times: the chain keeps all that follows them.
    assert!(prunable(reader.segments(), 2, NOW_MS + 9 * DAY_MS).is_empty());
    drop(reader);

    const BEFORE_THE_KEYS_MS: u64 = NOW_MS - 60 * DAY_MS;
    let early = Options { clock_ms: || BEFORE_THE_KEYS_MS, ..options() };
    let ledger = Ledger::open(&disk, keys(), early).unwrap();
    let receipt = ledger.append(entry(500)).unwrap().wait().unwrap();
    assert_eq!(ledger.find(&receipt.tracking_code).unwrap().unwrap().entry, entry(500));
    ledger.close().unwrap();
    drop(ledger);
    let reader = crate::days::reader(&disk);
    assert!(reader.verify().fault.is_none());
    assert_eq!(reader.segments().last().unwrap().month, Some(month("2026-10")));
    // And it goes on once the clock is right again.
    drop(reader);
    let ledger = open_on(&copy(&disk), 9).unwrap();
    ledger.append(entry_on(9, 3)).unwrap().wait().unwrap();
    assert!(ledger.segments().windows(2).all(|pair| pair[0].last_sequence < pair[1].first_sequence));
}

/// November began under what follows from October's key, since the service was not restarted; the key that had been
/// added for November is there at a later start.
#[test]
fn a_month_goes_on_under_the_key_that_it_began_with() {
    let in_november = || Options { clock_ms: || NOW_MS + 9 * DAY_MS, ..options() };
    let without = || LedgerKeys::new(3, &[1; 32], 5, &[2; 32]);
    let added =
        || Arc::new(without().with_month(month("2026-10"), &[7; 32]).with_month(month("2026-11"), &[8; 32]));
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let mut digests = Vec::new();
    for keys in [keys(), added(), keys(), added()] {
        let ledger = Ledger::open_or_init(&disk, LEDGER, keys, in_november()).unwrap();
        model.append_each(&ledger, 2);
        assert_eq!(model.check(&ledger, &disk), Ok(()));
        let asker = Asker::Provider(ProviderId::parse("shafa").unwrap());
        let question = Question { person: person(), care: Care::Outpatient, service_day: None };
        digests.push(ledger.idempotency(month("2026-11"), &asker, "a-key", &question));
        ledger.close().unwrap();
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "a repeated request is known again");
    let other = Arc::new(without().with_month(month("2026-11"), &[8; 32]));
    let refused = Ledger::open(&disk, other, in_november()).err();
    assert!(matches!(refused, Some(OpenError::WrongMonthKey { .. })), "{refused:?}");
}

fn person() -> PersonId {
    PersonId::from_u64(IdKind::National, 499_370_089).unwrap()
}
