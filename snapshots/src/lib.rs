//! From the nightly extract to a verified, published generation, and from a published generation to an open
//! snapshot.
//!
//! Flow: `extract` reads and checks rows; `partition` sorts and merges them per person; `builder` drives
//! both (through `reading`), compiles with `engine` and verifies; `statistics` and `gates` judge what was built;
//! `store` is the state machine that places, publishes, rolls back and prunes, with its `journal`, and tells all of a
//! generation (`inspection`); `open` is the reader's side; `content` and `publication` stand in a generation beside
//! the binary files, `signing` beside those. `diff` compares two generations: `comparison` goes through both, `tally`
//! counts. `synth` makes populations to test with and shares no code with the checks.

mod builder;
mod building;
mod comparison;
mod content;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod crash;
mod diff;
pub mod disk;
mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gate_words;
mod gates;
mod generation;
mod inspection;
mod journal;
mod memory;
mod open;
mod partition;
mod publication;
mod reading;
mod rejects;
mod self_test;
mod signing;
mod states;
mod statistics;
mod store;
mod store_error;
pub mod synth;
mod tally;

pub use builder::{BuildError, BuildOptions, BuildReport, Progress, build};
pub use comparison::Changed;
pub use content::{Content, ContentFile, MobileKeyName};
pub use diff::{Both, Diff, DiffError, DiffOptions, Reveal, diff};
pub use extract::{ExtractError, PageTooLarge, RejectRule, RowGroupColumn, Warning};
pub use gates::{Gate, GateFigures, GateLimits, GateOutcome};
pub use generation::{GenerationName, GenerationNameError};
pub use inspection::{
    GateReport, InspectedCounts, InspectedFile, InspectedSignature, Inspection, SignatureState,
};
pub use journal::{Event, JOURNAL_FILE, JournalLine};
pub use memory::{MemoryBound, MemoryBoundError};
pub use open::{
    Generation, KeylessGeneration, OpenError, open_current, open_current_keyless, open_generation,
    open_generation_in, open_signed_generation, read_content, read_current, read_publication,
};
pub use publication::{Acceptance, Publication, PublicationSource};
pub use self_test::{SelfTestCase, SelfTestError};
pub use signing::{KeyFileError, PublicKey, SignatureFault, SigningKey};
pub use states::{Listed, State};
pub use statistics::Statistics;
pub use store::{PublishOptions, Published, RolledBack, Store};
pub use store_error::StoreError;
pub use tally::{Change, Changes, Group, GroupChanges};
