//! From checked rows to the two binary files, part after part of the ID space.

use std::io;
use std::path::Path;

use engine::{Compiler, Counts, WriteError};

use super::error::BuildError;
use super::options::{BuildOptions, Progress};
use super::partition::Partitions;
use super::reading::ExtractSummary;

/// What was written.
pub(super) struct Compiled {
    pub(super) counts: Counts,
    pub(super) duplicates: u64,
    /// One for each part of the ID space.
    pub(super) fingerprints: Vec<blake3::Hash>,
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

/// Writes the binary files of what was read into `folder`.
pub(super) fn compile(
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
