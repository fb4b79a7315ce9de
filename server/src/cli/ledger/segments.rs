//! `ledger verify --segments`: a line for each segment, with what an auditor notes elsewhere. No cell holds a space.

use ::ledger::{LedgerReader, SegmentInfo, Verified};

use super::super::options::CommandError;
use super::super::output;
use super::time;

const COLUMNS: &str = "segment entries first_sequence last_sequence first_time last_time digest";

/// Lists the segments that were found in order; the one that is not sealed has no times and no digest yet.
pub(super) fn list(reader: &LedgerReader, verified: &Verified) -> Result<(), CommandError> {
    output::line(COLUMNS)?;
    // The last one that was looked at is the one with the fault.
    let faulty = u64::from(verified.fault.is_some());
    let in_order = usize::try_from(verified.report.segments - faulty.min(verified.report.segments));
    let sealed = reader.segments();
    for info in sealed.iter().take(in_order.unwrap_or(usize::MAX)) {
        output::line(&sealed_line(info))?;
    }
    let entries = verified.report.entries
        - sealed.iter().map(|info| info.entries).sum::<u64>().min(verified.report.entries);
    match verified.report.head {
        Some(head) if verified.fault.is_none() && entries > 0 => {
            let first = head.sequence + 1 - entries;
            output::line(&format!("{:08} {entries} {first} {} - - not_sealed", head.segment, head.sequence))
        }
        _ => Ok(()),
    }
}

fn sealed_line(info: &SegmentInfo) -> String {
    let SegmentInfo { number, entries, first_sequence, last_sequence, .. } = info;
    let (first_time, last_time) = (time(info.times_ms.0), time(info.times_ms.1));
    let digest = blake3::Hash::from_bytes(info.digest).to_hex();
    format!("{number:08} {entries} {first_sequence} {last_sequence} {first_time} {last_time} {digest}")
}
