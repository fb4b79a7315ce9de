//! The ledger: the append-only record of every answer, and the tracking codes that point into it.
//!
//! Flow of an append: `ledger` queues a [`Record`] and gives it a sequence; the commit thread in `commit` hands all
//! that waits to `writer`, which packs (`record`, `entry`, `format`), chains (`keys`), writes and syncs it as one
//! batch, and seals a segment and begins the next when it is time; `prepare` makes that one's file ahead. [`Pending`]
//! resolves, woken through `waiters`. A thread with many requests appends through `gather`: it queues all that its
//! tasks appended in one go, and is woken once per sync. Flow of a start: `folder` says which ledger this is, `chain` checks headers,
//! seals and mark, `walk` the entries of an unsealed end, and `recovery` seals it. [`LedgerReader`] reads without the
//! write role, `verify` reads all. `search` finds a person's entries through `index`, which `indexer` keeps beside the
//! commits. FORMAT.md has every byte.
//!
//! What is absent is an invariant: no HTTP, no JSON, no async runtime (only `std::future`), no file access except
//! through [`Disk`], no mobile number. The clock is read for marks, seals and the turn of a day only.

mod chain;
mod commit;
mod counts;
mod cursor;
mod damm;
mod disk;
mod entry;
mod error;
mod ff1;
mod folder;
mod format;
mod gather;
mod handover;
mod idempotency;
mod index;
mod indexer;
mod keys;
mod ledger;
mod lookup;
mod mark;
mod month;
mod pace;
mod pending;
mod prepare;
mod prune;
mod pruned;
mod reader;
mod recent;
mod record;
mod recovery;
mod restore;
mod restore_error;
mod search;
mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod span;
mod totals;
mod tracking_code;
mod verify;
mod waiters;
mod walk;
mod writer;

pub use chain::SegmentInfo;
pub use counts::{SYNC_BOUNDS_US, Stats};
pub use cursor::{Cursor, CursorError};
pub use disk::{Disk, DiskFile, DiskLock, RealDisk};
pub use entry::{
    Channel, Entry, Language, Outcome, PROVIDER_ID_LEN_MAX, ProviderId, ProviderIdError, Subject,
};
pub use error::{
    AppendError, Damage, DamageKind, FindError, HeaderFault, InitError, NumberFileError, OpenError, ReadError,
};
pub use folder::replace_file;
pub use format::RULES_VERSION;
pub use gather::{Courier, Gathered, Gatherer};
pub use handover::{AskError, ask};
pub use idempotency::{Asker, Idempotency, Question};
pub use index::IndexError;
pub use keys::LedgerKeys;
pub use ledger::{Ledger, Options};
pub use lookup::{Found, Placed};
pub use month::{Month, MonthError, derived_month_key};
pub use pending::{Pending, Receipt};
pub use prune::{PruneError, Pruning, prunable};
pub use reader::{Home, LedgerReader, Records};
pub use recent::{Given, Keyed};
pub use record::{Act, Deed, Record};
pub use restore::{FileBytes, FolderSource, RestorePlan, Restored, Source, restore};
pub use restore_error::RestoreError;
pub use search::{LIMIT_DEFAULT, LIMIT_MAX, Search, SearchError, SearchPage};
pub use segment::Cause;
pub use span::Span;
pub use tracking_code::{SEQUENCE_MAX, TrackingCode, TrackingCodeError};
pub use verify::{Head, Verified, VerifyReport};
