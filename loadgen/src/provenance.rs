//! Where a result comes from: seed, scenario, start, the machine, and the revision that this program was built from.
//!
//! The revision is a fact of the build (see build.rs), never of the folder in which the program is started.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::host::HostFacts;
use crate::result::{Provenance, SCHEMA_VERSION};
use crate::scenario::Scenario;

/// Of a measurement that began then.
pub(crate) fn provenance(scenario: &Scenario, seed: u64, started_at: SystemTime) -> Provenance {
    let since = started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Provenance {
        schema_version: SCHEMA_VERSION,
        loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("LOADGEN_BUILT_FROM").map(str::to_owned),
        seed,
        scenario: scenario.facts.clone(),
        started_at_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        hosts: vec![HostFacts::read()],
    }
}
