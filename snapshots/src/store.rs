//! The state machine of generations: built, published, retired, rolled back, pruned. Each transition is one line
//! in the journal, synced, and then one rename; a crash at any point leaves the old or the new state, which the
//! next transition finds out from the disk and goes on from. Opening generations for answers is `open`'s.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use engine::{INDEX_FILE, RECORDS_FILE};
use jiff::Timestamp;
use serde::Serialize;

use crate::content::{Content, json_file};
use crate::disk::{Disk, Lock, RealDisk};
use crate::gates::{self, Baseline, Gate, GateLimits, GateOutcome};
use crate::generation::GenerationName;
use crate::journal::{Event, JOURNAL_FILE, Journal, JournalLine, TORN_FILE};
use crate::open::{CONTENT_FILE, CURRENT_FILE, OpenError, parse_content, parse_current};
use crate::publication::{Acceptance, PUBLICATION_FILE, Publication};
use crate::signing::{SIGNATURE_SUFFIX, SigningKey};
use crate::states::{Listed, State, came_true, fold, last_retired};
use crate::store_error::StoreError;

/// Held by whoever changes a state, for milliseconds.
const STATE_LOCK: &str = ".state.lock";
/// How long a change waits for another one.
const STATE_LOCK_WAIT: Duration = Duration::from_secs(10);
const CURRENT_BESIDE: &str = ".CURRENT.new";
/// A pruned generation while its files go.
const REMOVING_PREFIX: &str = ".removing-";
pub(crate) const FILE_MODE: u32 = 0o440;
pub(crate) const FOLDER_MODE: u32 = 0o550;
const OPEN_FOLDER_MODE: u32 = 0o700;

/// How a generation is published.
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    /// The gates' limits.
    pub limits: GateLimits,
    /// The reason for which gates are overridden.
    pub accept: Option<String>,
    /// The key for a changed `publication.json`.
    pub signing_key: Option<SigningKey>,
}

/// What publishing did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The generation, which is now the current one.
    pub generation: GenerationName,
    /// What was current before; the same when nothing had to be done.
    pub before: Option<GenerationName>,
    /// How the gates judged.
    pub gates: Vec<GateOutcome>,
}

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// What was taken back.
    pub generation: GenerationName,
    /// What is current now.
    pub to: GenerationName,
}

/// A snapshots folder, and who changes it.
pub struct Store {
    disk: Box<dyn Disk>,
    dir: PathBuf,
    by: String,
}

/// The states, while nobody else may change them.
struct Held<'a> {
    store: &'a Store,
    journal: Journal,
    current: Option<GenerationName>,
    _lock: Box<dyn Lock>,
}

impl Store {
    /// The store in a folder of the file system; `by` is told in the journal.
    pub fn new(dir: &Path, by: impl Into<String>) -> Store {
        Store::on(Box::new(RealDisk::new(dir)), dir, by)
    }

    /// The store on a disk; `dir` is what messages call it.
    pub fn on(disk: Box<dyn Disk>, dir: &Path, by: impl Into<String>) -> Store {
        Store { disk, dir: dir.to_owned(), by: by.into() }
    }

