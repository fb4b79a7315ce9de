//! Whether a generation that was opened decides as its builder says it must, asked the way requests ask.

use snapshots::Generation;

use super::refusal::{Cause, Refusal};

/// Looks known people up and decides.
pub(super) fn run(generation: &Generation) -> Result<(), Refusal> {
    let tested = generation.self_test();
    tested.map_err(|error| Refusal { cause: Cause::SelfTest, message: error.to_string() })
}
