//! One night's work: read and check the extract, merge per person, compile, verify by re-opening, publish.
//! What was current stays so until the very last step.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use engine::{
    Compiler, Counts, Day, EntitlementRecord, FORMAT_VERSION, FileDigest, INDEX_FILE, MobileKey, Person,
    PersonId, RECORDS_FILE, WriteError,
};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::content::{Content, ContentFile, MobileKeyName, json_file};
use crate::extract::ExtractError;
use crate::generation::GenerationName;
use crate::open::{CONTENT_FILE, Generation, OpenError, open_folder, open_generation};
use crate::partition::People;
use crate::publication::{PUBLICATION_FILE, Publication};
use crate::publish::{BuildFolder, PublishError, Publisher};
use crate::reading::{Extract, ExtractSummary, read_extract};
use crate::rejects::write_rejects;

/// What to build, and from what.
pub struct BuildOptions<'a> {
    /// The nightly extract, CSV.
    pub extract: &'a Path,
    /// The snapshots folder; made if need be.
    pub snapshots: &'a Path,
    /// The key under which mobile numbers are fingerprinted.
    pub mobile_key: &'a MobileKey,
    /// The day for which the extract was made.
    pub as_of: Day,
    /// The largest share of rejected rows with which a generation is published, 0 to 1.
    pub max_rejected: f64,
    /// Called from all threads while the work goes on.
    pub progress: &'a (dyn Fn(Progress) + Sync),
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
    /// Rows are sorted and merged.
    Merging,
    /// The files of the generation are written.
    Compiling {
        /// People so far.
        people: u64,
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
    /// The gate.
    #[error(
        "{rejected} of {rows} rows were rejected, a share of {share:.4} where at most {max} is allowed; mend \
         the rows listed in {}, or allow more with --max-rejected", rejects_path.display()
    )]
    TooManyRejected {
        /// Rejected rows.
        rejected: u64,
        /// All rows.
        rows: u64,
        /// Their quotient.
        share: f64,
        /// What was allowed.
        max: f64,
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
    /// The folder.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Builds a generation and makes it the current one.
///
/// # Errors
/// [`BuildError`]; the list of rejected rows is written all the same once every row was read.
pub fn build(options: &BuildOptions<'_>) -> Result<BuildReport, BuildError> {
    let started = Timestamp::now();
    let publisher = Publisher::lock(options.snapshots)?;
    let extract = read_extract(options)?;
    let rejects_path = write_extract_rejects(options, &extract)?;
    check_gates(options, &extract, &rejects_path)?;
    (options.progress)(Progress::Merging);
    let summary = extract.summary;
    let people = extract.partitions.merge();
    let folder = publisher.begin()?;
    let compiled = compile(options, &people, folder.path())?;
    let content = content(options, &summary, &people, compiled, folder.path())?;
    let name = write_content(&folder, &content, options.as_of)?;
    (options.progress)(Progress::Verifying);
    verify(options, &folder, &name, &people)?;
    let publication = Publication::new(options, &name, &summary, started);
    folder.write(PUBLICATION_FILE, &json_file(&publication))?;
    publish(options, &publisher, folder, &name)?;
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
    })
}

fn write_extract_rejects(options: &BuildOptions<'_>, extract: &Extract) -> Result<PathBuf, BuildError> {
    let source = extract.summary.source.blake3.to_hex();
    let name = format!("{}-{}", options.as_of.iso(), &source[..12]);
    write_rejects(options.snapshots, &name, &extract.rejects).map_err(BuildError::Rejects)
}

fn check_gates(options: &BuildOptions<'_>, extract: &Extract, rejects_path: &Path) -> Result<(), BuildError> {
    let ExtractSummary { rows, rejected, .. } = extract.summary;
    let rejects_path = rejects_path.to_owned();
    if rows == rejected {
        return Err(BuildError::Nobody { rejects_path });
    }
    let (share, max) = (rejected as f64 / rows as f64, options.max_rejected);
    if share > max {
        return Err(BuildError::TooManyRejected { rejected, rows, share, max, rejects_path });
    }
    Ok(())
}

fn compile(options: &BuildOptions<'_>, people: &People, folder: &Path) -> Result<Counts, WriteError> {
    const PEOPLE_PER_REPORT: u64 = 1 << 16;
    let mut compiler = Compiler::create(folder)?;
    let mut done = 0_u64;
    people.try_for_each(|person, records| {
        done += 1;
        if done.is_multiple_of(PEOPLE_PER_REPORT) {
            (options.progress)(Progress::Compiling { people: done });
        }
        compiler.add(person, records)
    })?;
    compiler.finish()
}

fn content(
    options: &BuildOptions<'_>,
    summary: &ExtractSummary,
    people: &People,
    compiled: Counts,
    folder: &Path,
) -> Result<Content, BuildError> {
    let file = |name: &str| -> Result<(String, ContentFile), BuildError> {
        let digest = digest_file(&folder.join(name))?;
        Ok((name.to_owned(), digest.into()))
    };
    Ok(Content {
        format_version: FORMAT_VERSION,
        as_of: options.as_of.iso().to_string(),
        rows: summary.rows,
        people: compiled.people,
        incomplete: compiled.incomplete,
        entitlements: compiled.entitlements,
        rejected: summary.rejected,
        duplicates: people.duplicates(),
        warnings: summary.warnings.given().map(|(code, count)| (code.to_owned(), count)).collect(),
        mobile_key: MobileKeyName::of(options.mobile_key),
        files: BTreeMap::from([file(INDEX_FILE)?, file(RECORDS_FILE)?]),
    })
}

fn digest_file(path: &Path) -> Result<FileDigest, WriteError> {
    let mut hasher = blake3::Hasher::new();
    let hashed = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    hashed.map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
    Ok(FileDigest { len: hasher.count(), blake3: *hasher.finalize().as_bytes() })
}

fn write_content(
    folder: &BuildFolder,
    content: &Content,
    as_of: Day,
) -> Result<GenerationName, PublishError> {
    let bytes = content.to_bytes();
    folder.write(CONTENT_FILE, &bytes)?;
    Ok(GenerationName::of_content(as_of, &bytes))
}

/// Opens what was written through the reader's own code, and compares every person.
fn verify(
    options: &BuildOptions<'_>,
    folder: &BuildFolder,
    name: &GenerationName,
    people: &People,
) -> Result<(), BuildError> {
    let keys = std::slice::from_ref(options.mobile_key);
    let generation = open_folder(folder.path(), name, keys).map_err(BuildError::Verify)?;
    let same = people.par_all(|person, records| holds(&generation, person, records));
    if same { Ok(()) } else { Err(BuildError::Differs) }
}

fn holds(generation: &Generation, person: PersonId, records: &[EntitlementRecord]) -> bool {
    match generation.snapshot.find(person) {
        Person::Entitled(found) => found == records,
        Person::Incomplete => records.is_empty(),
        Person::Unknown => false,
    }
}

/// Places the generation, or finds the very same one there, and makes it current.
fn publish(
    options: &BuildOptions<'_>,
    publisher: &Publisher,
    folder: BuildFolder,
    name: &GenerationName,
) -> Result<(), BuildError> {
    if options.snapshots.join(name.to_string()).exists() {
        let keys = std::slice::from_ref(options.mobile_key);
        open_generation(options.snapshots, name, keys)
            .map_err(|source| BuildError::Damaged { name: *name, source: Box::new(source) })?;
        publisher.reseal(name)?;
    } else {
        publisher.place(folder, name)?;
    }
    Ok(publisher.switch(name)?)
}
