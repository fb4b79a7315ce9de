//! What the snapshots folder says: what is current, the journal, where each generation stands, whether one is
//! whole as far as lengths tell, and how the gates judge it. Changes nothing and takes no lock.

use std::io;

use engine::{INDEX_FILE, RECORDS_FILE};

use super::Store;
use crate::generation::content::Content;
use crate::generation::gate::GateOutcome;
use crate::generation::name::GenerationName;
use crate::generation::open::{CONTENT_FILE, CURRENT_FILE, OpenError, parse_content, parse_current};
use crate::generation::signing::{SIGNATURE_SUFFIX, SigningKey, check_signature};
use crate::publish::error::StoreError;
use crate::publish::gates::{self, Baseline, GateLimits};
use crate::publish::journal::{JOURNAL_FILE, Journal};
use crate::publish::states::{Listed, State, fold};

impl Store {
    pub(super) fn read_current(&self) -> Result<Option<GenerationName>, StoreError> {
        match self.disk.read(CURRENT_FILE) {
            Ok(bytes) => Ok(Some(parse_current(&bytes, &self.dir.join(CURRENT_FILE))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", CURRENT_FILE)(error)),
        }
    }

    /// The whole lines, and what follows them.
    pub(super) fn read_journal(&self) -> Result<(Journal, Vec<u8>), StoreError> {
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

    /// The journal and what is current, of one moment: others may switch while they are read, and a journal from before
    /// beside what is current afterwards would show what was just taken back as retired.
    pub(super) fn read_states(&self) -> Result<(Journal, Option<GenerationName>), StoreError> {
        let mut current = self.read_current()?;
        loop {
            let journal = self.read_journal()?.0;
            let again = self.read_current()?;
            if again == current {
                return Ok((journal, current));
            }
            current = again;
        }
    }

    /// The generation's `content.json`, if its binary files have the lengths that stand there. Servers check
    /// every byte; a rollback must not wait for that.
    pub(super) fn check_whole(&self, name: &GenerationName) -> Result<Content, StoreError> {
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

    /// Whether a generation is signed with that key: servers that know its public half would refuse another one. A
    /// generation that is placed is not signed again.
    pub(super) fn check_signed(&self, name: &GenerationName, key: &SigningKey) -> Result<(), StoreError> {
        let path = format!("{name}/{CONTENT_FILE}");
        let signature = format!("{path}{SIGNATURE_SUFFIX}");
        let bytes = self.disk.read(&path).map_err(self.failed("read", &path))?;
        let path = self.dir.join(path);
        let signature = match self.disk.read(&signature) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Unsigned { path }.into());
            }
            read => read.map_err(self.failed("read", &signature))?,
        };
        let checked = check_signature(&signature, &bytes, &[key.public()]);
        Ok(checked.map_err(|fault| OpenError::Signature { path, fault })?)
    }

    pub(super) fn read_content(&self, name: &GenerationName) -> Result<Content, StoreError> {
        let path = format!("{name}/{CONTENT_FILE}");
        let bytes = self.disk.read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unknown(*name),
            _ => self.failed("read", &path)(error),
        })?;
        Ok(parse_content(&bytes, name, &self.dir.join(path))?)
    }

    pub(super) fn listed(
        &self,
        journal: &Journal,
        current: Option<GenerationName>,
    ) -> Result<Vec<Listed>, StoreError> {
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

    /// How the gates judge a generation beside what is current.
    pub(super) fn judge_against(
        &self,
        journal: &Journal,
        current: Option<GenerationName>,
        name: &GenerationName,
        content: &Content,
        limits: &GateLimits,
    ) -> Result<Vec<GateOutcome>, StoreError> {
        let baseline = match current {
            None => Baseline::None,
            Some(current) if current == *name => Baseline::None,
            Some(current) => match self.read_content(&current) {
                Ok(content) => Baseline::Content(current, Box::new(content)),
                Err(error) => Baseline::Unreadable(current, error.to_string()),
            },
        };
        let mut outcomes = gates::judge(limits, content, &baseline);
        let names = self.disk.list("").map_err(self.failed("list", ""))?;
        let told = fold(journal, current, &names);
        if let Some(listed) = told.get(name).filter(|listed| listed.state == State::RolledBack) {
            outcomes.push(gates::rolled_back(listed.why.as_deref()));
        }
        Ok(outcomes)
    }

    /// Whether a generation is on disk, in whatever state.
    pub(crate) fn holds(&self, name: &GenerationName) -> Result<bool, StoreError> {
        let names = self.disk.list("").map_err(self.failed("list", ""))?;
        Ok(names.contains(&name.to_string()))
    }

    pub(super) fn unknown(&self, name: GenerationName) -> StoreError {
        StoreError::Unknown { dir: self.dir.clone(), name }
    }

    pub(crate) fn failed(&self, action: &'static str, name: &str) -> impl Fn(io::Error) -> StoreError {
        let path = if name.is_empty() { self.dir.clone() } else { self.dir.join(name) };
        move |source| StoreError::Io { action, path: path.clone(), source }
    }
}