    /// The snapshots folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All generations on disk, by name. Takes no lock and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`], when the folder or the journal cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let journal = self.read_journal()?.0;
        self.listed(&journal, self.read_current()?)
    }

    /// Where a rollback leads when no generation is named; none where none was current before.
    ///
    /// # Errors
    /// [`StoreError`], when the folder or the journal cannot be read.
    pub fn rollback_target(&self) -> Result<Option<GenerationName>, StoreError> {
        Ok(last_retired(&self.list()?))
    }

    /// All transitions so far. The last one may be one that is under way.
    ///
    /// # Errors
    /// [`StoreError`], when the journal cannot be read.
    pub fn journal(&self) -> Result<Vec<JournalLine>, StoreError> {
        Ok(self.read_journal()?.0.lines)
    }

    /// Makes a generation that is on disk the current one, if the gates let it through or are overridden.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn publish(&self, name: &GenerationName, options: &PublishOptions) -> Result<Published, StoreError> {
        let mut held = self.hold()?;
        let content = self.check_whole(name)?;
        let before = held.current;
        if before == Some(*name) {
            return Ok(Published { generation: *name, before, gates: Vec::new() });
        }
        let (gates, refused) = held.judge(name, &content, &options.limits)?;
        let accepted = self.accept(name, refused, options.accept.as_deref())?;
        self.rewrite_publication(name, &gates, accepted.as_ref(), options.signing_key.as_ref())?;
        held.switch(Event::Published { generation: *name, before }, name, options.accept.clone())?;
        Ok(Published { generation: *name, before, gates })
    }

    /// Goes back from the current generation to the one before it, or to that one; the current one will not be
    /// published again by accident.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rollback(
        &self,
        to: Option<GenerationName>,
        why: Option<String>,
    ) -> Result<RolledBack, StoreError> {
        let mut held = self.hold()?;
        let generation =
            held.current.ok_or_else(|| StoreError::NothingPublished { dir: self.dir.clone() })?;
        let listed = self.listed(&held.journal, held.current)?;
        let to = match to {
            Some(name) => {
                let found = listed.iter().find(|listed| listed.generation == name);
                let state = found.ok_or_else(|| self.unknown(name))?.state;
                if state == State::Retired {
                    name
                } else {
                    return Err(StoreError::NotRetired { name, state });
                }
            }
            None => last_retired(&listed).ok_or(StoreError::NoPrevious { name: generation })?,
        };
        self.check_whole(&to)?;
        held.switch(Event::RolledBack { generation, to }, &to, why)?;
        Ok(RolledBack { generation, to })
    }

    /// Removes all but the current generation and, of each other state, the `keep` that came to it last.
    /// Tells which were removed.
    ///
    /// # Errors
    /// [`StoreError`]; those before the fault are removed.
    pub fn prune(&self, keep: usize, why: Option<String>) -> Result<Vec<GenerationName>, StoreError> {
        let mut held = self.hold()?;
        let mut listed = self.listed(&held.journal, held.current)?;
        listed.sort_by_key(|listed| (listed.state, std::cmp::Reverse((listed.seq, listed.generation))));
        let mut pruned = Vec::new();
        for of_state in listed.chunk_by(|a, b| a.state == b.state) {
            if of_state[0].state == State::Published {
                continue;
            }
            for Listed { generation, .. } in of_state.iter().skip(keep) {
                held.prune(generation, why.clone())?;
                pruned.push(*generation);
            }
        }
        Ok(pruned)
    }

    /// Gives a finished folder the name of its generation. Its binary files must be synced.
    pub(crate) fn place(&self, folder: &str, name: &GenerationName) -> Result<(), StoreError> {
        let mut held = self.hold()?;
        self.seal(folder)?;
        let target = name.to_string();
        held.step(Event::Built { generation: *name }, None, "publish", &target, |disk| {
            disk.rename(folder, &target)
        })
    }

    /// Makes the files of a generation and its folder read-only.
    pub(crate) fn seal(&self, folder: &str) -> Result<(), StoreError> {
        for name in self.disk.list(folder).map_err(self.failed("list", folder))? {
            let name = format!("{folder}/{name}");
            self.disk.protect(&name, FILE_MODE).map_err(self.failed("protect", &name))?;
        }
        self.disk.protect(folder, FOLDER_MODE).map_err(self.failed("protect", folder))
    }

    /// How the gates judge a generation against what is current now.
    pub(crate) fn judge(
        &self,
        name: &GenerationName,
        content: &Content,
        limits: &GateLimits,
    ) -> Result<Vec<GateOutcome>, StoreError> {
        Ok(self.hold()?.judge(name, content, limits)?.0)
    }

    fn unknown(&self, name: GenerationName) -> StoreError {
        StoreError::Unknown { dir: self.dir.clone(), name }
    }

    fn failed(&self, action: &'static str, name: &str) -> impl Fn(io::Error) -> StoreError {
        let path = if name.is_empty() { self.dir.clone() } else { self.dir.join(name) };
        move |source| StoreError::Io { action, path: path.clone(), source }
    }

    fn read_current(&self) -> Result<Option<GenerationName>, StoreError> {
        match self.disk.read(CURRENT_FILE) {
            Ok(bytes) => Ok(Some(parse_current(&bytes, &self.dir.join(CURRENT_FILE))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", CURRENT_FILE)(error)),
        }
    }

    /// The whole lines, and what follows them.
    fn read_journal(&self) -> Result<(Journal, Vec<u8>), StoreError> {
        let bytes = match self.disk.read(JOURNAL_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(self.failed("read", JOURNAL_FILE))?,
        };
        let path = self.dir.join(JOURNAL_FILE);
        let journal =
            Journal::parse(&bytes).map_err(|damaged| StoreError::Journal { path, line: damaged.line })?;
        let torn = bytes[journal.len..].to_vec();
        Ok((journal, torn))
    }

    /// The generation's `content.json`, if its binary files have the lengths that stand there. Servers check
    /// every byte; a rollback must not wait for that.
    fn check_whole(&self, name: &GenerationName) -> Result<Content, StoreError> {
        let content = self.read_content(name)?;
        for file in [INDEX_FILE, RECORDS_FILE] {
            let path = format!("{name}/{file}");
            let found = self.disk.length(&path).map_err(self.failed("read", &path))?;
            let expected = content.file(file).map_or(0, |file| file.len);
            if found != expected {
                let path = self.dir.join(path);
                return Err(OpenError::from(engine::OpenError::Length { path, expected, found }).into());
            }
        }
        Ok(content)
    }

    fn read_content(&self, name: &GenerationName) -> Result<Content, StoreError> {
        let path = format!("{name}/{CONTENT_FILE}");
        let bytes = self.disk.read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unknown(*name),
            _ => self.failed("read", &path)(error),
        })?;
        Ok(parse_content(&bytes, name, &self.dir.join(path))?)
    }

    fn accept(
        &self,
        name: &GenerationName,
        refused: Vec<GateOutcome>,
        accept: Option<&str>,
    ) -> Result<Option<Acceptance>, StoreError> {
        match accept {
            _ if refused.is_empty() => Ok(None),
            Some(reason) => Ok(Some(self.acceptance(reason, &refused))),
            None => Err(StoreError::Refused { name: *name, outcomes: refused }),
        }
    }

    pub(crate) fn acceptance(&self, reason: &str, refused: &[GateOutcome]) -> Acceptance {
        let gates: Vec<Gate> = refused.iter().map(|outcome| outcome.gate).collect();
        Acceptance { reason: reason.to_owned(), gates, by: self.by.clone(), at: Timestamp::now() }
    }

    /// Writes into `publication.json` how the gates judged this time, where that differs from what it says.
    fn rewrite_publication(
        &self,
        name: &GenerationName,
        gates: &[GateOutcome],
        accepted: Option<&Acceptance>,
        key: Option<&SigningKey>,
    ) -> Result<(), StoreError> {
        let path = format!("{name}/{PUBLICATION_FILE}");
        let signature = format!("{path}{SIGNATURE_SUFFIX}");
        let bytes = self.disk.read(&path).map_err(self.failed("read", &path))?;
        let fault = |error: serde_json::Error| OpenError::Content {
            path: self.dir.join(&path),
            fault: error.to_string(),
        };
        let mut publication: Publication = serde_json::from_slice(&bytes).map_err(fault)?;
        if accepted.is_none() && publication.gates.iter().all(|outcome| outcome.passed) {
            return Ok(());
        }
        let signed = self.disk.length(&signature).is_ok();
        if signed && key.is_none() {
            return Err(StoreError::SigningKey { name: *name });
        }
        publication.gates = gates.to_vec();
        publication.accepted = accepted.cloned().or(publication.accepted);
        let bytes = json_file(&publication);
        let folder = name.to_string();
        self.disk.protect(&folder, OPEN_FOLDER_MODE).map_err(self.failed("protect", &folder))?;
        self.replace(&format!("{name}/.publication.new"), &path, &bytes)?;
        if let Some(key) = key {
            self.replace(&format!("{name}/.publication.new"), &signature, &key.sign(&bytes))?;
        }
        self.disk.sync_folder(&folder).map_err(self.failed("sync", &folder))?;
        self.seal(&folder)
    }

    fn replace(&self, beside: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        // What an interrupted run left under this name.
        let _ = self.disk.remove_file(beside);
        self.disk.create(beside, bytes).map_err(self.failed("write", beside))?;
        self.disk.protect(beside, FILE_MODE).map_err(self.failed("protect", beside))?;
        self.disk.rename(beside, name).map_err(self.failed("write", name))
    }

    fn listed(&self, journal: &Journal, current: Option<GenerationName>) -> Result<Vec<Listed>, StoreError> {
        let names = self.disk.list("").map_err(self.failed("list", ""))?;
        let mut told = fold(journal, current, &names);
        let mut listed: Vec<_> = names
            .iter()
            .filter_map(|name| name.parse().ok())
            .map(|name| told.remove(&name).unwrap_or_else(|| Listed::found(name, current)))
            .collect();
        listed.sort_by_key(|listed| listed.generation);
        Ok(listed)
    }

    /// Takes the states, and brings what a crash left behind to the old or the new state.
    fn hold(&self) -> Result<Held<'_>, StoreError> {
        let lock = self.lock_states()?;
        // What is seen from here on must not be lost again.
        self.disk.sync_folder("").map_err(self.failed("sync", ""))?;
        let (journal, torn) = self.read_journal()?;
        if !torn.is_empty() {
            self.disk.append(TORN_FILE, &torn).map_err(self.failed("write", TORN_FILE))?;
            self.disk.sync_folder("").map_err(self.failed("sync", ""))?;
            self.disk.cut(JOURNAL_FILE, journal.len as u64).map_err(self.failed("cut", JOURNAL_FILE))?;
        }
        let current = self.read_current()?;
        let mut held = Held { store: self, journal, current, _lock: lock };
        held.note_abandoned()?;
        self.remove_leftovers()?;
        Ok(held)
    }

    fn lock_states(&self) -> Result<Box<dyn Lock>, StoreError> {
        let began = Instant::now();
        loop {
            if let Some(lock) = self.disk.lock(STATE_LOCK).map_err(self.failed("lock", STATE_LOCK))? {
                return Ok(lock);
            }
            if began.elapsed() > STATE_LOCK_WAIT {
                return Err(StoreError::Locked { dir: self.dir.clone() });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for name in self.disk.list("").map_err(self.failed("list", ""))? {
            if name.starts_with(REMOVING_PREFIX) {
                self.disk.remove_folder(&name).map_err(self.failed("remove", &name))?;
            }
        }
        Ok(())
    }
}

impl Held<'_> {
    /// A last line whose step did not happen is followed by one that says so.
    fn note_abandoned(&mut self) -> Result<(), StoreError> {
        let names = self.store.disk.list("").map_err(self.store.failed("list", ""))?;
        match self.journal.lines.last() {
            Some(last) if !came_true(&last.event, self.current, &names) => {
                let of = last.seq;
                self.note(Event::Abandoned { of }, None)
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, event: Event, why: Option<String>) -> Result<(), StoreError> {
        let store = self.store;
        let is_first = self.journal.lines.is_empty();
        let seq = self.journal.next_seq();
        let line = JournalLine { seq, at: Timestamp::now(), by: store.by.clone(), event, why };
        let bytes = self.journal.append(line);
        store.disk.append(JOURNAL_FILE, &bytes).map_err(store.failed("write", JOURNAL_FILE))?;
        if is_first {
            store.disk.sync_folder("").map_err(store.failed("sync", ""))?;
        }
        Ok(())
    }

    /// One line in the journal, then one step on disk.
    fn step(
        &mut self,
        event: Event,
        why: Option<String>,
        action: &'static str,
        target: &str,
        step: impl FnOnce(&dyn Disk) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.note(event, why)?;
        step(&*self.store.disk).map_err(self.store.failed(action, target))?;
        self.store.disk.sync_folder("").map_err(self.store.failed("sync", ""))
    }

    fn switch(&mut self, event: Event, to: &GenerationName, why: Option<String>) -> Result<(), StoreError> {
        let store = self.store;
        let _ = store.disk.remove_file(CURRENT_BESIDE);
        let bytes = format!("{to}\n");
        store.disk.create(CURRENT_BESIDE, bytes.as_bytes()).map_err(store.failed("write", CURRENT_BESIDE))?;
        store.disk.protect(CURRENT_BESIDE, FILE_MODE).map_err(store.failed("protect", CURRENT_BESIDE))?;
        self.step(event, why, "switch", CURRENT_FILE, |disk| disk.rename(CURRENT_BESIDE, CURRENT_FILE))?;
        self.current = Some(*to);
        Ok(())
    }

    fn prune(&mut self, name: &GenerationName, why: Option<String>) -> Result<(), StoreError> {
        let store = self.store;
        let removing = format!("{REMOVING_PREFIX}{name}");
        let name_text = name.to_string();
        self.step(Event::Pruned { generation: *name }, why, "remove", &name_text, |disk| {
            disk.rename(&name_text, &removing)
        })?;
        store.disk.remove_folder(&removing).map_err(store.failed("remove", &removing))?;
        store.disk.sync_folder("").map_err(store.failed("sync", ""))
    }

    /// All outcomes, and those that refuse.
    fn judge(
        &self,
        name: &GenerationName,
        content: &Content,
        limits: &GateLimits,
    ) -> Result<(Vec<GateOutcome>, Vec<GateOutcome>), StoreError> {
        let baseline = match self.current {
            None => Baseline::None,
            Some(current) if current == *name => Baseline::None,
            Some(current) => match self.store.read_content(&current) {
                Ok(content) => Baseline::Content(current, Box::new(content)),
                Err(error) => Baseline::Unreadable(current, error.to_string()),
            },
        };
        let mut outcomes = gates::judge(limits, content, &baseline);
        let names = self.store.disk.list("").map_err(self.store.failed("list", ""))?;
        let told = fold(&self.journal, self.current, &names);
        if let Some(listed) = told.get(name).filter(|listed| listed.state == State::RolledBack) {
            outcomes.push(gates::rolled_back(listed.why.as_deref()));
        }
        let refused = outcomes.iter().filter(|outcome| !outcome.passed).cloned().collect();
        Ok((outcomes, refused))
    }
}
