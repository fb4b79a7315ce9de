//! How fast it is, as a sanity check: prints, and asserts no time.

use std::time::Instant;

use ledger::{Ledger, Options, RealDisk};

use crate::support::{entry, keys};

const ENTRIES: u64 = 40_000;

/// Keeps `in_flight` entries under way, waiting for the oldest.
fn run(in_flight: usize) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ledger = Ledger::open_or_init(&RealDisk::new(folder.path()), 1, keys(), Options::default()).unwrap();
    let mut pending = std::collections::VecDeque::with_capacity(in_flight);
    let begun = Instant::now();
    let count = if in_flight == 1 { ENTRIES / 20 } else { ENTRIES };
    for n in 0..count {
        if pending.len() == in_flight {
            pending.pop_front().map(ledger::Pending::wait).unwrap().unwrap();
        }
        pending.push_back(ledger.append(entry(n)).unwrap());
    }
    pending.into_iter().for_each(|pending| assert!(pending.wait().is_ok()));
    let (seconds, stats) = (begun.elapsed().as_secs_f64(), ledger.stats());
    assert_eq!(stats.entries, count);
    assert!(in_flight == 1 || stats.batches < count, "nothing was synced together");
    let (rate, per_sync) = (count as f64 / seconds, count as f64 / stats.batches as f64);
    println!("{in_flight} in flight: {rate:.0} entries/s, {per_sync:.1} a sync");
    ledger.close().unwrap();
    assert_eq!(
        ledger::LedgerReader::open(&RealDisk::new(folder.path()), keys()).unwrap().verify().report.inquiries,
        count
    );
}

#[test]
fn throughput() {
    for in_flight in [1, 64, 1024] {
        run(in_flight);
    }
}
