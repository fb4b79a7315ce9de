//! The state machine of generations: built, published, retired, rolled back, pruned. Each transition is one line
//! in the journal, synced, and then one rename; a crash at any point leaves the old or the new state, which the
//! next transition finds out from the disk and goes on from. Opening generations for answers is `open`'s.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::{Disk, RealDisk, create_synced};
use crate::generation::content::Content;
use crate::generation::gate::{GateFigures, GateOutcome};
use crate::generation::name::GenerationName;
use crate::generation::signing::SigningKey;
use crate::publish::error::StoreError;
use crate::publish::gates::GateLimits;
use crate::publish::journal::{Event, JournalLine};
use crate::publish::states::{Listed, State, last_retired};

mod acceptance;
mod files;
mod inspect;
mod locked;

pub(crate) const FILE_MODE: u32 = 0o440;
pub(crate) const FOLDER_MODE: u32 = 0o550;

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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    pub(crate) disk: Box<dyn Disk>,
    dir: PathBuf,
    by: String,
}

impl Store {
    /// The store in a folder of the file system; `by` is told in the journal.
    pub fn new(dir: &Path, by: impl Into<String>) -> Store {
        Store::on(Box::new(RealDisk::new(dir)), dir, by)
    }

    /// The store in a folder of the file system, which is made if need be.
    pub(crate) fn create(dir: &Path, by: impl Into<String>) -> Result<Store, StoreError> {
        let io = |source| StoreError::Io { action: "create", path: dir.to_owned(), source };
        create_synced(dir).map_err(io)?;
        Ok(Store::new(dir, by))
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
        let (journal, current) = self.read_states()?;
        self.listed(&journal, current)
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
        if let Some(key) = &options.signing_key {
            self.check_signed(name, key)?;
        }
        let before = held.current;
        if before == Some(*name) {
            return Ok(Published { generation: *name, before, gates: Vec::new() });
        }
        let (gates, refused) = held.judge(name, &content, &options.limits)?;
        let accepted = self.accept(name, refused, options.accept.as_deref())?;
        if let Some(accepted) = &accepted {
            self.rewrite_publication(name, &gates, accepted, options.signing_key.as_ref())?;
        }
        let overrode = accepted.map(|accepted| accepted.gates).unwrap_or_default();
        let figures = gates.iter().map(GateFigures::from).collect();
        let event = Event::Published { generation: *name, before, overrode, gates: figures };
        held.switch(event, name, options.accept.clone())?;
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

    /// Makes a placed generation read-only again, whatever became of its modes.
    pub(crate) fn place_again(&self, name: &GenerationName) -> Result<(), StoreError> {
        let _held = self.hold()?;
        self.mend(&name.to_string())
    }

    /// Makes the files of a generation and its folder read-only.
    fn seal(&self, folder: &str) -> Result<(), StoreError> {
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
}
