//! A finished measurement of any kind, as it is written to and read from a file of JSON.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::result::model::{Provenance, RunResult, SCHEMA_VERSION};
use crate::result::search::{CalibrationResult, CapacityResult, CompareResult};

/// Any result; `kind` says which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Document {
    Run(Box<RunResult>),
    Capacity(Box<CapacityResult>),
    Compare(Box<CompareResult>),
    Calibration(Box<CalibrationResult>),
}

/// Why a file is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("cannot read the result {path}: {source}; check the path")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no result of loadgen: {source}; give a file that --json or --out wrote")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{path} is no result of loadgen: {what}; give a file that --json or --out wrote")]
    Impossible { path: PathBuf, what: &'static str },
    #[error(
        "{path} has schema version {found}, this loadgen reads {SCHEMA_VERSION}; use the one that wrote it"
    )]
    Version { path: PathBuf, found: u32 },
}

impl Document {
    pub(crate) fn read(path: &Path) -> Result<Document, DocumentError> {
        let file =
            File::open(path).map_err(|source| DocumentError::Read { path: path.to_owned(), source })?;
        let malformed = |source| DocumentError::Malformed { path: path.to_owned(), source };
        let value: serde_json::Value = serde_json::from_reader(BufReader::new(file)).map_err(malformed)?;
        // Before the fields: those of another version may be missing, which would be a confusing thing to say.
        let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
        if let Some(found) = version.and_then(|v| u32::try_from(v).ok()).filter(|v| *v != SCHEMA_VERSION) {
            return Err(DocumentError::Version { path: path.to_owned(), found });
        }
        let document: Document = serde_json::from_value(value).map_err(malformed)?;
        match &document {
            Document::Run(run) => run.check_times(),
            _ => Ok(()),
        }
        .map_err(|what| DocumentError::Impossible { path: path.to_owned(), what })?;
        Ok(document)
    }

    /// One JSON object on one line.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    pub(crate) fn provenance(&self) -> &Provenance {
        match self {
            Document::Run(run) => &run.provenance,
            Document::Capacity(capacity) => &capacity.provenance,
            Document::Compare(compare) => &compare.provenance,
            Document::Calibration(calibration) => &calibration.provenance,
        }
    }
}

impl From<RunResult> for Document {
    fn from(run: RunResult) -> Document {
        Document::Run(Box::new(run))
    }
}

impl From<CapacityResult> for Document {
    fn from(capacity: CapacityResult) -> Document {
        Document::Capacity(Box::new(capacity))
    }
}

impl From<CompareResult> for Document {
    fn from(compare: CompareResult) -> Document {
        Document::Compare(Box::new(compare))
    }
}

impl From<CalibrationResult> for Document {
    fn from(calibration: CalibrationResult) -> Document {
        Document::Calibration(Box::new(calibration))
    }
}
