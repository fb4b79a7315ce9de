//! Gates that are overridden: the reason, and a `publication.json` that says how the gates judged this time. The one
//! file of a placed generation that is ever replaced, and only then: before the line in the journal, so that no
//! generation becomes current against a gate without its own file saying who let it through.

use std::io;

use jiff::Timestamp;

use super::{FILE_MODE, Store};
use crate::generation::content::json_file;
use crate::generation::gate::{Gate, GateOutcome};
use crate::generation::name::GenerationName;
use crate::generation::open::OpenError;
use crate::generation::publication::{Acceptance, PUBLICATION_FILE, Publication};
use crate::generation::signing::{SIGNATURE_SUFFIX, SigningKey};
use crate::publish::error::StoreError;

const OPEN_FOLDER_MODE: u32 = 0o700;
/// The next contents of a file while they are written.
const BESIDE: &str = ".publication.new";

impl Store {
    pub(super) fn accept(
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

    /// Writes into `publication.json` how the gates judged this time, and who overrode them.
    pub(super) fn rewrite_publication(
        &self,
        name: &GenerationName,
        gates: &[GateOutcome],
        accepted: &Acceptance,
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
        let signed = self.disk.length(&signature).is_ok();
        if signed && key.is_none() {
            return Err(StoreError::SigningKey { name: *name });
        }
        publication.gates = gates.to_vec();
        publication.accepted = Some(accepted.clone());
        let bytes = json_file(&publication);
        let folder = name.to_string();
        self.disk.protect(&folder, OPEN_FOLDER_MODE).map_err(self.failed("protect", &folder))?;
        match key.map(|key| key.sign(&bytes)) {
            None => self.replace(&folder, &path, &bytes)?,
            Some(signed_now) => {
                // Two files cannot change in one step: until both have, either one's bytes are signed.
                let signed_before = if signed { self.disk.read(&signature) } else { Ok(Vec::new()) };
                let signed_before = signed_before.map_err(self.failed("read", &signature))?;
                self.replace(&folder, &signature, &[signed_now.as_slice(), &signed_before].concat())?;
                self.replace(&folder, &path, &bytes)?;
                self.replace(&folder, &signature, &signed_now)?;
            }
        }
        self.seal(&folder)
    }

    /// Clears away what an interrupted run left in a placed generation, and makes it read-only again. The caller holds
    /// the states.
    pub(super) fn mend(&self, folder: &str) -> Result<(), StoreError> {
        self.disk.protect(folder, OPEN_FOLDER_MODE).map_err(self.failed("protect", folder))?;
        let beside = format!("{folder}/{BESIDE}");
        match self.disk.remove_file(&beside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(self.failed("remove", &beside))?,
        }
        // The mode tells that all this is done: it must not be on the disk before.
        self.disk.sync_folder(folder).map_err(self.failed("sync", folder))?;
        self.seal(folder)
    }

    /// Replaces a file of a generation's folder in one step.
    fn replace(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let beside = &format!("{folder}/{BESIDE}");
        // What an interrupted run left under this name.
        let _ = self.disk.remove_file(beside);
        self.disk.create(beside, bytes).map_err(self.failed("write", beside))?;
        self.disk.protect(beside, FILE_MODE).map_err(self.failed("protect", beside))?;
        self.disk.rename(beside, name).map_err(self.failed("write", name))?;
        self.disk.sync_folder(folder).map_err(self.failed("sync", folder))
    }
}
