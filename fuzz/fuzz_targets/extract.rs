//! The reader of the nightly extract, with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapshots::fuzzing::extract(bytes));
