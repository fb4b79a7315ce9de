//! A folder that was put back from an old copy, in whole or in part, and a folder of another ledger: what of it shows, and
//! what nothing but a head that was noted elsewhere can show.

use ledger::Ledger;
use ledger::sim::SimDisk;

use crate::days::{copy, lives, open_on, reader};
use crate::support::{LEDGER, Model, SEGMENT, keys, open, options};

#[track_caller]
fn check_refused(disk: &SimDisk, texts: &[&str]) {
    let error = open(disk).err().expect("it is refused").to_string();
    for text in texts {
        assert!(error.contains(text), "{error}");
    }
    let read = ledger::LedgerReader::open(disk, keys()).and_then(|reader| {
        let fault = reader.verify().fault;
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    });
    assert_eq!(read.unwrap_err().to_string(), error, "whoever reads it is told the same");
}

/// The files of `from` that are named, in the place of those in `to`.
fn with_files(to: &SimDisk, from: &SimDisk, names: &[&str]) -> SimDisk {
    let mixed = copy(to);
    for name in names {
        mixed.replace(name, from.contents(name));
    }
    mixed
}

/// A ledger that was killed, and the same one later, with more entries in the same segment; both as copied then.
fn old_and_new() -> (SimDisk, SimDisk) {
    let (disk, mut model) = (SimDisk::new(), Model::default());
    let ledger = open(&disk).unwrap();
    model.append_each(&ledger, 3);
    let old = copy(&disk);
    model.append_each(&ledger, 4);
    ledger.close().unwrap();
    drop(ledger);
    (old, copy(&disk))
}

#[test]
fn an_old_segment_beside_a_newer_mark_shows() {
    let (old, new) = old_and_new();
    let mixed = with_files(&new, &old, &[SEGMENT]);
    check_refused(
        &mixed,
        &[
            "segment-00000001.led: the entries end at entry 4, byte 4672, but 10 were acknowledged, up to sequence 9",
        ],
    );
    // A whole segment less than the mark tells of.
    let (one, two) = (lives(&[0]).0, lives(&[0, 1]).0);
    let mixed = with_files(&one, &two, &["MARK"]);
    check_refused(
        &mixed,
        &["segment-00000003.led is not there, though the rest of the ledger says that it was"],
    );
}

#[test]
fn an_old_copy_that_went_on_beside_the_mark_of_the_other_shows() {
    let (mut model, disk) = (Model::default(), SimDisk::new());
    let ledger = open(&disk).unwrap();
    model.append_each(&ledger, 3);
    ledger.close().unwrap();
    drop(ledger);
    let went_on = |first| {
        let (disk, mut model) = (copy(&disk), Model::beginning_with(first));
        let ledger = open(&disk).unwrap();
        model.append_each(&ledger, 3);
        ledger.close().unwrap();
        drop(ledger);
        disk
    };
    let (one, other) = (went_on(100), went_on(200));
    check_refused(
        &with_files(&one, &other, &["MARK"]),
        &[
            "segment-00000002.led: entry 5 at byte 4816 is damaged: it is not the entry that was acknowledged here",
            "one of the two is from another copy of this ledger",
        ],
    );
}

/// Put back as a whole it is in order in itself. What was noted of it elsewhere is gone from it; and sequences are given
/// out again, which is why a copy goes on under a new number only.
#[test]
fn a_whole_old_copy_shows_by_what_was_noted_elsewhere_alone() {
    let (old, new) = (lives(&[0]).0, lives(&[0, 1]).0);
    let noted = reader(&new).verify().report.head.unwrap();
    let digest = reader(&new).segments().last().unwrap().digest;
    let put_back = reader(&old);
    let verified = put_back.verify();
    assert!(verified.fault.is_none());
    let head = verified.report.head.unwrap();
    assert!(head.sequence < noted.sequence && head.segment < noted.segment);
    assert!(put_back.segments().iter().all(|info| info.digest != digest));
    let ledger = open_on(&old, 1).unwrap();
    let next = ledger.append(crate::support::entry(9)).unwrap().sequence();
    assert!(next <= noted.sequence, "it gives sequence {next} out again");
}

#[test]
fn files_of_another_ledger_show() {
    let number = |number| {
        let (disk, mut model) = (SimDisk::new(), Model::default());
        let ledger = Ledger::open_or_init(&disk, number, keys(), options()).unwrap();
        model.append_each(&ledger, 3);
        ledger.close().unwrap();
        drop(ledger);
        copy(&disk)
    };
    let (ours, theirs) = (number(LEDGER), number(8));
    for files in [&["LEDGER"][..], &["LEDGER", "MARK"]] {
        check_refused(
            &with_files(&ours, &theirs, files),
            &["segment-00000001.led", "it belongs to ledger 7, the folder to ledger 8"],
        );
    }
    check_refused(&with_files(&ours, &theirs, &["MARK"]), &["sim/MARK is gone or damaged"]);
    // The whole folder is that ledger: its number is in every code, and codes of another are told from its own.
    let codes = reader(&theirs).tracking_code(LEDGER, 2);
    let error = reader(&theirs).find(&codes).unwrap_err().to_string();
    assert_eq!(error, "the code belongs to ledger 7: ask there");
    let error = Ledger::init(&copy(&theirs), LEDGER, &keys()).unwrap_err().to_string();
    assert!(error.starts_with("sim/LEDGER says this is ledger 8 already"), "{error}");
}
