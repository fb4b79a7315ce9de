//! A command asks the process that holds the ledger to write an act: it is done and answered, or refused, or not taken;
//! nobody without the key is heard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::{Day, IdKind, PersonId};
use ledger::sim::{Fault, SimDisk};
use ledger::{Act, AskError, Deed, Ledger, LedgerKeys, ProviderId, RealDisk, Record, ask};

use crate::days::{DAY_MS, SURVIVALS, copy, lives, on_day, open_on, reader};
use crate::support::{LEDGER, NOW_MS, keys, month};

const PATIENCE: Duration = Duration::from_secs(20);

fn act(deed: Deed) -> Act {
    Act { time_ms: NOW_MS + 9 * DAY_MS, actor: ProviderId::parse("auditor").unwrap(), deed }
}

const EXPORT: Deed = Deed::Export { first_day: None, last_day: None, entries: 14, revealed: true };

/// Asks while the ledger is held and requests are served; what is there to see afterwards.
fn asked(disk: &SimDisk, act: &Act, keys_of_asker: &LedgerKeys, ledger: u16) -> Result<u64, AskError> {
    asked_within(disk, act, keys_of_asker, ledger, PATIENCE)
}

fn asked_within(
    disk: &SimDisk,
    act: &Act,
    keys_of_asker: &LedgerKeys,
    ledger: u16,
    patience: Duration,
) -> Result<u64, AskError> {
    let held = open_on(disk, 9).unwrap();
    let done = AtomicBool::new(false);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                held.serve_requests().unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let answer = ask(disk, act, ledger, keys_of_asker, 7, patience);
        done.store(true, Ordering::Relaxed);
        answer
    });
    held.close().unwrap();
    answer
}

fn acts(disk: &SimDisk) -> Vec<(u64, Record)> {
    let reader = reader(disk);
    let records = reader.records().map(Result::unwrap).map(|placed| (placed.sequence, placed.record));
    records.filter(|(_, record)| matches!(record, Record::Act(_))).collect()
}

#[track_caller]
fn check_tidy(disk: &SimDisk) {
    let left: Vec<_> = disk
        .names()
        .into_iter()
        .filter(|name| name.starts_with("request") || name.starts_with("answer"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn an_export_is_noted_as_it_was_asked() {
    let (disk, _) = lives(&[0]);
    let sequence = asked(&disk, &act(EXPORT), &keys(), LEDGER).unwrap();
    assert_eq!(acts(&disk), [(sequence, Record::Act(act(EXPORT)))]);
    check_tidy(&disk);
}

#[test]
fn reads_and_searches_are_noted_and_whom_they_were_for_stays_hidden() {
    let person = PersonId::parse(IdKind::Foreign, "0012345678").unwrap();
    let (first_day, last_day) = (Day::MIN, Day::MAX);
    let search = Deed::DeskSearch { person: person.into(), first_day, last_day, shown: 3, skipped: 20 };
    for deed in [Deed::DeskRead { ledger: LEDGER, sequence: 2, revealed: true }, search] {
        let (disk, _) = lives(&[0]);
        let sequence = asked(&disk, &act(deed), &keys(), LEDGER).unwrap();
        assert_eq!(acts(&disk), [(sequence, Record::Act(act(deed)))]);
        check_tidy(&disk);
    }
    // Two requests for the same person have no bytes of it in common.
    let (disk, _) = lives(&[0]);
    let held = open_on(&disk, 9).unwrap();
    let masked = [7, 8].map(|number| caught(&disk, &act(search), number)[16 + 32..16 + 40].to_vec());
    assert_ne!(masked[0], masked[1]);
    drop(held);
}

/// A request as it lies there before somebody takes it.
fn caught(disk: &SimDisk, act: &Act, number: u64) -> Vec<u8> {
    let name = format!("request-{number:016x}");
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask(disk, act, LEDGER, &keys(), number, Duration::from_secs(1)));
        while !disk.names().contains(&name) {
            thread::sleep(Duration::from_millis(1));
        }
        let request = disk.contents(&name);
        assert!(matches!(asking.join().unwrap(), Err(AskError::NotTaken { .. })));
        request
    })
}

#[test]
fn a_pruning_is_done() {
    let (disk, _) = lives(&[0, 1]);
    let deed = Deed::Prune { segment: 2, entries: 0 };
    let sequence = asked(&disk, &act(deed), &keys(), LEDGER).unwrap();
    let entries = 16;
    assert_eq!(acts(&disk), [(sequence, Record::Act(act(Deed::Prune { segment: 2, entries })))]);
    assert_eq!(reader(&disk).segments()[0].number, 3);
    assert!(!disk.names().contains(&"segment-00000001.led".to_owned()));
    check_tidy(&disk);
}

