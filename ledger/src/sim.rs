//! A disk in memory that forgets what was not synced, for tests.
//!
//! Like a page cache it shows a process all that was written, and keeps apart what a power cut leaves: per
//! sector of 512 bytes any state between the last sync and now, in any order, on request torn within the
//! sector; and any of the creations and renames since the folder was synced. After a failed sync, as on
//! Linux, the cache goes on showing the bytes, but no later sync brings them to the disk.
//!
//! Steps are the operations that change something, counted from 0. A fault is set for one step.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile, DiskLock};

mod contents;

use contents::{Change, FileState};
pub use contents::{Random, Survival};

/// What goes wrong at a step, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails; a write may have happened in part, a sync may have brought some sectors out.
    Fails,
    /// The power goes in the middle of it: this and every later operation fails.
    PowerCut,
}

/// A disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Sim>);

#[derive(Default)]
struct Sim {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, usize>,
    stored_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    files: Vec<FileState>,
    locks: BTreeSet<String>,
    steps: u64,
    faults: BTreeMap<u64, Fault>,
    capacity: Option<usize>,
    syncs_lie: bool,
    off: bool,
    held: bool,
    blocked: usize,
    random: Random,
}

#[derive(Clone)]
enum NameChange {
    Create { name: String, file: usize },
    Remove { name: String },
    Rename { from: String, to: String, file: usize },
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// How many steps there were.
    pub fn steps(&self) -> u64 {
        self.0.state.lock().steps
    }

    /// Sets what happens at a step.
    pub fn set_fault(&self, step: u64, fault: Fault) {
        self.0.state.lock().faults.insert(step, fault);
    }

    /// Limits the bytes of all files together; writes beyond fall short and then fail.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.0.state.lock().capacity = bytes;
    }

    /// Makes syncs do nothing, and say that all is well.
    pub fn let_syncs_lie(&self) {
        self.0.state.lock().syncs_lie = true;
    }

    /// Makes writes and syncs wait until [`SimDisk::release`].
    pub fn hold(&self) {
        self.0.state.lock().held = true;
    }

    /// Ends [`SimDisk::hold`].
    pub fn release(&self) {
        self.0.state.lock().held = false;
        self.0.changed.notify_all();
    }

    /// Waits until some operation is held, or the power is off; not for ever, as there may be none to come.
    pub fn wait_until_held(&self) {
        let mut state = self.0.state.lock();
        while state.blocked == 0 && !state.off {
            if self.0.changed.wait_for(&mut state, Duration::from_millis(100)).timed_out() {
                return;
            }
        }
    }

    /// The disk after a power cut at this moment, as the next start finds it. The same seed gives the same
    /// disk; this one stays as it is.
    pub fn after_power_cut(&self, survival: Survival, seed: u64) -> SimDisk {
        let state = self.0.state.lock();
        let mut random = Random(seed);
        let files =
            state.files.iter().map(|file| FileState::holding(file.left(survival, &mut random))).collect();
        let mut names = state.stored_names.clone();
        for change in &state.name_changes {
            let survives = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Sectors | Survival::Torn => random.below(2) == 1,
            };
            if survives {
                change.apply(&mut names);
            }
        }
        SimDisk::with(names, files, seed)
    }

    /// The disk after the process was killed: the system still holds all that was written, synced or not.
    pub fn after_kill(&self) -> SimDisk {
        let state = self.0.state.lock();
        let next = SimDisk::with(state.names.clone(), state.files.clone(), state.random.0);
        {
            let mut next_state = next.0.state.lock();
            next_state.stored_names = state.stored_names.clone();
            next_state.name_changes = state.name_changes.clone();
        }
        next
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.0.state.lock().names.keys().cloned().collect()
    }

    /// The contents of a file, which must be there.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.0.state.lock();
        state.files[state.names[name]].cached.clone()
    }

    /// Puts other contents into a file, as synced.
    pub fn replace(&self, name: &str, contents: Vec<u8>) {
        let mut state = self.0.state.lock();
        let file = state.names[name];
        state.files[file] = FileState::holding(contents);
    }

    /// Takes a file away.
    pub fn remove(&self, name: &str) {
        let mut state = self.0.state.lock();
        state.names.remove(name);
        state.stored_names.remove(name);
    }

    fn with(names: BTreeMap<String, usize>, files: Vec<FileState>, seed: u64) -> SimDisk {
        let state =
            State { stored_names: names.clone(), names, files, random: Random(seed), ..State::default() };
        SimDisk(Arc::new(Sim { state: Mutex::new(state), changed: Condvar::new() }))
    }

    fn file(&self, file: usize, writable: bool) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), file, writable })
    }

    /// The state, if the power is on.
    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.state.lock();
        if state.off { Err(io::Error::other("the power is off")) } else { Ok(state) }
    }

    /// Begins a step: the state, and the fault that it is to have.
    fn step(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.powered()?;
        state.blocked += 1;
        while state.held {
            self.0.changed.notify_all();
            self.0.changed.wait(&mut state);
        }
        state.blocked -= 1;
        let step = state.steps;
        state.steps += 1;
        let fault = state.faults.get(&step).copied();
        if fault == Some(Fault::PowerCut) {
            state.off = true;
            self.0.changed.notify_all();
        }
        Ok((state, fault))
    }
}

