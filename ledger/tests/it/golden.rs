//! A ledger written by the first version of the format stays readable, code by code. The files in
//! `tests/data/format-1` are never written again: a change that needs other bytes needs a new format version.

use std::path::Path;

use ledger::sim::SimDisk;
use ledger::{Disk, LedgerReader, RealDisk, TrackingCode};

use crate::support::{SEGMENT, entry, keys, open};

/// The codes that were given out for entries 0 to 5, sequences 2 to 7.
const CODES: [&str; 6] = [
    "3380074646039830",
    "3536181722391815",
    "3308663340834417",
    "3640906939413106",
    "3874960232186433",
    "3576241771601114",
];

#[test]
fn format_1() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1");
    let reader = LedgerReader::open(&RealDisk::new(&folder), keys()).unwrap();
    assert_eq!(reader.number(), 7);
    let verified = reader.verify();
    assert!(verified.fault.is_none(), "{:?}", verified.fault);
    assert_eq!((verified.report.entries, verified.report.inquiries, verified.report.closed), (8, 6, true));
    for (code, n) in CODES.iter().zip(0..) {
        let found = reader.find(&TrackingCode::parse(code).unwrap()).unwrap().unwrap();
        assert_eq!((found.sequence, found.entry), (n + 2, entry(n)));
    }
    // It also takes new entries, in the same chain.
    let disk = SimDisk::new();
    for name in ["LEDGER", SEGMENT] {
        disk.create_new(name).unwrap();
        disk.replace(name, std::fs::read(folder.join(name)).unwrap());
    }
    let ledger = open(&disk).unwrap();
    assert_eq!(ledger.append(entry(9)).unwrap().wait().unwrap().sequence, 10);
}
