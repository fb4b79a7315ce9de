//! Retention: whole sealed segments go once all of their entries are old enough. Evidence of it comes first, as an
//! entry; then `PRUNED` says where the chain begins; only then files are removed.
//!
//! Power may fail at any step: what the entry tells of and was not removed, the next prune removes.

use std::io;

use thiserror::Error;

use crate::chain::SegmentInfo;
use crate::entry::ProviderId;
use crate::error::AppendError;
use crate::folder::UNFINISHED;
use crate::format::segment_of;
use crate::ledger::Ledger;
use crate::month::tehran_day;
use crate::pruned::{self, PRUNED_FILE};
use crate::record::{Act, Deed};
use crate::segment::Link;

/// Why segments were not pruned, or not all of them.
#[derive(Debug, Error)]
pub enum PruneError {
    /// The last segment asked for is not one that is sealed.
    #[error("segment {segment} is not among the sealed ones: nothing was pruned")]
    NotSealed {
        /// Its number.
        segment: u32,
    },
    /// The entry that tells of it was not written.
    #[error("the entry that tells of the pruning was not written, and nothing was pruned: {0}")]
    Entry(#[from] AppendError),
    /// The disk failed.
    #[error("cannot prune {path}: {source}; look at the disk, then prune again: it goes on where it was")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// Segments that went now.
    pub segments: u64,
    /// Their entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The last one of them.
    pub last_segment: Option<u32>,
    /// The sequence of the entry that tells of it.
    pub sequence: Option<u64>,
}

impl Pruning {
    fn of(segments: &[SegmentInfo]) -> Pruning {
        Pruning {
            segments: segments.len() as u64,
            entries: segments.iter().map(|info| info.entries).sum(),
            bytes: segments.iter().map(|info| info.len_bytes).sum(),
            last_segment: segments.last().map(|info| info.number),
            sequence: None,
        }
    }
}

/// The segments, of those that are sealed, whose entries are all more than `keep_days` days old: from the first on,
/// up to the first that is to stay. Age counts in days of Tehran, from today or from the latest entry, whichever is
/// earlier: a clock that runs ahead must not empty a ledger.
pub fn prunable(sealed: &[SegmentInfo], keep_days: u32, now_ms: u64) -> &[SegmentInfo] {
    let latest_ms = sealed.iter().map(|info| info.times_ms.1).max().unwrap_or(0);
    let today = tehran_day(now_ms.min(latest_ms)).number();
    let is_old = |info: &&SegmentInfo| {
        let age = today.saturating_sub(tehran_day(info.times_ms.1).number());
        u32::from(age) > keep_days
    };
    &sealed[..sealed.iter().take_while(is_old).count()]
}

impl Ledger {
    /// Removes all sealed segments up to number `last`, after an entry that says so. Removes as well what an
    /// earlier pruning that was cut short left behind; with `last` none, only that.
    ///
    /// # Errors
    /// [`PruneError`]. After [`PruneError::Io`] a part may have gone.
    pub fn prune(&self, last: Option<u32>, actor: ProviderId) -> Result<Pruning, PruneError> {
        let _alone = self.indexer.pruning.lock();
        let mut done = Pruning::default();
        if let Some(last) = last {
            let sealed = self.segments();
            let count = sealed.iter().position(|info| info.number == last);
            let going = &sealed[..count.ok_or(PruneError::NotSealed { segment: last })? + 1];
            done = Pruning::of(going);
            let deed = Deed::Prune { segment: last, entries: done.entries };
            let receipt = self.append(Act { time_ms: self.now_ms(), actor, deed })?.wait()?;
            done.sequence = Some(receipt.sequence);
            let link = going.last().expect("one at least").link;
            self.publish_pruned(&link)?;
            self.forget(going.len());
        }
        self.sweep()?;
        Ok(done)
    }

    fn publish_pruned(&self, link: &Link) -> Result<(), PruneError> {
        let published = pruned::publish(self.disk().as_ref(), link, self.now_ms(), self.keys());
        published.map_err(|source| PruneError::Io { path: self.disk().describe(PRUNED_FILE), source })
    }

    /// Removes the files of all segments before the first that the chain has.
    fn sweep(&self) -> Result<(), PruneError> {
        let disk = self.disk().as_ref();
        let failed = |name: &str, source| PruneError::Io { path: disk.describe(name), source };
        let pruned =
            pruned::read(disk, self.keys()).map_err(|error| failed(PRUNED_FILE, io::Error::other(error)))?;
        let Some(link) = pruned else { return Ok(()) };
        for name in disk.list().map_err(|source| failed("", source))? {
            if number_of(&name).is_some_and(|number| number <= link.segment) {
                disk.remove(&name).map_err(|source| failed(&name, source))?;
            }
        }
        disk.sync_dir().map_err(|source| failed("", source))
    }
}

/// The segment that a file of this name is, or is the index of, whole or in the making.
fn number_of(name: &str) -> Option<u32> {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    let stem = name.strip_suffix(".idx").map(|stem| format!("{stem}.led"));
    segment_of(stem.as_deref().unwrap_or(name))
}
