//! A disk in memory that forgets what was not synced. Like a page cache it shows a process all that was done, and keeps
//! apart what a power cut leaves. It is no kinder than a file system: a folder without write permission refuses changes
//! of its names, whoever asks.
//!
//! Steps are the single operations that change something, as the file system knows them: making a file, writing to it,
//! syncing it, and so on, counted from 0. A fault is set for one step.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::tree::{Body, Change, FileState, FolderState, NameChange, Node, Random, Survival};
use crate::disk::{Disk, Lock};

const ROOT: usize = 0;
const OWNER_WRITES: u32 = 0o200;

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The operation fails, once: a write may have happened in part, a sync may have brought some sectors out.
    Fails,
    /// The disk is full from here on, until [`SimDisk::make_room`].
    Full,
    /// The power goes in the middle of it: this and every later operation fails.
    PowerCut,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Create,
    Write,
    Cut,
    Sync,
    SyncFolder,
    Chmod,
    Rename,
    Unlink,
    Mkdir,
    Rmdir,
}

/// A disk; clones are the same disk.
#[derive(Clone)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

struct State {
    nodes: Vec<Node>,
    locks: BTreeSet<String>,
    steps: Vec<Step>,
    fault: Option<(usize, Fault)>,
    syncs_lie: bool,
    off: bool,
    /// Done once that file was read.
    after_read: Option<(String, Box<dyn FnOnce() + Send>)>,
    random: Random,
}

impl SimDisk {
    /// An empty snapshots folder.
    pub(super) fn new() -> SimDisk {
        SimDisk::with(vec![Node::new(0o750, Body::Folder(FolderState::default()))], Random(0))
    }

    fn with(nodes: Vec<Node>, random: Random) -> SimDisk {
        let (locks, steps) = (BTreeSet::new(), Vec::new());
        let (fault, after_read) = (None, None);
        let state = State { nodes, locks, steps, fault, syncs_lie: false, off: false, after_read, random };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// The steps so far.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.0.lock().steps.clone()
    }

    /// Sets what happens at a step, so many from now.
    pub(super) fn set_fault(&self, from_now: usize, fault: Fault) {
        let mut state = self.0.lock();
        state.fault = Some((state.steps.len() + from_now, fault));
    }

    /// Ends a fault that lasts.
    pub(super) fn make_room(&self) {
        self.0.lock().fault = None;
    }

    /// Makes syncs do nothing, and say that all is well.
    pub(super) fn let_syncs_lie(&self) {
        self.0.lock().syncs_lie = true;
    }

    /// Sets what somebody else does right after that file is read the next time.
    pub(super) fn after_read(&self, name: &str, act: impl FnOnce() + Send + 'static) {
        self.0.lock().after_read = Some((name.to_owned(), Box::new(act)));
    }

    /// The disk after a power cut at this moment, as the next start finds it. The same seed gives the same disk; this
    /// one stays as it is.
    pub(super) fn after_power_cut(&self, survival: Survival, seed: u64) -> SimDisk {
        let mut random = Random(seed);
        let nodes = self.0.lock().nodes.iter().map(|node| node.left(survival, &mut random)).collect();
        SimDisk::with(nodes, random)
    }

    /// The disk after the process was killed: the system still holds all that was done, synced or not.
    pub(super) fn after_kill(&self) -> SimDisk {
        let state = self.0.lock();
        SimDisk::with(state.nodes.clone(), state.random.clone())
    }

    /// Puts all that is seen now into a real folder, which is empty.
    pub(super) fn copy_to(&self, folder: &Path) {
        for name in self.list("").unwrap() {
            if self.is_folder(&name).unwrap() {
                fs::create_dir(folder.join(&name)).unwrap();
                self.list(&name)
                    .unwrap()
                    .iter()
                    .for_each(|file| self.copy_file(&format!("{name}/{file}"), folder));
                self.copy_mode(&name, folder);
            } else {
                self.copy_file(&name, folder);
            }
        }
    }

    fn copy_file(&self, name: &str, folder: &Path) {
        fs::write(folder.join(name), self.read(name).unwrap()).unwrap();
        self.copy_mode(name, folder);
    }

    fn copy_mode(&self, name: &str, folder: &Path) {
        fs::set_permissions(folder.join(name), Permissions::from_mode(self.mode(name).unwrap())).unwrap();
    }

