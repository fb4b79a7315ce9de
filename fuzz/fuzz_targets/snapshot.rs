//! The opener of a generation's binary files, with any bytes and their true digests. The files lie in memory where
//! there is a file system for that.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let made = || tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    FOLDER.get_or_init(|| made().expect("a folder can be made")).path()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapshots::fuzzing::snapshot(bytes, folder()));
