//! The ledger: the append-only record of every answer, and the tracking codes that point into it.
//!
//! Flow of an append: `ledger` queues an [`Entry`] and gives it a sequence; the commit thread in `commit`
//! packs (`entry`, `format`), chains (`keys`), writes and syncs all that waits as one batch; [`Pending`]
//! resolves, woken through `waiters`. Flow of a start: `folder` says which ledger this is, `segment` checks
//! the header, `walk` every entry, and `recovery` makes the end ready for appending. [`LedgerReader`] reads
//! without the write role. FORMAT.md has every byte.
//!
//! What is absent is an invariant: no HTTP, no JSON, no async runtime (only `std::future`), no file access
//! except through [`Disk`], no mobile number. The clock is read for opening and closing marks only.

mod commit;
mod damm;
mod disk;
mod entry;
mod error;
mod ff1;
mod folder;
mod format;
mod keys;
mod ledger;
mod lookup;
mod pending;
mod reader;
mod recovery;
mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod tracking_code;
mod waiters;
mod walk;

pub use disk::{Disk, DiskFile, DiskLock, RealDisk};
pub use entry::{Channel, Entry, Language, Outcome, PROVIDER_ID_LEN_MAX, ProviderId, ProviderIdError};
pub use error::{
    AppendError, Damage, DamageKind, FindError, HeaderFault, InitError, NumberFileError, OpenError, ReadError,
};
pub use keys::LedgerKeys;
pub use ledger::{Ledger, Options, Stats};
pub use lookup::Found;
pub use pending::{Pending, Receipt};
pub use reader::{Entries, LedgerReader, Verified, VerifyReport};
pub use tracking_code::{SEQUENCE_MAX, TrackingCode, TrackingCodeError};
