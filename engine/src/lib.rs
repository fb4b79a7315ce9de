//! The pure heart of Estehqaq: who a person is, what is stored of their cover, how it is found in a
//! memory-mapped snapshot, and what follows from it on a given day.
//!
//! Flow: `person`, `mobile` and `day` parse what people write; `entitlement` packs a checked row into 16
//! bytes; `compile` writes sorted people into the two files of a generation; `snapshot` opens and verifies
//! those files and finds a person in them; `decide` judges what was found.
//!
//! What is absent is an invariant: no HTTP, no JSON, no clock, no async, no randomness. "Today" is always an
//! argument.

mod cell;
mod compile;
mod container;
mod day;
mod decide;
mod entitlement;
mod mapped;
mod mobile;
mod people;
mod person;
mod snapshot;

pub use cell::clean_cell;
pub use compile::{Compiler, WriteError};
pub use container::{FORMAT_VERSION, INDEX_FILE, RECORDS_FILE};
pub use day::{DateError, Day};
pub use decide::{Care, Decision, Notice, Notices, Person, Reason, Status, decide};
pub use entitlement::{
    Branch, Category, Entitlement, EntitlementRecord, Insurer, Relation, Terms, nineteenth_birthday,
};
pub use mapped::MemoryMode;
pub use mobile::{Fingerprint, Mobile, MobileError, MobileKey};
pub use people::People;
pub use person::{ForeignId, IdKind, NationalId, PersonId, PersonIdError};
pub use snapshot::{Counts, FileDigest, OpenError, OpenStep, Snapshot, SnapshotFiles};
