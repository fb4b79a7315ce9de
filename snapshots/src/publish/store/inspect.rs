//! Looking at one generation without changing anything and without a lock: also one that a gate refused, and one
//! that another command is about to change.

use std::io;
use std::path::PathBuf;

use super::Store;
use crate::generation::content::Content;
use crate::generation::name::GenerationName;
use crate::generation::open::{CONTENT_FILE, OpenError};
use crate::generation::publication::{PUBLICATION_FILE, Publication, REJECTS_FOLDER, rejects_name};
use crate::generation::signing::{
    PublicKey, SIGNATURE_SUFFIX, SignatureFault, check_signature, signing_key_id,
};
use crate::publish::error::StoreError;
use crate::publish::gates::GateLimits;
use crate::publish::inspection::{
    InspectedFile, InspectedSignature, Inspection, SignatureState, Standing, gate_reports, next_step,
};
use crate::publish::journal::{Event, Journal, JournalLine};
use crate::publish::states::{State, last_retired};

impl Store {
    /// All that is known of a generation. Its binary files are not opened: their lengths are compared, no more.
    ///
    /// # Errors
    /// [`StoreError`], when it is not there or its small files, or the journal, cannot be read.
    pub fn inspect(
        &self,
        name: &GenerationName,
        limits: &GateLimits,
        public_keys: &[PublicKey],
    ) -> Result<Inspection, StoreError> {
        let content = self.read_content(name)?;
        let publication = self.read_publication(name)?;
        let (journal, current) = self.read_states()?;
        let all = self.listed(&journal, current)?;
        let rollback_target = last_retired(&all).filter(|target| self.check_whole(target).is_ok());
        let listed = all.into_iter().find(|listed| listed.generation == *name);
        let listed = listed.ok_or_else(|| self.unknown(*name))?;
        let rejects_path = self.rejects_path(name, &publication);
        let mut outcomes = self.judge_against(&journal, current, name, &content, limits)?;
        if let Some(path) = &rejects_path {
            outcomes = outcomes.into_iter().map(|outcome| outcome.with_rejects(path)).collect();
        }
        let gates = gate_reports(limits, outcomes);
        let files = self.files(name, &content)?;
        let whole = files.iter().all(|file| file.whole);
        let standing = Standing { listed: &listed, any_current: current.is_some(), rollback_target, whole };
        let signatures = [CONTENT_FILE, PUBLICATION_FILE].map(|file| self.signature(name, file, public_keys));
        Ok(Inspection {
            generation: *name,
            current: listed.state == State::Published,
            next: next_step(&self.dir, &standing, &gates),
            counts: (&content).into(),
            files,
            signatures: signatures.into_iter().collect::<Result<_, _>>()?,
            rejects_path,
            journal: lines_about(&journal, name),
            compared_with: current.filter(|current| current != name),
            gates,
            as_of: content.as_of,
            categories: content.statistics.categories,
            relations: content.statistics.relations,
            warnings: content.warnings,
            mobile_key: content.mobile_key,
            publication,
            state: listed.state,
            since: listed.since,
            by: listed.by,
            why: listed.why,
        })
    }

    fn read_publication(&self, name: &GenerationName) -> Result<Publication, StoreError> {
        let path = format!("{name}/{PUBLICATION_FILE}");
        let bytes = self.disk.read(&path).map_err(self.failed("read", &path))?;
        let fault = |error: serde_json::Error| OpenError::Content {
            path: self.dir.join(&path),
            fault: error.to_string(),
        };
        Ok(serde_json::from_slice(&bytes).map_err(fault)?)
    }

    fn files(&self, name: &GenerationName, content: &Content) -> Result<Vec<InspectedFile>, StoreError> {
        let folder = name.to_string();
        let mut on_disk = self.disk.list(&folder).map_err(self.failed("list", &folder))?;
        on_disk.extend(content.files.keys().cloned());
        on_disk.sort();
        on_disk.dedup();
        on_disk.into_iter().map(|file| self.file(&folder, file, content)).collect()
    }

    fn file(&self, folder: &str, file: String, content: &Content) -> Result<InspectedFile, StoreError> {
        let path = format!("{folder}/{file}");
        let listed = content.files.get(&file);
        let length = present(self.disk.length(&path)).map_err(self.failed("read", &path))?;
        let blake3 = match listed {
            Some(listed) => Some(listed.blake3.clone()),
            None => present(self.disk.read(&path))
                .map_err(self.failed("read", &path))?
                .map(|bytes| blake3::hash(&bytes).to_hex().to_string()),
        };
        let listed_length = listed.map(|listed| listed.length);
        let whole = length.is_some() && (listed_length.is_none() || listed_length == length);
        Ok(InspectedFile { name: file, length, listed_length, blake3, whole })
    }

    fn signature(
        &self,
        name: &GenerationName,
        file: &'static str,
        keys: &[PublicKey],
    ) -> Result<InspectedSignature, StoreError> {
        let path = format!("{name}/{file}");
        let signature_path = format!("{path}{SIGNATURE_SUFFIX}");
        let signature = self.disk.read(&signature_path);
        let Some(signature) = present(signature).map_err(self.failed("read", &signature_path))? else {
            return Ok(InspectedSignature { file, state: SignatureState::Absent, key: None });
        };
        let bytes = self.disk.read(&path).map_err(self.failed("read", &path))?;
        let key = signing_key_id(&signature);
        let state = match check_signature(&signature, &bytes, keys) {
            Ok(()) => SignatureState::Valid,
            Err(SignatureFault::Form) => SignatureState::Damaged,
            Err(SignatureFault::Wrong) => SignatureState::Wrong,
            Err(SignatureFault::OtherKey) if keys.is_empty() => SignatureState::Present,
            Err(SignatureFault::OtherKey) => SignatureState::OtherKey,
        };
        Ok(InspectedSignature { file, state, key })
    }

    fn rejects_path(&self, name: &GenerationName, publication: &Publication) -> Option<PathBuf> {
        let path = format!("{REJECTS_FOLDER}/{}", rejects_name(name.as_of(), &publication.source.blake3));
        self.disk.length(&path).is_ok().then(|| self.dir.join(path))
    }
}

/// What a file gave, or none when it is not there.
fn present<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The lines that name a generation, and those that take one of these back.
fn lines_about(journal: &Journal, name: &GenerationName) -> Vec<JournalLine> {
    let is_about = |event: &Event| match event {
        Event::Built { generation } | Event::Pruned { generation } => generation == name,
        Event::Published { generation, before, .. } => generation == name || *before == Some(*name),
        Event::RolledBack { generation, to } => generation == name || to == name,
        Event::Abandoned { .. } => false,
    };
    let mut lines: Vec<JournalLine> = Vec::new();
    for line in &journal.lines {
        let abandons = |of| lines.iter().any(|line| line.seq == of);
        if is_about(&line.event) || matches!(line.event, Event::Abandoned { of } if abandons(of)) {
            lines.push(line.clone());
        }
    }
    lines
}
