//! What was written is opened through the reader's own code and compared, person by person, with what was merged, before
//! `content.json` vouches for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use engine::{
    Counts, FORMAT_VERSION, FileDigest, INDEX_FILE, RECORDS_FILE, Snapshot, SnapshotFiles, WriteError,
};

use super::compile::Compiled;
use super::error::BuildError;
use super::folder::BuildFolder;
use super::options::{BuildOptions, Progress};
use super::reading::ExtractSummary;
use super::survey::{Surveyed, survey};
use crate::generation::content::{CONTENT_VERSION, Content, MobileKeyName};
use crate::generation::name::GenerationName;
use crate::generation::open::{CONTENT_FILE, content_of_folder};
use crate::generation::self_test::{make_self_test, run_self_test};

/// Opens what was written through the reader's own code, compares every person, and writes `content.json`.
pub(super) fn describe(
    options: &BuildOptions<'_>,
    summary: &ExtractSummary,
    compiled: &Compiled,
    folder: &BuildFolder<'_>,
) -> Result<(Content, GenerationName), BuildError> {
    (options.progress)(Progress::Verifying);
    let path = folder.path();
    let files = SnapshotFiles {
        index: digest_file(&path.join(INDEX_FILE))?,
        records: digest_file(&path.join(RECORDS_FILE))?,
    };
    let snapshot = Snapshot::open(path, &files).map_err(|error| BuildError::Verify(error.into()))?;
    let surveyed = survey(&snapshot, options.as_of, &compiled.fingerprints).ok_or(BuildError::Differs)?;
    if snapshot.counts() != compiled.counts {
        return Err(BuildError::Differs);
    }
    let content = content(options, summary, compiled, &files, &snapshot, surveyed);
    let bytes = content.to_bytes();
    folder.write_signed(CONTENT_FILE, &bytes, options.signing_key.as_ref())?;
    let name = GenerationName::of_content(options.as_of, &bytes);
    let read = content_of_folder(path, &name, &[]).map_err(BuildError::Verify)?;
    let tested = run_self_test(&read.self_test, &snapshot, options.as_of);
    if read == content && tested.is_ok() { Ok((content, name)) } else { Err(BuildError::Differs) }
}

fn content(
    options: &BuildOptions<'_>,
    summary: &ExtractSummary,
    compiled: &Compiled,
    files: &SnapshotFiles,
    snapshot: &Snapshot,
    surveyed: Surveyed,
) -> Content {
    let Counts { people, incomplete, entitlements } = compiled.counts;
    Content {
        content_version: CONTENT_VERSION,
        format_version: FORMAT_VERSION,
        as_of: options.as_of.iso().to_string(),
        rows: summary.rows,
        people,
        incomplete,
        entitlements,
        rejected: summary.rejected,
        duplicates: compiled.duplicates,
        warnings: summary.warnings.given().map(|(code, count)| (code.to_owned(), count)).collect(),
        statistics: surveyed.statistics,
        self_test: make_self_test(snapshot, options.as_of, &surveyed.first_records),
        mobile_key: MobileKeyName::of(options.mobile_key),
        files: BTreeMap::from([
            (INDEX_FILE.to_owned(), files.index.into()),
            (RECORDS_FILE.to_owned(), files.records.into()),
        ]),
    }
}

fn digest_file(path: &Path) -> Result<FileDigest, WriteError> {
    let mut hasher = blake3::Hasher::new();
    let hashed = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    hashed.map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
    Ok(FileDigest { len: hasher.count(), blake3: *hasher.finalize().as_bytes() })
}
