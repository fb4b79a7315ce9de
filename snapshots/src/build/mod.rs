//! One night's work: read and check the extract, merge per person, compile, verify by re-opening, publish.
//! What was current stays so until the very last step.

pub(crate) mod folder;
pub(crate) mod memory;
pub(crate) mod partition;
mod reading;
pub(crate) mod rejects;
pub(crate) mod survey;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use engine::{
    Compiler, Counts, Day, FORMAT_VERSION, FileDigest, INDEX_FILE, MobileKey, RECORDS_FILE, Snapshot,
    SnapshotFiles, WriteError,
};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::build::folder::{BuildFolder, BuilderLock};
use crate::build::memory::MemoryBound;
use crate::build::partition::Partitions;
use crate::build::reading::{ExtractSummary, Sinks, read_extract};
use crate::build::rejects::{RejectsWriter, rejects_name};
use crate::build::survey::{Surveyed, survey};
use crate::extract::{Extract, ExtractError};
use crate::generation::content::{CONTENT_VERSION, Content, MobileKeyName, json_file};
use crate::generation::name::GenerationName;
use crate::generation::open::{CONTENT_FILE, OpenError, content_of_folder, open_generation};
use crate::generation::publication::{PUBLICATION_FILE, Publication, PublicationSource};
use crate::generation::self_test::{make_self_test, run_self_test};
use crate::generation::signing::{SIGNATURE_SUFFIX, SigningKey};
use crate::publish::error::StoreError;
use crate::publish::gates::{GateLimits, GateOutcome};
use crate::publish::store::{PublishOptions, Store};

/// What to build, and from what.
pub struct BuildOptions<'a> {
    /// The nightly extract, CSV or Parquet.
    pub extract: &'a Path,
    /// The snapshots folder; made if need be.
    pub snapshots: &'a Path,
    /// The key under which mobile numbers are fingerprinted.
    pub mobile_key: &'a MobileKey,
    /// The day for which the extract was made.
    pub as_of: Day,
    /// What the generation may be like to be published.
    pub limits: GateLimits,
    /// The reason for which the gates are overridden.
    pub accept: Option<String>,
    /// The key that signs.
    pub signing_key: Option<SigningKey>,
    /// How much memory the build may take.
    pub memory: MemoryBound,
    /// Who builds; told in the journal.
    pub by: String,
    /// Called from all threads while the work goes on.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> BuildOptions<'a> {
    /// A build with the usual limits, unsigned, which tells nobody how far it is.
    pub fn new(
        extract: &'a Path,
        snapshots: &'a Path,
        mobile_key: &'a MobileKey,
        as_of: Day,
    ) -> BuildOptions<'a> {
        BuildOptions {
            extract,
            snapshots,
            mobile_key,
            as_of,
            limits: GateLimits::default(),
            accept: None,
            signing_key: None,
            memory: MemoryBound::default(),
            by: "library".to_owned(),
            progress: &|_| {},
        }
    }
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Rows are read and checked.
    Reading {
        /// Bytes so far.
        bytes: u64,
        /// Bytes of the extract.
        bytes_total: u64,
        /// Rows so far.
        rows: u64,
    },
    /// Rows are sorted, merged and written.
    Compiling {
        /// Different rows so far.
        rows: u64,
        /// Rows at most.
        rows_total: u64,
    },
    /// The files are opened as a server would, and compared person by person.
    Verifying,
}

/// What was built; the object that `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct BuildReport {
    /// The name of the generation, which is now the current one.
    pub generation: String,
    /// Rows of the extract, without the header and empty lines.
    pub rows: u64,
    /// People with at least one entitlement.
    pub people: u64,
    /// People known by an ID but without a usable row.
    pub incomplete: u64,
    /// Different entitlements of all people.
    pub entitlements: u64,
    /// Rows whose person or days of cover cannot be known.
    pub rejected: u64,
    /// Rows that repeat a stored entitlement.
    pub duplicates: u64,
    /// Warnings of accepted rows by code; none are zero.
    pub warnings: BTreeMap<String, u64>,
    /// The list of rejected rows.
    pub rejects_path: PathBuf,
    /// How the gates judged.
    pub gates: Vec<GateOutcome>,
}

