//! What a build is asked for, and how far it is.

use std::path::Path;

use engine::{Day, MobileKey};

use super::memory::MemoryBound;
use crate::generation::signing::SigningKey;
use crate::publish::gates::GateLimits;

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
