//! From an extract to a published generation, through the public API and real files.
#![allow(clippy::unwrap_used)]

mod diffing;
mod full_disk;
mod inspecting;
mod kill;
mod messy_extract;
mod parquet;
mod parquet_claims;
mod parquet_writer;
mod poisoned;
mod publishing;
mod rows;
mod same_rows;
mod states;
mod support;
