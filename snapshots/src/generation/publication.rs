//! `publication.json`: what differs from one run to the next: source, times, how the gates judged, and who
//! overrode them why. No digest covers it; a signature does, where there is a signing key.
//!
//! It tells of the build, and of the last time that gates were overridden. How the gates judged each publication, by
//! which limits, is the journal's to tell: a publication that overrides nothing leaves this file as it is.

use engine::Day;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::generation::gate::{Gate, GateOutcome};
use crate::generation::name::GenerationName;

pub(crate) const PUBLICATION_FILE: &str = "publication.json";

/// The folder beside the generations in which the lists of rejected rows are.
pub(crate) const REJECTS_FOLDER: &str = "rejects";

/// The list of the rows that were rejected from an extract with that digest for that day.
pub(crate) fn rejects_name(as_of: Day, source_blake3: &str) -> String {
    let digest: String = source_blake3.chars().take(12).collect();
    format!("{}-{digest}.csv", as_of.iso())
}

/// The file of that name in a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The generation that it belongs to.
    pub generation: GenerationName,
    /// Version of the program that built it.
    pub program_version: String,
    /// When its build began.
    pub started_at: Timestamp,
    /// When it was opened again and compared.
    pub verified_at: Timestamp,
    /// What it was built from.
    pub source: PublicationSource,
    /// How the gates judged it when it was built; once gates were overridden, how they judged it then.
    pub gates: Vec<GateOutcome>,
    /// Who overrode which of these gates, when and why. It is written before the line in the journal: after a crash
    /// between the two it tells what somebody decided, and the journal that nothing came of it.
    pub accepted: Option<Acceptance>,
}

/// The extract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicationSource {
    /// Its name without the folder.
    pub file_name: String,
    /// Bytes.
    pub length: u64,
    /// BLAKE3 of all of them, hexadecimal.
    pub blake3: String,
}

/// Gates overridden by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Why.
    pub reason: String,
    /// Which gates would have refused.
    pub gates: Vec<Gate>,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}
