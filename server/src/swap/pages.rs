//! What the system tells of this process's memory: which pages of a generation are there, how much memory the
//! process has, and how often it had to wait for a page.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes of `/proc/self/pagemap` for each page, and the bit that says that the page is in memory.
const ENTRY_LEN: usize = 8;
const PRESENT: u64 = 1 << 63;
const PIECE_LEN: usize = 64 * 1024;

/// The share of pages in these address ranges that are in memory and entered in the page table: a look-up meets
/// no fault there. None where the system does not tell.
pub(crate) fn resident_share(ranges: &[Range<usize>]) -> Option<f64> {
    let mut pagemap = File::open("/proc/self/pagemap").ok()?;
    let page_len = rustix::param::page_size();
    let (mut pages, mut present) = (0, 0);
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let of_range = range.start / page_len..range.end.div_ceil(page_len);
        pages += of_range.len() as u64;
        present += count_present(&mut pagemap, of_range)?;
    }
    (pages > 0).then(|| present as f64 / pages as f64)
}

fn count_present(pagemap: &mut File, pages: Range<usize>) -> Option<u64> {
    pagemap.seek(SeekFrom::Start((pages.start * ENTRY_LEN) as u64)).ok()?;
    let mut entries = pagemap.take((pages.len() * ENTRY_LEN) as u64);
    let mut piece = vec![0; PIECE_LEN];
    let mut present = 0;
    loop {
        let len = entries.read(&mut piece).ok()?;
        if len == 0 {
            return Some(present);
        }
        let whole = piece[..len].chunks_exact(ENTRY_LEN);
        let set =
            whole.filter(|entry| u64::from_le_bytes((*entry).try_into().unwrap_or_default()) & PRESENT != 0);
        present += set.count() as u64;
    }
}

/// Page faults of this process since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageFaults {
    /// Those that the page table alone had to be mended for.
    pub(crate) minor: u64,
    /// Those that waited for the disk.
    pub(crate) major: u64,
}

impl PageFaults {
    pub(crate) fn now() -> Option<PageFaults> {
        PageFaults::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The program's name stands in parentheses and may hold anything; what follows it are numbers.
    fn parse(stat: &str) -> Option<PageFaults> {
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(7);
        let minor = fields.next()?.parse().ok()?;
        let major = fields.nth(1)?.parse().ok()?;
        Some(PageFaults { minor, major })
    }
}

/// Bytes of memory that this process has, mapped files included.
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::{PageFaults, resident_bytes, resident_share};

    #[test]
    fn pages_are_there_once_they_were_touched() {
        let page = rustix::param::page_size();
        let untouched: Vec<u8> = Vec::with_capacity(page * 1024);
        let start = untouched.as_ptr() as usize;
        let inner = start.next_multiple_of(page)..(start + page * 1024) / page * page;
        assert!(resident_share(std::slice::from_ref(&inner)).unwrap() < 0.1);
        let touched = vec![1_u8; page * 1024];
        let start = touched.as_ptr() as usize;
        let touched = start..start + page * 1024;
        assert_eq!(resident_share(std::slice::from_ref(&touched)), Some(1.0));
        let both = resident_share(&[inner, touched, 5..5]).unwrap();
        assert!((0.4..0.6).contains(&both), "{both}");
        assert_eq!(resident_share(&[]), None);
    }

    #[test]
    fn faults_are_found_behind_a_name_that_looks_like_numbers() {
        let stat = "7 (a) 1 (b) S 1 7 7 0 -1 4194304 211 0 3 0 0 0 0";
        assert_eq!(PageFaults::parse(stat), Some(PageFaults { minor: 211, major: 3 }));
        assert_eq!(PageFaults::parse("7 (a) S"), None);
        assert!(PageFaults::now().unwrap().minor > 0);
        assert!(resident_bytes().unwrap() > 1 << 20);
    }
}
