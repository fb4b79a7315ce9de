//! Sending one large object. To a bucket it goes in parts, and which parts have arrived is noted beside it, so
//! that the next run sends only the others; a folder is near, and gets it anew.

use std::io::{self, Read};

use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use super::{PART_LEN, Store, StoreAddress, StoreError};

/// Added to an object's name while its parts are being sent.
const UNDER_WAY: &str = ".parts";

/// Which parts of an upload have arrived.
#[derive(Serialize, Deserialize)]
struct Progress {
    upload: String,
    len_bytes: u64,
    parts: Vec<String>,
}

impl Store {
    /// Sends all bytes of `source`, so many, as an object. It shows under its name only once it is whole.
    pub(crate) fn upload(&self, name: &str, source: &mut dyn Read, len_bytes: u64) -> Result<(), StoreError> {
        match &self.parts {
            Some(parts) if len_bytes > PART_LEN => self.upload_parts(parts.as_ref(), name, source, len_bytes),
            Some(_) => {
                let whole = self.next_part(name, source, len_bytes)?;
                self.put(name, whole)
            }
            None => self.upload_anew(name, source, len_bytes),
        }
    }

    /// Removes the note of an upload that came to its end, though whoever sent it did not hear of that.
    pub(crate) fn settle(&self, name: &str) -> Result<(), StoreError> {
        if self.parts.is_some() { self.remove(&format!("{name}{UNDER_WAY}")) } else { Ok(()) }
    }

    fn upload_parts(
        &self,
        parts: &dyn MultipartStore,
        name: &str,
        source: &mut dyn Read,
        len_bytes: u64,
    ) -> Result<(), StoreError> {
        let (path, noted) = (self.path(name), format!("{name}{UNDER_WAY}"));
        let mut progress = self.progress(parts, &path, name, len_bytes)?;
        let (mut at, mut part) = (0, 0);
        while at < len_bytes {
            let bytes = self.next_part(name, source, PART_LEN.min(len_bytes - at))?;
            at += bytes.len() as u64;
            if part == progress.parts.len() {
                let id = progress.upload.clone();
                let put = self.runtime.block_on(parts.put_part(&path, &id, part, PutPayload::from(bytes)));
                let put = put.map_err(|source| self.given_up(&noted, name, source))?;
                progress.parts.push(put.content_id);
                self.note(&noted, &progress)?;
            }
            part += 1;
        }
        let ids = progress.parts.into_iter().map(|content_id| PartId { content_id }).collect();
        let completed = self.runtime.block_on(parts.complete_multipart(&path, &progress.upload, ids));
        completed.map_err(|source| self.given_up(&noted, name, source))?;
        self.remove(&noted)
    }

    /// What an earlier run has sent, or a new upload.
    fn progress(
        &self,
        parts: &dyn MultipartStore,
        path: &Path,
        name: &str,
        len_bytes: u64,
    ) -> Result<Progress, StoreError> {
        let noted = format!("{name}{UNDER_WAY}");
        let before = self.get(&noted)?.and_then(|bytes| serde_json::from_slice::<Progress>(&bytes).ok());
        let parts_max = len_bytes.div_ceil(PART_LEN);
        if let Some(progress) = before
            && progress.len_bytes == len_bytes
            && progress.parts.len() as u64 <= parts_max
        {
            return Ok(progress);
        }
        let upload = self.runtime.block_on(parts.create_multipart(path));
        let upload = upload.map_err(|source| self.failed("write", name, source))?;
        let progress = Progress { upload, len_bytes, parts: Vec::new() };
        self.note(&noted, &progress)?;
        Ok(progress)
    }

    fn note(&self, noted: &str, progress: &Progress) -> Result<(), StoreError> {
        self.put(noted, serde_json::to_vec(progress).expect("texts and numbers become JSON"))
    }

    /// An upload that the store does not know any more, or refuses, is begun anew the next time.
    fn given_up(&self, noted: &str, name: &str, source: object_store::Error) -> StoreError {
        if matches!(source, object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. }) {
            let _ = self.remove(noted); // If it stays, the next run ends up here once more.
        }
        self.failed("write", name, source)
    }

    fn upload_anew(&self, name: &str, source: &mut dyn Read, len_bytes: u64) -> Result<(), StoreError> {
        self.remove_leftovers(name)
            .map_err(|source| StoreError::Folder { place: self.describe(name), source })?;
        let path = self.path(name);
        let failed = |source| self.failed("write", name, source);
        let mut upload = self.runtime.block_on(self.objects.put_multipart(&path)).map_err(failed)?;
        let mut at = 0;
        while at < len_bytes {
            let bytes = self.next_part(name, source, PART_LEN.min(len_bytes - at))?;
            at += bytes.len() as u64;
            self.runtime.block_on(upload.put_part(PutPayload::from(bytes))).map_err(failed)?;
        }
        self.runtime.block_on(upload.complete()).map(drop).map_err(failed)
    }

    /// Removes what a killed run left in the folder: files named as the object, `#` and a number.
    fn remove_leftovers(&self, name: &str) -> io::Result<()> {
        let StoreAddress::Folder(folder) = &self.address else { return Ok(()) };
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            let is_left = |found: &str| found.strip_prefix(name).is_some_and(|rest| rest.starts_with('#'));
            if file.file_name().to_str().is_some_and(is_left) {
                std::fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }

    fn next_part(&self, name: &str, source: &mut dyn Read, len_bytes: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; usize::try_from(len_bytes).expect("a part fits memory")];
        let read = source.read_exact(&mut bytes);
        read.map_err(|source| StoreError::Source { place: self.describe(name), source })?;
        Ok(bytes)
    }
}