    /// Begins a step: the state, and the fault that it is to have.
    fn step(&self, step: Step) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.powered()?;
        let number = state.steps.len();
        state.steps.push(step);
        let fault = match state.fault {
            Some((at, Fault::Full)) if number >= at && step.takes_room() => Some(Fault::Full),
            Some((at, fault)) if number == at && fault != Fault::Full => Some(fault),
            _ => None,
        };
        state.off = fault == Some(Fault::PowerCut);
        Ok((state, fault))
    }

    /// The state, if the power is on.
    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.lock();
        if state.off { Err(io::Error::other("the power is off")) } else { Ok(state) }
    }

    /// A step that changes the names of the folder in which `name` lies.
    fn change_names(&self, step: Step, name: &str, change: NameChange, made: Option<Node>) -> io::Result<()> {
        let (mut state, fault) = self.step(step)?;
        let folder = state.find(split(name).0)?;
        if state.nodes[folder].mode & OWNER_WRITES == 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if matches!(fault, None | Some(Fault::PowerCut)) {
            state.nodes.extend(made);
            state.nodes[folder].folder().expect("found by its names").change(change);
        }
        end(fault)
    }

    fn make(&self, step: Step, name: &str, mode: u32, body: Body) -> io::Result<()> {
        let node = {
            let state = self.powered()?;
            if state.find(name).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.nodes.len()
        };
        let change = NameChange::Create { name: split(name).1.to_owned(), node };
        self.change_names(step, name, change, Some(Node::new(mode, body)))
    }

    fn remove(&self, step: Step, name: &str) -> io::Result<()> {
        self.powered()?.find(name)?;
        self.change_names(step, name, NameChange::Remove { name: split(name).1.to_owned() }, None)
    }

    fn change(&self, step: Step, name: &str, change: Change) -> io::Result<()> {
        let (mut state, fault) = self.step(step)?;
        let state = &mut *state;
        let node = state.find(name)?;
        let file = state.nodes[node].file().ok_or(io::ErrorKind::IsADirectory)?;
        match (fault, change) {
            (None | Some(Fault::PowerCut), change) => file.change(change),
            (Some(_), Change::Append(mut bytes)) => {
                bytes.truncate(state.random.below(bytes.len() + 1));
                file.change(Change::Append(bytes));
            }
            (Some(_), Change::Cut(_)) => {}
        }
        end(fault)
    }

    fn sync(&self, step: Step, name: &str) -> io::Result<()> {
        let (mut state, fault) = self.step(step)?;
        let state = &mut *state;
        let node = state.find(name)?;
        match fault {
            None if !state.syncs_lie => state.nodes[node].store(),
            Some(Fault::Fails) => state.nodes[node].fail_to_store(&mut state.random),
            _ => {}
        }
        end(fault)
    }

    fn chmod(&self, name: &str, mode: u32) -> io::Result<()> {
        let (mut state, fault) = self.step(Step::Chmod)?;
        let node = state.find(name)?;
        if fault != Some(Fault::Fails) {
            state.nodes[node].mode = mode;
        }
        end(fault)
    }

    fn is_folder(&self, name: &str) -> io::Result<bool> {
        let mut state = self.powered()?;
        let node = state.find(name)?;
        Ok(state.nodes[node].folder().is_some())
    }
}

impl Step {
    fn takes_room(self) -> bool {
        matches!(self, Step::Create | Step::Write | Step::Mkdir)
    }
}

/// Ends a step that had a fault.
fn end(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Fails) => Err(io::Error::other("the disk failed, as asked")),
        Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
        Some(Fault::PowerCut) => Err(io::Error::other("the power went")),
    }
}

/// The folder, `""` being the snapshots folder, and the name in it.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

impl State {
    fn find(&self, name: &str) -> io::Result<usize> {
        name.split('/').filter(|part| !part.is_empty()).try_fold(ROOT, |node, part| {
            match &self.nodes[node].body {
                Body::Folder(folder) => folder.names.get(part).copied().ok_or(io::ErrorKind::NotFound.into()),
                Body::File(_) => Err(io::ErrorKind::NotADirectory.into()),
            }
        })
    }
}

impl Disk for SimDisk {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.powered()?;
        let node = state.find(name)?;
        let bytes = state.nodes[node].file().ok_or(io::ErrorKind::IsADirectory)?.cached.clone();
        let act = state.after_read.take_if(|(of, _)| of == name);
        drop(state);
        if let Some((_, act)) = act {
            act();
        }
        Ok(bytes)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.read(name)?.len() as u64)
    }

    fn mode(&self, name: &str) -> io::Result<u32> {
        let state = self.powered()?;
        Ok(state.nodes[state.find(name)?].mode)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut state = self.powered()?;
        let node = state.find(folder)?;
        let folder = state.nodes[node].folder().ok_or(io::ErrorKind::NotADirectory)?;
        Ok(folder.names.keys().cloned().collect())
    }

    fn make_folder(&self, name: &str) -> io::Result<()> {
        self.make(Step::Mkdir, name, 0o700, Body::Folder(FolderState::default()))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.make(Step::Create, name, 0o600, Body::File(FileState::default()))?;
        self.change(Step::Write, name, Change::Append(bytes.to_vec()))?;
        self.sync(Step::Sync, name)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self.make(Step::Create, name, 0o640, Body::File(FileState::default())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        self.change(Step::Write, name, Change::Append(bytes.to_vec()))?;
        self.sync(Step::Sync, name)
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.change(Step::Cut, name, Change::Cut(usize::try_from(len).expect("a test file fits memory")))?;
        self.sync(Step::Sync, name)
    }

    fn protect(&self, name: &str, mode: u32) -> io::Result<()> {
        self.chmod(name, mode)?;
        self.sync(Step::Sync, name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        assert_eq!(split(from).0, split(to).0, "nothing goes from one folder to another");
        let node = self.powered()?.find(from)?;
        if self.is_folder(to).unwrap_or(false) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let change = NameChange::Rename { from: split(from).1.to_owned(), to: split(to).1.to_owned(), node };
        self.change_names(Step::Rename, from, change, None)
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.remove(Step::Unlink, name)
    }

    fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.chmod(name, 0o700)?;
        for file in self.list(name)? {
            self.remove(Step::Unlink, &format!("{name}/{file}"))?;
        }
        self.remove(Step::Rmdir, name)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.sync(Step::SyncFolder, folder)
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        match self.make(Step::Create, name, 0o600, Body::File(FileState::default())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let is_free = self.powered()?.locks.insert(name.to_owned());
        Ok(is_free.then(|| Box::new(SimLock { disk: self.clone(), name: name.to_owned() }) as Box<dyn Lock>))
    }
}

struct SimLock {
    disk: SimDisk,
    name: String,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.0.lock().locks.remove(&self.name);
    }
}
