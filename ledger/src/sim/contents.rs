//! The bytes of one file of the test disk: what a process sees, what is stored, and what a power cut makes of
//! the difference.

const SECTOR_LEN: usize = 512;

/// What a power cut leaves of the bytes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// Of each sector some state between the last sync and now, each by itself: losses and new orders.
    Sectors,
    /// The same, and a sector may be two states put together at any byte.
    Torn,
}

#[derive(Clone, Default)]
pub(super) struct FileState {
    pub(super) cached: Vec<u8>,
    pub(super) stored: Vec<u8>,
    pub(super) changes: Vec<Change>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl FileState {
    pub(super) fn holding(contents: Vec<u8>) -> FileState {
        FileState { cached: contents.clone(), stored: contents, changes: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    /// What a sync does: brings out what was changed since the last one. Not all that is cached: what was lost
    /// in a failed sync stays lost.
    pub(super) fn store_changes(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.stored);
        }
    }

    /// The contents after a power cut.
    pub(super) fn left(&self, survival: Survival, random: &mut Random) -> Vec<u8> {
        let mut states = vec![self.stored.clone()];
        for change in &self.changes {
            let mut next = states.last().expect("begins with one").clone();
            change.apply(&mut next);
            states.push(next);
        }
        let last = states.len() - 1;
        match survival {
            Survival::Nothing => return states.swap_remove(0),
            Survival::Everything => return states.swap_remove(last),
            Survival::Sectors | Survival::Torn => {}
        }
        let mut left = Vec::new();
        let len = states[random.below(states.len())].len();
        while left.len() < len {
            let (start, end) = (left.len(), len.min(left.len() + SECTOR_LEN));
            let split = if survival == Survival::Torn { random.below(end - start + 1) } else { end - start };
            for range in [start..start + split, start + split..end] {
                let state = &states[random.below(states.len())];
                left.extend(range.map(|at| state.get(at).copied().unwrap_or(0)));
            }
        }
        left
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*offset..end].copy_from_slice(bytes);
            }
            Change::SetLen(len) => contents.resize(*len, 0),
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, nearly evenly; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % (bound.max(1) as u64)) as usize
    }
}
