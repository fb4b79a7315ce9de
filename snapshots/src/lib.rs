//! From the nightly extract to a verified, published generation, and from a published generation to an open
//! snapshot.
//!
//! Flow: `extract` reads and checks rows; `build` sorts and merges them per person, compiles with `engine` and verifies;
//! `generation` is what comes of it, and the reader's side of it; `publish` judges, places, publishes, rolls back and
//! prunes generations. `diff` compares two of them.

mod build;
mod diff;
pub mod disk;
mod extract;
mod generation;
mod id_space;
mod publish;
#[cfg(any(test, fuzzing))]
mod tests;

pub use build::error::BuildError;
pub use build::memory::{MemoryBound, MemoryBoundError};
pub use build::options::{BuildOptions, Progress};
pub use build::{BuildReport, build};
pub use diff::tally::{Both, Change, Changes, Group, GroupChanges};
pub use diff::walk::{Changed, Reveal};
pub use diff::{Diff, DiffError, DiffOptions, diff};
pub use extract::{ExtractError, PageTooLarge, RejectRule, RowGroupColumn, Warning};
pub use generation::content::{Content, ContentFile, MobileKeyName};
pub use generation::gate::{Gate, GateFigures, GateOutcome};
pub use generation::name::{GenerationName, GenerationNameError};
pub use generation::open::{
    Generation, KeylessGeneration, OpenError, open_current, open_current_keyless, open_generation,
    open_generation_in, open_signed_generation, read_content, read_current, read_publication,
};
pub use generation::publication::{Acceptance, Publication, PublicationSource};
pub use generation::self_test::{SelfTestCase, SelfTestError};
pub use generation::signing::{KeyFileError, PublicKey, SignatureFault, SigningKey};
pub use generation::statistics::Statistics;
pub use publish::error::StoreError;
pub use publish::gates::GateLimits;
pub use publish::inspection::{
    GateReport, InspectedCounts, InspectedFile, InspectedSignature, Inspection, SignatureState,
};
pub use publish::journal::{Event, JOURNAL_FILE, JournalLine};
pub use publish::states::{Listed, State};
pub use publish::store::{PublishOptions, Published, RolledBack, Store};
#[cfg(any(test, fuzzing))]
pub use tests::fuzzing;