#[track_caller]
fn check_refused(answer: Result<u64, AskError>, disk: &SimDisk, text: &str) {
    let error = answer.unwrap_err().to_string();
    assert!(
        error.starts_with("the process that holds the ledger refused: ") && error.contains(text),
        "{error}"
    );
    assert!(acts(disk).is_empty());
    check_tidy(disk);
}

#[test]
fn what_is_not_to_be_done_is_refused() {
    let (disk, _) = lives(&[0]);
    let prune = Deed::Prune { segment: 99, entries: 0 };
    check_refused(
        asked(&disk, &act(prune), &keys(), LEDGER),
        &disk,
        "segment 99 is not among the sealed ones",
    );
    let old = Act { time_ms: NOW_MS + 9 * DAY_MS - 60_001, ..act(EXPORT) };
    check_refused(asked(&disk, &old, &keys(), LEDGER), &disk, "too old, or the clocks differ");
    // Under another key, or of another ledger, neither hears the other.
    let other = LedgerKeys::new(3, &[1; 32], 5, &[9; 32]).with_month(month("2026-10"), &[7; 32]);
    for (keys_of_asker, ledger) in [(&other, LEDGER), (&*keys(), LEDGER + 1)] {
        let patience = Duration::from_millis(300);
        let error = asked_within(&disk, &act(EXPORT), keys_of_asker, ledger, patience).unwrap_err();
        assert!(matches!(error, AskError::NotBelieved { .. }), "{error}");
        let text = "sim/answer-0000000000000007 was not written with this ledger's key";
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(acts(&disk).is_empty());
    }
}

fn put(disk: &SimDisk, name: &str, contents: Vec<u8>) {
    drop(ledger::Disk::create_new(disk, name));
    disk.replace(name, contents);
}

const REQUEST: &str = "request-0000000000000007";
const ANSWER: &str = "answer-0000000000000007";

/// Whoever can write into the folder but has no key cannot make a command believe that its act is an entry.
#[test]
fn a_changed_answer_is_not_believed() {
    let (disk, _) = lives(&[0]);
    let held = open_on(&disk, 9).unwrap();
    let request = caught(&disk, &act(EXPORT), 7);
    put(&disk, REQUEST, request);
    assert_eq!(held.serve_requests().unwrap(), 1);
    let honest = disk.contents(ANSWER);
    let sequence = acts(&disk)[0].0;
    let believed = |answer: Vec<u8>, act: &Act, number: u64| {
        put(&disk, &format!("answer-{number:016x}"), answer);
        ask(&disk, act, LEDGER, &keys(), number, Duration::ZERO)
    };
    assert_eq!(believed(honest.clone(), &act(EXPORT), 7).unwrap(), sequence, "it is an answer to the same");
    for at in 0..honest.len() {
        let mut changed = honest.clone();
        changed[at] ^= 1;
        let error = believed(changed, &act(EXPORT), 7).unwrap_err();
        assert!(matches!(error, AskError::NotTaken { .. }), "byte {at}: {error}");
    }
    let later = Act { time_ms: NOW_MS + 9 * DAY_MS + 1, ..act(EXPORT) };
    let short = honest[..honest.len() - 1].to_vec();
    let text = format!("done {sequence}").into_bytes();
    for (answer, act, number) in [
        (honest.clone(), &later, 7),
        (honest, &act(EXPORT), 8),
        (short, &act(EXPORT), 7),
        (text, &act(EXPORT), 7),
        (Vec::new(), &act(EXPORT), 7),
    ] {
        let error = believed(answer, act, number).unwrap_err();
        assert!(matches!(error, AskError::NotTaken { .. }), "{error}");
    }
    held.close().unwrap();
}

/// A request that is laid there once more, under another number, is not heard.
#[test]
fn a_copied_request_is_not_heard() {
    let (disk, _) = lives(&[0]);
    let held = open_on(&disk, 9).unwrap();
    put(&disk, "request-0000000000000008", caught(&disk, &act(EXPORT), 7));
    assert_eq!(held.serve_requests().unwrap(), 1);
    held.close().unwrap();
    drop(held);
    assert!(acts(&disk).is_empty());
}

