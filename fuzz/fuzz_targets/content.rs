//! `content.json` with any bytes, under the name that follows from them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapshots::fuzzing::content(bytes));
