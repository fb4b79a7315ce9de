//! The files and folders of the test disk: what a process sees, what is stored, and what a power cut makes of the
//! difference.

use std::collections::BTreeMap;

const SECTOR_LEN: usize = 512;

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survival {
    /// None of it.
    Nothing,
    /// All of it.
    Everything,
    /// Of names some creations, renames and removals; of a file's sectors some state between the last sync and now,
    /// each by itself, and maybe two states put together at any byte; of modes the old or the new one.
    Some,
}

/// A file or a folder.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) mode: u32,
    stored_mode: u32,
    pub(super) body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    File(FileState),
    Folder(FolderState),
}

#[derive(Clone, Default)]
pub(super) struct FileState {
    pub(super) cached: Vec<u8>,
    stored: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone)]
pub(super) enum Change {
    Append(Vec<u8>),
    Cut(usize),
}

/// Names, and the numbers of the nodes that bear them.
#[derive(Clone, Default)]
pub(super) struct FolderState {
    pub(super) names: BTreeMap<String, usize>,
    stored: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Create { name: String, node: usize },
    Remove { name: String },
    Rename { from: String, to: String, node: usize },
}

impl Node {
    /// One that was just made: nothing of it is stored.
    pub(super) fn new(mode: u32, body: Body) -> Node {
        Node { mode, stored_mode: mode, body }
    }

    pub(super) fn file(&mut self) -> Option<&mut FileState> {
        match &mut self.body {
            Body::File(file) => Some(file),
            Body::Folder(_) => None,
        }
    }

    pub(super) fn folder(&mut self) -> Option<&mut FolderState> {
        match &mut self.body {
            Body::File(_) => None,
            Body::Folder(folder) => Some(folder),
        }
    }

    /// What a sync does: brings out what was changed since the last one. Not all that is seen: what was lost in a
    /// failed sync stays lost.
    pub(super) fn store(&mut self) {
        self.stored_mode = self.mode;
        match &mut self.body {
            Body::File(file) => file.changes.drain(..).for_each(|change| change.apply(&mut file.stored)),
            Body::Folder(folder) => {
                folder.changes.drain(..).for_each(|change| change.apply(&mut folder.stored));
            }
        }
    }

    /// A sync that fails, as on Linux: a file goes on showing what was written, but no later sync brings it to the
    /// disk. The names of a folder stand in the file system's own log, and are tried again.
    pub(super) fn fail_to_store(&mut self, random: &mut Random) {
        if let Body::File(file) = &mut self.body {
            file.stored = file.left(Survival::Some, random);
            file.changes.clear();
        }
    }

    /// The node after a power cut.
    pub(super) fn left(&self, survival: Survival, random: &mut Random) -> Node {
        let mode = if random.survives(survival) { self.mode } else { self.stored_mode };
        let body = match &self.body {
            Body::File(file) => {
                let left = file.left(survival, random);
                Body::File(FileState { cached: left.clone(), stored: left, changes: Vec::new() })
            }
            Body::Folder(folder) => {
                let names = folder.left(survival, random);
                Body::Folder(FolderState { names: names.clone(), stored: names, changes: Vec::new() })
            }
        };
        Node::new(mode, body)
    }
}

impl FileState {
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    fn left(&self, survival: Survival, random: &mut Random) -> Vec<u8> {
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
            Survival::Some => {}
        }
        let (mut left, len) = (Vec::new(), states[random.below(states.len())].len());
        while left.len() < len {
            let (start, end) = (left.len(), len.min(left.len() + SECTOR_LEN));
            let split = start + random.below(end - start + 1);
            for range in [start..split, split..end] {
                let state = &states[random.below(states.len())];
                left.extend(range.map(|at| state.get(at).copied().unwrap_or(0)));
            }
        }
        left
    }
}

impl FolderState {
    pub(super) fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.changes.push(change);
    }

    fn left(&self, survival: Survival, random: &mut Random) -> BTreeMap<String, usize> {
        let mut names = self.stored.clone();
        for change in &self.changes {
            if random.survives(survival) {
                change.clone().apply(&mut names);
            }
        }
        names
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Append(bytes) => contents.extend_from_slice(bytes),
            Change::Cut(len) => contents.truncate(*len),
        }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create { name, node } => names.insert(name, node),
            NameChange::Remove { name } => names.remove(&name),
            NameChange::Rename { from, to, node } => {
                names.remove(&from);
                names.insert(to, node)
            }
        };
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, nearly evenly; 0 for 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.number() % (bound.max(1) as u64)) as usize
    }

    fn survives(&mut self, survival: Survival) -> bool {
        match survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Some => self.below(2) == 1,
        }
    }
}
