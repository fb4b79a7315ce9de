//! Idempotency keys: which inquiry of the last 24 hours was the first under a key, so that a repeated request gets
//! the first one's code and answer, and never a second entry.
//!
//! `header` reads the key, `held` keeps the places of the entries of one channel within a bound, `keys` has both
//! channels and the turns in which twins go, and `upkeep` reads the ledger at a start and lets
//! old keys go. What a request then gets is
//! decided in `http::keyed`, on the ledger's entry: what is held here only says where to look.
//!
//! Never here: a key's text, an answer, or anything of a person beyond digests under a key.

mod header;
mod held;
mod keys;
mod upkeep;

pub(crate) use header::{FIELD, IdempotencyKey};
pub(crate) use held::{Place, SPAN_MS};
pub(crate) use keys::Keys;
pub(crate) use upkeep::Upkeep;