/// Why nothing was published. What was current still is.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The extract as a whole.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The list of rejected rows could not be written.
    #[error("cannot write the list of rejected rows: {0}; check the free space and the folder's permissions")]
    Rejects(#[source] io::Error),
    /// Rows that were put aside could not be read again, or a place for them not be made.
    #[error("cannot put rows aside in {}: {source}; check the free space and the disk", path.display())]
    Spill {
        /// The snapshots folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// IDs that are sorted together do not fit.
    #[error(
        "{needed_mib} MiB of rows have IDs that begin alike and must be sorted together, more than the memory bound \
         leaves room for; allow at least --memory {least_mib}MiB, or look for an ID that stands for many"
    )]
    Memory {
        /// What they take.
        needed_mib: u64,
        /// The least bound that would do.
        least_mib: u64,
    },
    /// The gates.
    #[error("{source}; the build stays in {} unpublished", folder.display())]
    Refused {
        /// Which gates, and by how much.
        source: StoreError,
        /// The generation's folder.
        folder: PathBuf,
        /// The list of rejected rows.
        rejects_path: PathBuf,
    },
    /// A snapshot in which nobody is covered would turn everybody away.
    #[error("no row of the extract could be used; see {}, and check that the export was complete", rejects_path.display())]
    Nobody {
        /// The list of rejected rows.
        rejects_path: PathBuf,
    },
    /// The binary files.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What was written cannot be opened again.
    #[error("the new generation was not published, since it cannot be opened: {0}")]
    Verify(#[source] OpenError),
    /// What was written opens, but says something else.
    #[error(
        "the new generation was not published: it does not hold what was merged; check the disk and memory"
    )]
    Differs,
    /// A generation of that name is there, and damaged.
    #[error("generation {name} is there already but damaged: {source}; move its folder away and build again")]
    Damaged {
        /// Its name.
        name: GenerationName,
        /// What is wrong with it.
        source: Box<OpenError>,
    },
    /// The state of the generation.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Builds a generation, places it, and makes it the current one if the gates let it through.
///
/// # Errors
/// [`BuildError`]; the list of rejected rows is written all the same once every row was read.
pub fn build(options: &BuildOptions<'_>) -> Result<BuildReport, BuildError> {
    let started_at = Timestamp::now();
    let store = Store::create(options.snapshots, options.by.clone())?;
    let builder = BuilderLock::take(&store)?;
    let folder = builder.begin()?;
    let (partitions, summary, rejects_path) = read(options, &folder)?;
    let compiled = compile(options, &summary, partitions, folder.path())?;
    let (content, name) = describe(options, &summary, &compiled, &folder)?;
    write_publication(options, &folder, &name, &content, &summary, started_at, &store)?;
    place(options, &store, folder, &name)?;
    let gates = publish(options, &store, &name, &rejects_path)?;
    Ok(BuildReport {
        generation: name.to_string(),
        rows: content.rows,
        people: content.people,
        incomplete: content.incomplete,
        entitlements: content.entitlements,
        rejected: content.rejected,
        duplicates: content.duplicates,
        warnings: content.warnings,
        rejects_path,
        gates,
    })
}

fn read(
    options: &BuildOptions<'_>,
    folder: &BuildFolder<'_>,
) -> Result<(Partitions, ExtractSummary, PathBuf), BuildError> {
    let extract = Extract::open(options.extract)?;
    if let Extract::Parquet(extract) = &extract {
        options.memory.check_decoding(extract.decoding_len())?;
    }
    let spill = |source| BuildError::Spill { path: options.snapshots.to_owned(), source };
    let partitions = Partitions::new(folder.path(), options.memory.rows_len()).map_err(spill)?;
    let rejects = RejectsWriter::create(options.snapshots).map_err(BuildError::Rejects)?;
    let (summary, rejects) = read_extract(options, extract, Sinks { partitions: &partitions, rejects })?;
    let name = rejects_name(options.as_of, &summary.source.blake3.to_hex());
    let rejects_path = rejects.finish(&name).map_err(BuildError::Rejects)?;
    if summary.rows == summary.rejected {
        return Err(BuildError::Nobody { rejects_path });
    }
    Ok((partitions, summary, rejects_path))
}

