//! The power goes at every step of making, appending, syncing, growing, closing and recovering, and what was
//! not synced is dropped, kept, reordered or torn: nothing acknowledged is lost, nothing invented.

use ledger::sim::{Fault, Random, SimDisk, Survival};

use crate::support::{Model, open};

const SURVIVALS: [Survival; 4] = [Survival::Nothing, Survival::Everything, Survival::Sectors, Survival::Torn];

/// A life of a ledger: single entries, batches, a clean close, a second opening, growth in between.
fn live(disk: &SimDisk, model: &mut Model) {
    for batches in [&[1, 5, 1, 9][..], &[2, 12, 1, 4]] {
        let Ok(ledger) = open(disk) else { return };
        for &count in batches {
            if count == 1 {
                model.append_each(&ledger, 1);
            } else {
                model.append_batch(&ledger, disk, count);
            }
        }
        // An error is what a cut brings; the checks come later.
        let _ = ledger.close();
    }
}

fn steps_of_a_life() -> u64 {
    let disk = SimDisk::new();
    let mut model = Model::default();
    live(&disk, &mut model);
    assert_eq!(model.acknowledged().len(), 35, "without faults every entry is acknowledged");
    // The commit thread grows the file in idle moments, so lives differ by a few steps.
    disk.steps() + 8
}

/// Lives until the power goes at a step; the disk as it was then.
fn live_until(step: u64, lying: bool) -> (SimDisk, Model) {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    disk.set_fault(step, Fault::PowerCut);
    if lying {
        disk.let_syncs_lie();
    }
    live(&disk, &mut model);
    (disk, model)
}

#[test]
fn power_cut_at_every_step() {
    for step in 0..steps_of_a_life() {
        let (disk, model) = live_until(step, false);
        for survival in SURVIVALS {
            for seed in 0..6 {
                let left = disk.after_power_cut(survival, seed);
                let checked = model.clone().check_disk(&left);
                assert_eq!(checked, Ok(()), "power cut at step {step}, {survival:?}, seed {seed}");
            }
        }
        let killed = disk.after_kill();
        assert_eq!(model.clone().check_disk(&killed), Ok(()), "killed at step {step}");
    }
}

/// After a first power cut, another one at every step of the start that follows, and a third one, and so on
/// until a start gets through.
#[test]
fn power_cuts_at_every_step_of_recovery() {
    let mut random = Random(20_261_122);
    for step in 0..steps_of_a_life() {
        let (disk, model) = live_until(step, false);
        for survival in [Survival::Sectors, Survival::Torn] {
            let seed = random.number();
            for cut in 0..24 {
                let mut left = disk.after_power_cut(survival, seed);
                left.set_fault(cut, Fault::PowerCut);
                let opened = open(&left).map(drop).is_ok();
                for again in 0..4 {
                    left = left.after_power_cut(survival, random.number());
                    left.set_fault(random.number() % 12, Fault::PowerCut);
                    drop(open(&left));
                    let at = format!("steps {step}, {cut}, again {again}, {survival:?}, seed {seed}");
                    let last = left.after_power_cut(survival, random.number());
                    assert_eq!(model.clone().check_disk(&last), Ok(()), "{at}");
                }
                if opened {
                    break;
                }
            }
        }
    }
}

/// The suite has teeth: with syncs that do nothing, the same checks report a loss.
#[test]
fn a_disk_whose_syncs_do_nothing_is_caught() {
    let (mut runs, mut losses) = (0, 0);
    for step in (0..steps_of_a_life()).skip(12) {
        let (disk, model) = live_until(step, true);
        let left = disk.after_power_cut(Survival::Nothing, step);
        if !model.acknowledged().is_empty() {
            runs += 1;
            losses += u32::from(model.clone().check_disk(&left).is_err());
        }
    }
    assert!(runs > 20, "{runs} runs acknowledged something");
    assert_eq!(losses, runs, "each of them lost it");
}

/// A torn tail is kept beside the segment, byte for byte, before it is zeroed.
#[test]
fn torn_tails_are_moved_aside_and_never_deleted() {
    let mut moved = 0;
    for step in 0..steps_of_a_life() {
        let (disk, _) = live_until(step, false);
        for seed in 0..4 {
            let left = disk.after_power_cut(Survival::Sectors, seed);
            if open(&left).is_err() {
                continue;
            }
            for name in left.names().iter().filter(|name| name.starts_with("torn-")) {
                moved += 1;
                let bytes = left.contents(name);
                assert_ne!(bytes.last(), Some(&0), "ends with the last byte that is not zero");
                assert!(bytes.iter().any(|&byte| byte != 0));
                drop(open(&left).unwrap());
                assert_eq!(left.contents(name), bytes, "a later start leaves it alone");
            }
        }
    }
    assert!(moved > 10, "only {moved} torn tails were seen");
}

/// A power cut in the middle of moving a torn tail aside loses no byte of it.
#[test]
fn torn_tails_survive_power_cuts_in_recovery() {
    let (mut random, mut tails) = (Random(7), 0);
    for step in (10..steps_of_a_life()).step_by(2) {
        let (disk, _) = live_until(step, false);
        let seed = random.number();
        let left = || disk.after_power_cut(Survival::Torn, seed);
        let undisturbed = left();
        drop(open(&undisturbed));
        let Some(name) = undisturbed.names().into_iter().find(|name| name.starts_with("torn-")) else {
            continue;
        };
        let tail = undisturbed.contents(&name);
        tails += 1;
        for cut in 0..14 {
            let disturbed = left();
            disturbed.set_fault(cut, Fault::PowerCut);
            drop(open(&disturbed));
            for survival in SURVIVALS {
                let after = disturbed.after_power_cut(survival, random.number());
                drop(open(&after).unwrap());
                let kept = after
                    .names()
                    .iter()
                    .any(|name| name.starts_with("torn-") && after.contents(name) == tail);
                assert!(kept, "step {step}, cut {cut}, {survival:?}, seed {seed}");
            }
        }
    }
    assert!(tails > 3, "only {tails} torn tails were seen");
}
