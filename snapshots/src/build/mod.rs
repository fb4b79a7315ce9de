//! One night's work: read and check the extract, merge per person, compile, verify by re-opening, publish.
//! What was current stays so until the very last step.

mod compile;
pub(crate) mod error;
pub(crate) mod folder;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod partition;
mod reading;
mod rejects;
mod survey;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use storage::Watch;

use self::compile::compile;
use self::error::BuildError;
use self::folder::{BuildFolder, BuilderLock};
use self::options::BuildOptions;
use self::partition::Partitions;
use self::reading::{ExtractSummary, Sinks, read_extract};
use self::rejects::RejectsWriter;
use self::verify::describe;
use crate::extract::{Extract, ExtractError};
use crate::generation::content::{Content, ContentFile, json_file};
use crate::generation::gate::GateOutcome;
use crate::generation::name::GenerationName;
use crate::generation::open::open_generation;
use crate::generation::publication::{PUBLICATION_FILE, Publication, PublicationSource, rejects_name};
use crate::publish::error::StoreError;
use crate::publish::store::{PublishOptions, Store};

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

/// Builds a generation, places it, and makes it the current one if the gates let it through.
///
/// # Errors
/// [`BuildError`]; the list of rejected rows is written all the same once every row was read.
pub fn build(options: &BuildOptions<'_>) -> Result<BuildReport, BuildError> {
    let started_at = Timestamp::now();
    let store = Store::create(options.snapshots, options.by.clone())?;
    let builder = BuilderLock::take(&store)?;
    let folder = builder.begin()?;
    let watch = Watch::begin(options.extract);
    let (partitions, summary, rejects_path) = read(options, &folder)?;
    let compiled = compile(options, &summary, partitions, folder.path())?;
    let (content, name) = describe(options, &summary, &compiled, &folder)?;
    write_publication(options, &folder, &name, &content, &summary, started_at, &store)?;
    if watch.has_changed() {
        // Only now: the rows that came since are people who would be missing.
        return Err(ExtractError::Changed { path: options.extract.to_owned() }.into());
    }
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
    let name = rejects_name(options.as_of, &ContentFile::from(summary.source).blake3);
    let rejects_path = rejects.finish(&name).map_err(BuildError::Rejects)?;
    if summary.rows == summary.rejected {
        return Err(BuildError::Nobody { rejects_path });
    }
    Ok((partitions, summary, rejects_path))
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
    let ContentFile { length, blake3 } = summary.source.into();
    let publication = Publication {
        generation: *name,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        verified_at: Timestamp::now(),
        source: PublicationSource { file_name, length, blake3 },
        gates: store.judge(name, content, &options.limits)?,
        accepted: None,
    };
    folder.write_signed(PUBLICATION_FILE, &json_file(&publication), options.signing_key.as_ref())
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