/// What was written.
struct Compiled {
    counts: Counts,
    duplicates: u64,
    /// One for each part of the ID space.
    fingerprints: Vec<blake3::Hash>,
}

/// Either half of the work can fail.
enum CompileError {
    Spill(io::Error),
    Write(WriteError),
}

impl From<io::Error> for CompileError {
    fn from(error: io::Error) -> CompileError {
        CompileError::Spill(error)
    }
}

fn compile(
    options: &BuildOptions<'_>,
    summary: &ExtractSummary,
    mut partitions: Partitions,
    folder: &Path,
) -> Result<Compiled, BuildError> {
    options.memory.check_part(partitions.largest_len())?;
    let mut compiler = Compiler::create(folder)?;
    let (mut rows, mut duplicates, mut fingerprints) = (0, 0, Vec::new());
    let visited = partitions.try_for_each(|merged| {
        merged.try_for_each(|person, records| compiler.add(person, records)).map_err(CompileError::Write)?;
        fingerprints.push(merged.fingerprint);
        duplicates += merged.duplicates;
        rows += merged.rows();
        (options.progress)(Progress::Compiling { rows, rows_total: summary.rows });
        Ok(())
    });
    visited.map_err(|error| match error {
        CompileError::Spill(source) => BuildError::Spill { path: options.snapshots.to_owned(), source },
        CompileError::Write(error) => BuildError::Write(error),
    })?;
    Ok(Compiled { counts: compiler.finish()?, duplicates, fingerprints })
}

/// Opens what was written through the reader's own code, compares every person, and writes `content.json`.
fn describe(
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
    write_signed(options, folder, CONTENT_FILE, &bytes)?;
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

fn write_signed(
    options: &BuildOptions<'_>,
    folder: &BuildFolder<'_>,
    name: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    folder.write(name, bytes)?;
    match &options.signing_key {
        Some(key) => folder.write(&format!("{name}{SIGNATURE_SUFFIX}"), &key.sign(bytes)),
        None => Ok(()),
    }
}

fn write_publication(
    options: &BuildOptions<'_>,
    folder: &BuildFolder<'_>,
    name: &GenerationName,
    content: &Content,
    summary: &ExtractSummary,
    started_at: Timestamp,
    store: &Store,
) -> Result<(), StoreError> {
    let file_name = options.extract.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let blake3 = summary.source.blake3.to_hex().to_string();
    let publication = Publication {
        generation: *name,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        verified_at: Timestamp::now(),
        source: PublicationSource { file_name, length: summary.source.len, blake3 },
        gates: store.judge(name, content, &options.limits)?,
        accepted: None,
    };
    write_signed(options, folder, PUBLICATION_FILE, &json_file(&publication))
}

/// Places the generation, or finds the very same one there.
fn place(
    options: &BuildOptions<'_>,
    store: &Store,
    folder: BuildFolder<'_>,
    name: &GenerationName,
) -> Result<(), BuildError> {
    if !store.holds(name)? {
        store.place(folder.name(), name)?;
        folder.placed();
        return Ok(());
    }
    let keys = std::slice::from_ref(options.mobile_key);
    open_generation(options.snapshots, name, keys)
        .map_err(|source| BuildError::Damaged { name: *name, source: Box::new(source) })?;
    // Modes may have been lost with the power, or changed since.
    Ok(store.place_again(name)?)
}

fn publish(
    options: &BuildOptions<'_>,
    store: &Store,
    name: &GenerationName,
    rejects_path: &Path,
) -> Result<Vec<GateOutcome>, BuildError> {
    let publish = PublishOptions {
        limits: options.limits.clone(),
        accept: options.accept.clone(),
        signing_key: options.signing_key.clone(),
    };
    match store.publish(name, &publish) {
        Ok(published) => Ok(published.gates),
        Err(StoreError::Refused { name, outcomes }) => {
            let told = outcomes.into_iter().map(|outcome| outcome.with_rejects(rejects_path));
            Err(BuildError::Refused {
                source: StoreError::Refused { name, outcomes: told.collect() },
                folder: options.snapshots.join(name.to_string()),
                rejects_path: rejects_path.to_owned(),
            })
        }
        Err(error) => Err(error.into()),
    }
}