/// The power goes at a step while a request is served: whoever was told that it is done finds the entry afterwards.
#[test]
fn power_cut_at_every_step_of_a_request() {
    let (before, _) = lives(&[0]);
    let (mut told, mut untold) = (0, 0);
    for step in 0..24 {
        let disk = copy(&before);
        let held = open_on(&disk, 9).unwrap();
        disk.set_fault(disk.steps() + step, Fault::PowerCut);
        let done = AtomicBool::new(false);
        let answer = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) && held.serve_requests().is_ok() {
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let answer = ask(&disk, &act(EXPORT), LEDGER, &keys(), 7, Duration::from_millis(100));
            done.store(true, Ordering::Relaxed);
            answer
        });
        for (survival, seed) in SURVIVALS.into_iter().flat_map(|survival| [(survival, 1), (survival, 2)]) {
            let left = disk.after_power_cut(survival, seed);
            drop(open_on(&left, 9).unwrap_or_else(|error| panic!("step {step}, {survival:?}: {error}")));
            let acts = acts(&left);
            if let Ok(sequence) = answer {
                assert_eq!(
                    acts,
                    [(sequence, Record::Act(act(EXPORT)))],
                    "step {step}, {survival:?}, seed {seed}"
                );
            }
            assert!(acts.len() <= 1, "step {step}, {survival:?}, seed {seed}");
        }
        *(if answer.is_ok() { &mut told } else { &mut untold }) += 1;
    }
    assert!(told > 3 && untold > 3, "{told} were told, {untold} were not");
}

/// Every byte of a request counts.
#[test]
fn a_changed_request_is_not_heard() {
    let (disk, _) = lives(&[0]);
    let held = open_on(&disk, 9).unwrap();
    let request = caught(&disk, &act(EXPORT), 7);
    for at in (0..request.len()).filter(|at| !(168..240).contains(at) || at % 8 == 0) {
        let mut changed = request.clone();
        changed[at] ^= 1;
        put(&disk, REQUEST, changed);
        assert_eq!(held.serve_requests().unwrap(), 1);
    }
    held.close().unwrap();
    drop(held);
    assert!(acts(&disk).is_empty());
}

#[test]
fn a_holder_that_takes_no_requests_is_told_and_nothing_is_left() {
    let (disk, _) = lives(&[0]);
    let held = open_on(&disk, 9).unwrap();
    let error = ask(&disk, &act(EXPORT), LEDGER, &keys(), 7, Duration::from_millis(30)).unwrap_err();
    assert!(matches!(error, AskError::NotTaken { .. }), "{error}");
    assert!(
        error.to_string().contains("sim/LOCK is locked by a process that does not take requests"),
        "{error}"
    );
    check_tidy(&disk);
    drop(held);
    assert!(acts(&disk).is_empty());
    let no_month = LedgerKeys::new(3, &[1; 32], 5, &[2; 32]);
    let error = ask(&disk, &act(EXPORT), LEDGER, &no_month, 7, Duration::ZERO).unwrap_err();
    assert!(matches!(error, AskError::NoMonthKey));
}

/// A folder of a request's name stands for a file that the service may not read.
#[test]
fn a_request_that_cannot_be_read_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, done) = (RealDisk::new(folder.path()), AtomicBool::new(false));
    let held = Ledger::open_or_init(&disk, LEDGER, keys(), on_day(9)).unwrap();
    for number in ["0000000000000001", "0000000000000008"] {
        std::fs::create_dir(folder.path().join(format!("request-{number}"))).unwrap();
    }
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(held.serve_requests().unwrap_err().to_string().contains("request-000000000000000"));
                thread::sleep(Duration::from_millis(5));
            }
        });
        let answer = ask(&disk, &act(EXPORT), LEDGER, &keys(), 7, PATIENCE);
        done.store(true, Ordering::Relaxed);
        answer
    });
    assert!(answer.is_ok(), "{answer:?}");
    held.close().unwrap();
}

/// An answer that its asker did not wait for goes at the next opening.
#[test]
fn what_nobody_came_for_is_tidied_up() {
    let (disk, _) = lives(&[0]);
    drop(ledger::Disk::create_new(&disk, "answer-0000000000000001").unwrap());
    drop(ledger::Disk::create_new(&disk, "request-000000000000000x").unwrap());
    let held = open_on(&disk, 9).unwrap();
    assert!(!disk.names().contains(&"answer-0000000000000001".to_owned()));
    assert_eq!(held.serve_requests().unwrap(), 0, "that is no request's name");
    held.close().unwrap();
}
