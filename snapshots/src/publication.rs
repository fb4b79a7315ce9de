//! `publication.json`: what differs from one run to the next: source, times, how the gates judged, and who
//! overrode them why. No digest covers it; a signature does, where there is a signing key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gates::{Gate, GateOutcome};
use crate::generation::GenerationName;

pub(crate) const PUBLICATION_FILE: &str = "publication.json";

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
    /// How the gates judged it last.
    pub gates: Vec<GateOutcome>,
    /// Who overrode which gates, when and why.
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
