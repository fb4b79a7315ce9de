//! Tests that need the inside of the crate, and what the fuzz targets call. Nothing of it is part of a release.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod crash;
pub mod fuzzing;
