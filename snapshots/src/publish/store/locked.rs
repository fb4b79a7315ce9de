//! A change of states while nobody else may make one: the lock, what a crash left behind, and for each transition its
//! line in the journal and then its one step on disk. Which transitions there are and when is `store`'s to say.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{FILE_MODE, FOLDER_MODE, Store};
use crate::disk::{Disk, Lock};
use crate::generation::content::Content;
use crate::generation::gate::GateOutcome;
use crate::generation::name::GenerationName;
use crate::generation::open::CURRENT_FILE;
use crate::publish::error::StoreError;
use crate::publish::gates::GateLimits;
use crate::publish::journal::{Event, JOURNAL_FILE, Journal, JournalLine, TORN_FILE};
use crate::publish::states::came_true;

/// Held by whoever changes a state, for milliseconds.
const STATE_LOCK: &str = ".state.lock";
/// How long a change waits for another one.
const STATE_LOCK_WAIT: Duration = Duration::from_secs(10);
const CURRENT_BESIDE: &str = ".CURRENT.new";
/// A pruned generation while its files go.
const REMOVING_PREFIX: &str = ".removing-";

/// The states, while nobody else may change them.
pub(super) struct Held<'a> {
    store: &'a Store,
    pub(super) journal: Journal,
    pub(super) current: Option<GenerationName>,
    _lock: Box<dyn Lock>,
}

impl Store {
    /// Takes the states, and brings what a crash left behind to the old or the new state.
    pub(super) fn hold(&self) -> Result<Held<'_>, StoreError> {
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

    fn is_sealed(&self, folder: &str) -> Result<bool, StoreError> {
        Ok(self.disk.mode(folder).map_err(self.failed("read", folder))? == FOLDER_MODE)
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for name in self.disk.list("").map_err(self.failed("list", ""))? {
            if name.starts_with(REMOVING_PREFIX) {
                self.disk.remove_folder(&name).map_err(self.failed("remove", &name))?;
            } else if name == CURRENT_BESIDE {
                self.disk.remove_file(&name).map_err(self.failed("remove", &name))?;
            } else if name.parse::<GenerationName>().is_ok() && !self.is_sealed(&name)? {
                // Another user may not do it; that a folder is writable is no reason to refuse a change of state.
                let _ = self.mend(&name);
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
        let len_before = self.journal.len as u64;
        let bytes = self.journal.append(line);
        if let Err(error) = store.disk.append(JOURNAL_FILE, &bytes) {
            // The system may go on showing bytes that it never brought to the disk: lines after them would stand behind
            // a hole, once the power goes.
            let _ = store.disk.cut(JOURNAL_FILE, len_before);
            return Err(store.failed("write", JOURNAL_FILE)(error));
        }
        if is_first {
            store.disk.sync_folder("").map_err(store.failed("sync", ""))?;
        }
        Ok(())
    }

    /// One line in the journal, then one step on disk.
    pub(super) fn step(
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

    pub(super) fn switch(
        &mut self,
        event: Event,
        to: &GenerationName,
        why: Option<String>,
    ) -> Result<(), StoreError> {
        let store = self.store;
        let bytes = format!("{to}\n");
        store.disk.create(CURRENT_BESIDE, bytes.as_bytes()).map_err(store.failed("write", CURRENT_BESIDE))?;
        store.disk.protect(CURRENT_BESIDE, FILE_MODE).map_err(store.failed("protect", CURRENT_BESIDE))?;
        self.step(event, why, "switch", CURRENT_FILE, |disk| disk.rename(CURRENT_BESIDE, CURRENT_FILE))?;
        self.current = Some(*to);
        Ok(())
    }

    pub(super) fn prune(&mut self, name: &GenerationName, why: Option<String>) -> Result<(), StoreError> {
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
    pub(super) fn judge(
        &self,
        name: &GenerationName,
        content: &Content,
        limits: &GateLimits,
    ) -> Result<(Vec<GateOutcome>, Vec<GateOutcome>), StoreError> {
        let outcomes = self.store.judge_against(&self.journal, self.current, name, content, limits)?;
        let refused = outcomes.iter().filter(|outcome| !outcome.passed).cloned().collect();
        Ok((outcomes, refused))
    }
}