/// Ends a step that had a fault.
fn end(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Fails) => Err(io::Error::other("the disk failed, as asked")),
        Some(Fault::PowerCut) => Err(io::Error::other("the power went")),
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.powered()?.names.keys().cloned().collect())
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let (mut state, fault) = self.step()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if fault != Some(Fault::Fails) {
            let file = state.files.len();
            state.files.push(FileState::default());
            state.change_name(NameChange::Create { name: name.to_owned(), file });
        }
        end(fault)?;
        Ok(self.file(state.files.len() - 1, true))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.powered()?;
        state.names.get(name).map(|&file| self.file(file, true)).ok_or(io::ErrorKind::NotFound.into())
    }

    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.powered()?;
        state.names.get(name).map(|&file| self.file(file, false)).ok_or(io::ErrorKind::NotFound.into())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if fault != Some(Fault::Fails) {
            state.change_name(NameChange::Remove { name: name.to_owned() });
        }
        end(fault)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if fault != Some(Fault::Fails) {
            state.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), file });
        }
        end(fault)
    }

    fn sync_dir(&self) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        end(fault)?;
        if !state.syncs_lie {
            state.stored_names = state.names.clone();
            state.name_changes.clear();
        }
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut state = self.powered()?;
        let is_free = state.locks.insert(name.to_owned());
        Ok(is_free
            .then(|| Box::new(SimLock { disk: self.clone(), name: name.to_owned() }) as Box<dyn DiskLock>))
    }

    fn describe(&self, name: &str) -> String {
        format!("sim/{name}")
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let state = self.powered()?;
        let used: usize = state.names.values().map(|&file| state.files[file].cached.len()).sum();
        Ok(state.capacity.map(|capacity| capacity.saturating_sub(used) as u64))
    }

    fn again(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

struct SimLock {
    disk: SimDisk,
    name: String,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.0.state.lock().locks.remove(&self.name);
    }
}

struct SimFile {
    disk: SimDisk,
    file: usize,
    writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.powered()?;
        let cached = &state.files[self.file].cached;
        let rest = usize::try_from(offset).ok().and_then(|offset| cached.get(offset..)).unwrap_or(&[]);
        let len = buf.len().min(rest.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let (mut state, fault) = self.disk.step()?;
        let offset = usize::try_from(offset).expect("a test file fits memory");
        let mut len = state.room_for(self.file, offset, buf.len());
        if len == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if fault == Some(Fault::Fails) {
            len = state.random.below(len + 1);
        }
        state.files[self.file].change(Change::Write { offset, bytes: buf[..len].to_vec() });
        end(fault)?;
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_writable()?;
        let (mut state, fault) = self.disk.step()?;
        let state = &mut *state;
        let file = &mut state.files[self.file];
        match fault {
            None if state.syncs_lie => {}
            None => file.store_changes(),
            Some(Fault::PowerCut) => {}
            Some(Fault::Fails) => {
                file.stored = file.left(Survival::Sectors, &mut state.random);
                file.changes.clear();
            }
        }
        end(fault)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.powered()?.files[self.file].cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let (mut state, fault) = self.disk.step()?;
        if fault != Some(Fault::Fails) {
            let len = usize::try_from(len).expect("a test file fits memory");
            state.files[self.file].change(Change::SetLen(len));
        }
        end(fault)
    }
}

impl State {
    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// How many of `len` bytes at `offset` the disk has room for.
    fn room_for(&self, file: usize, offset: usize, len: usize) -> usize {
        let Some(capacity) = self.capacity else { return len };
        let used: usize = self.files.iter().map(|file| file.cached.len()).sum();
        let end_max = self.files[file].cached.len() + capacity.saturating_sub(used);
        len.min(end_max.saturating_sub(offset))
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            NameChange::Remove { name } => {
                names.remove(name);
            }
            NameChange::Rename { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}
