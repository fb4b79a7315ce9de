//! What happens to a generation once it is built: the gates judge it, the store places, publishes, rolls back and prunes
//! it, and the journal keeps who did what, when and why.

pub(crate) mod error;
pub(crate) mod gates;
pub(crate) mod inspection;
pub(crate) mod journal;
pub(crate) mod states;
pub(crate) mod store;
