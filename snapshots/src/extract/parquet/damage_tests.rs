//! Damaged files: whatever byte is wrong, an error or other cells, and never a panic. The crate's decoders are what is
//! tried here, on files that others wrote.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::batch::Batches;
use super::file::ParquetExtract;
use crate::extract::ExtractError;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parquet").join(name)).unwrap()
}

/// Rows of a file with these bytes.
fn decode(path: &PathBuf, bytes: &[u8]) -> Result<usize, ExtractError> {
    fs::write(path, bytes).unwrap();
    let extract = ParquetExtract::open(path, File::open(path).unwrap())?;
    let mut batches = Batches::new(&extract);
    let mut rows = 0;
    while let Some(batch) = batches.next_batch()? {
        rows += batch.rows();
    }
    Ok(rows)
}

#[track_caller]
fn check(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let mut bytes = fixture(name);
    assert_eq!(decode(&path, &bytes).unwrap(), 40);
    let (mut refused, mut other) = (0, 0);
    for place in 0..bytes.len() {
        let mask = [0x01, 0x80, 0xFF][place % 3];
        bytes[place] ^= mask;
        match decode(&path, &bytes) {
            Ok(rows) => {
                assert_eq!(rows, 40, "byte {place} changed: rows were left out without a word");
                other += 1;
            }
            Err(_) => refused += 1,
        }
        bytes[place] ^= mask;
    }
    assert!(refused > bytes.len() / 4 && other > 0, "{refused} refused, {other} not");
    for len in (0..bytes.len()).step_by(7) {
        assert!(decode(&path, &bytes[..len]).is_err(), "cut off after {len} bytes");
    }
}

#[test]
fn plain_dictionaries_and_checksums() {
    check("pyarrow.parquet");
}

#[test]
fn deltas_and_gzip() {
    check("pyarrow-delta.parquet");
}

#[test]
fn zstd() {
    check("duckdb.parquet");
}

#[test]
fn numbers_and_snappy() {
    check("duckdb-typed.parquet");
}
