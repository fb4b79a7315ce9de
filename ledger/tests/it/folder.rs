//! A ledger's number for life, the lock, and the files around the entries.

use std::sync::Arc;

use ledger::sim::{Fault, SimDisk};
use ledger::{
    AppendError, Disk, InitError, Ledger, LedgerReader, OpenError, Options, RealDisk, replace_file,
};

use crate::days::SURVIVALS;

use crate::support::{Model, SEGMENT, entry, keys, open, options};

#[test]
fn a_number_is_for_life() {
    let disk = SimDisk::new();
    for number in [0, 10_000] {
        assert!(matches!(Ledger::init(&disk, number, &keys()), Err(InitError::BadNumber(_))));
    }
    assert!(disk.names().is_empty());
    Ledger::init(&disk, 42, &keys()).unwrap();
    for (asked, existing) in [(43, 42), (42, 42)] {
        let error = Ledger::init(&disk, asked, &keys()).unwrap_err().to_string();
        let expected = format!("sim/LEDGER says this is ledger {existing} already");
        assert!(error.starts_with(&expected), "{error}");
    }
    let ledger = Ledger::open_or_init(&disk, 1, keys(), options()).unwrap();
    assert_eq!(ledger.number(), 42, "the default is for empty folders");
}

#[test]
fn an_empty_folder_is_no_ledger_until_it_is_made_one() {
    let disk = SimDisk::new();
    let error = Ledger::open(&disk, keys(), options()).err().unwrap();
    assert!(matches!(error, OpenError::NotInitialised { .. }));
    assert!(error.to_string().contains("make the ledger with `estehqaq ledger init`"));
    assert!(LedgerReader::open(&disk, keys()).is_err());
    assert_eq!(Ledger::open_or_init(&disk, 1, keys(), options()).unwrap().number(), 1);
}

#[test]
fn lost_files_stop_the_start() {
    let disk = SimDisk::new();
    let ledger = open(&disk).unwrap();
    Model::default().append_each(&ledger, 1);
    drop(ledger);

    let without_number = disk.after_kill();
    without_number.remove("LEDGER");
    let error = open(&without_number).err().unwrap().to_string();
    assert!(error.contains("has entries, but the LEDGER file beside it is gone"), "{error}");
    assert!(Ledger::init(&without_number, 9, &keys()).is_err());

    let without_segment = disk.after_kill();
    without_segment.remove(SEGMENT);
    let error = open(&without_segment).err().unwrap().to_string();
    assert!(error.contains("segment-00000001.led is not there"), "{error}");

    let damaged_number = disk.after_kill();
    damaged_number.replace("LEDGER", b"estehqaq ledger 0008\ncrc32c 00000000\n".to_vec());
    assert!(matches!(open(&damaged_number).err().unwrap(), OpenError::NumberFile(_)));

    let newer = disk.after_kill();
    newer.create_new("segment-00000002.led").unwrap();
    let error = open(&newer).err().unwrap().to_string();
    assert!(
        error.contains("segment-00000002.led: the file's header is wrong (the file is too short)"),
        "{error}"
    );

    let without_mark = disk.after_kill();
    without_mark.remove("MARK");
    let error = open(&without_mark).err().unwrap().to_string();
    assert!(error.contains("sim/MARK is gone or damaged"), "{error}");
}

#[test]
fn entries_of_another_ledger_are_refused() {
    let (one, other) = (SimDisk::new(), SimDisk::new());
    Ledger::init(&one, 1, &keys()).unwrap();
    Ledger::init(&other, 2, &keys()).unwrap();
    one.replace(SEGMENT, other.contents(SEGMENT));
    let error = Ledger::open(&one, keys(), options()).err().unwrap().to_string();
    assert!(error.contains("it belongs to ledger 2, the folder to ledger 1"), "{error}");
}

#[track_caller]
fn check_second_writer_refused(disk: &dyn Disk) {
    let first = Ledger::open_or_init(disk, 1, keys(), Options::default()).unwrap();
    let error = Ledger::open(disk, keys(), Options::default()).err().unwrap().to_string();
    assert!(error.contains("is locked by another process"), "{error}");
    let error = Ledger::init(disk, 1, &keys()).unwrap_err().to_string();
    assert!(error.contains("is locked by another process"), "{error}");
    assert!(LedgerReader::open(disk, keys()).unwrap().verify().fault.is_none(), "reading needs no lock");
    drop(first);
    Ledger::open(disk, keys(), Options::default()).unwrap();
}

#[test]
fn one_writer_at_a_time() {
    check_second_writer_refused(&SimDisk::new());
    let folder = tempfile::tempdir().unwrap();
    check_second_writer_refused(&RealDisk::new(folder.path()));
}

#[test]
fn real_files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deeper/ledger");
    let disk = RealDisk::create(&path).unwrap();
    let ledger = Ledger::open_or_init(&disk, 1, keys(), Options::default()).unwrap();
    ledger.append(entry(1)).unwrap().wait().unwrap();
    ledger.close().unwrap();
    assert_eq!(ledger.append(entry(2)).err(), Some(AppendError::Closed));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for name in disk.list().unwrap() {
        let mode = std::fs::metadata(path.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(RealDisk::create(&path).is_ok(), "a folder that is there is fine");
    let _: Arc<dyn Disk> = Arc::new(disk);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("CURRENT"), "2026-11-22-3fa9c1d2e4b5\n").unwrap();
    let disk = RealDisk::new(folder.path());
    let error = Ledger::init(&disk, 1, &keys()).unwrap_err();
    assert!(matches!(error, InitError::NotEmpty { .. }));
    assert!(error.to_string().contains("CURRENT is no part of a ledger: take an empty folder"), "{error}");
    assert!(Ledger::open_or_init(&disk, 1, keys(), Options::default()).is_err());
    assert!(!folder.path().join("LEDGER").exists());
}

/// As `secrets rotate` does it, with what an earlier try left beside.
#[test]
fn power_cut_at_every_step_of_replacing_a_file() {
    let (old, new) = (vec![1; 2000], vec![2; 3000]);
    let before = SimDisk::new();
    replace_file(&before, "keys", &old).unwrap();
    let left_over = before.create_new("keys.new").unwrap();
    left_over.write_at(&[3; 5000], 0).unwrap();
    let mut seen = [0, 0];
    for step in 0.. {
        let disk = before.after_kill();
        disk.set_fault(step, Fault::PowerCut);
        let is_done = replace_file(&disk, "keys", &new).is_ok();
        for survival in SURVIVALS {
            for seed in 0..8 {
                let left = disk.after_power_cut(survival, seed);
                let bytes = left.contents("keys");
                let what = format!("step {step}, {survival:?}, seed {seed}");
                assert!(bytes == new || (bytes == old && !is_done), "{what}");
                seen[usize::from(bytes == new)] += 1;
                replace_file(&left, "keys", &new).unwrap();
                assert_eq!(left.contents("keys"), new, "{what}");
            }
        }
        if is_done {
            break;
        }
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
}
