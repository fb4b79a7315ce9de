//! `publication.json`: what differs from one run to the next. No digest covers it.

use jiff::Timestamp;
use serde::Serialize;

use crate::builder::BuildOptions;
use crate::generation::GenerationName;
use crate::reading::ExtractSummary;

pub(crate) const PUBLICATION_FILE: &str = "publication.json";

/// The file of that name in a generation.
#[derive(Serialize)]
pub(crate) struct Publication {
    generation: String,
    program_version: &'static str,
    started_at: Timestamp,
    verified_at: Timestamp,
    source: PublicationSource,
    gates: PublicationGates,
}

#[derive(Serialize)]
struct PublicationSource {
    file_name: String,
    length: u64,
    blake3: String,
}

#[derive(Serialize)]
struct PublicationGates {
    rejected_share: f64,
    rejected_share_max: f64,
}

impl Publication {
    pub(crate) fn new(
        options: &BuildOptions<'_>,
        name: &GenerationName,
        summary: &ExtractSummary,
        started_at: Timestamp,
    ) -> Publication {
        let file_name = options.extract.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let blake3 = summary.source.blake3.to_hex().to_string();
        Publication {
            generation: name.to_string(),
            program_version: env!("CARGO_PKG_VERSION"),
            started_at,
            verified_at: Timestamp::now(),
            source: PublicationSource { file_name, length: summary.source.len, blake3 },
            gates: PublicationGates {
                rejected_share: summary.rejected as f64 / summary.rows as f64,
                rejected_share_max: options.max_rejected,
            },
        }
    }
}
