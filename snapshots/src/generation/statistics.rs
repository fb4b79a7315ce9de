//! What a generation says of its people as a whole, in `content.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Figures of a generation, as `content.json` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// People who are covered on the as-of date.
    pub covered: u64,
    /// People with an entitlement of each category.
    pub categories: BTreeMap<String, u64>,
    /// People with an entitlement of each relation.
    pub relations: BTreeMap<String, u64>,
    /// People with a national ID by its first three digits, incomplete ones included; none are zero.
    pub leading_digits: BTreeMap<String, u64>,
    /// How many people have the most shared stored entitlement, mobile numbers aside; 0 where none is shared by
    /// more than one of 20 people, or one of 33 entitlements when that is more.
    pub shared_entitlement: u64,
}
