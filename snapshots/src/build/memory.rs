//! How much memory a build may take, and what of it is left for rows.

use std::fs;
use std::str::FromStr;

use thiserror::Error;

use super::error::BuildError;
use crate::extract::ExtractError;

const MIB: u64 = 1 << 20;
/// What a build takes beside the rows that it keeps: blocks that are read and checked, rows that are merged while
/// others are written, the index in the making.
const FIXED: u64 = 224 * MIB;
/// Below this a build would put nearly everything aside.
const MIN: u64 = 256 * MIB;
/// What a national build needs to keep all rows.
const USUAL_MAX: u64 = 4096 * MIB;

/// A bound on the memory that a build takes. Mapped pages of the finished files come on top: the system takes
/// them back when it needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBound(u64);

/// The text is no bound, or one that is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemoryBoundError {
    /// Something else.
    #[error("give a number of bytes with KiB, MiB or GiB, such as 4GiB")]
    Form,
    /// Less than a build can do with.
    #[error("a build needs at least 256MiB")]
    TooSmall,
}

impl MemoryBound {
    /// So many bytes, at least 256 MiB.
    pub fn new(bytes: u64) -> Option<MemoryBound> {
        (bytes >= MIN).then_some(MemoryBound(bytes))
    }

    /// Bytes of rows to keep in memory: half of what is left, the other half being for those that are sorted.
    pub(crate) fn rows_len(self) -> usize {
        usize::try_from((self.0 - FIXED) / 2).unwrap_or(usize::MAX)
    }

    /// What a row group takes while it is decoded must fit where rows are sorted later.
    pub(crate) fn check_decoding(self, len: u64) -> Result<(), ExtractError> {
        if len <= (self.0 - FIXED) / 2 {
            return Ok(());
        }
        let least_mib = len.saturating_mul(2).saturating_add(FIXED).div_ceil(MIB);
        Err(ExtractError::RowGroupMemory { needed_mib: len.div_ceil(MIB), least_mib })
    }

    /// Rows that are sorted together must fit beside what is kept.
    pub(crate) fn check_part(self, len: usize) -> Result<(), BuildError> {
        let len = len as u64;
        if len <= (self.0 - FIXED) / 2 {
            return Ok(());
        }
        Err(BuildError::Memory { needed_mib: len.div_ceil(MIB), least_mib: (2 * len + FIXED).div_ceil(MIB) })
    }
}

impl Default for MemoryBound {
    /// 4 GiB, or three quarters of what the machine has to spare when that is less.
    fn default() -> MemoryBound {
        let spare = available().map_or(USUAL_MAX, |bytes| bytes / 4 * 3);
        MemoryBound(spare.clamp(MIN, USUAL_MAX))
    }
}

/// Memory that can be had without swapping.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|limit| limit.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(limit.min(kib * 1024))
}

impl FromStr for MemoryBound {
    type Err = MemoryBoundError;

    fn from_str(text: &str) -> Result<MemoryBound, MemoryBoundError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => MIB,
            "GiB" => 1 << 30,
            _ => return Err(MemoryBoundError::Form),
        };
        let number: u64 = number.parse().map_err(|_| MemoryBoundError::Form)?;
        let bytes = number.checked_mul(unit).ok_or(MemoryBoundError::Form)?;
        MemoryBound::new(bytes).ok_or(MemoryBoundError::TooSmall)
    }
}

#[cfg(test)]
mod tests {
    use super::{MIB, MemoryBound, MemoryBoundError};

    #[test]
    fn bounds_as_they_are_written() {
        assert_eq!("4GiB".parse(), Ok(MemoryBound(4096 * MIB)));
        assert_eq!("256MiB".parse(), Ok(MemoryBound(256 * MIB)));
        assert_eq!("268435456".parse(), Ok(MemoryBound(256 * MIB)));
        assert_eq!("255MiB".parse::<MemoryBound>(), Err(MemoryBoundError::TooSmall));
        for wrong in ["", "GiB", "4GB", "-4GiB", "4 GiB", "99999999999999999999", "99999999999GiB"] {
            assert_eq!(wrong.parse::<MemoryBound>(), Err(MemoryBoundError::Form), "{wrong:?}");
        }
    }

    #[test]
    fn a_part_that_does_not_fit_is_told_with_what_would_do() {
        let bound: MemoryBound = "256MiB".parse().unwrap();
        assert!(bound.check_part(16 << 20).is_ok());
        let message = bound.check_part((16 << 20) + 1).unwrap_err().to_string();
        assert!(
            message.starts_with("17 MiB of rows") && message.contains("at least --memory 257MiB"),
            "{message}"
        );
    }
}
