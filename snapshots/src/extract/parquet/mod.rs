//! The extract as Parquet: what is refused before a row is read (`file`), and batches of rows, one row group after the
//! other (`batch`). Cells become the text that a CSV of the same rows would hold, so that the checks are the same. Knows
//! no rule of a row.

pub(super) mod batch;
mod column;
#[cfg(test)]
mod damage_tests;
mod delta;
pub(super) mod file;
mod footer;
pub(super) mod page_size;
mod pages;
pub(super) mod place;
mod schema;
pub(super) mod source;
mod thrift;
