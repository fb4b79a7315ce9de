//! What the tests of this crate share: a key, the messy extract, and a build of it.

use std::fs;
use std::path::{Path, PathBuf};

use engine::{Day, MobileKey};
use snapshots::{BuildError, BuildOptions, BuildReport, build};
use tempfile::TempDir;

/// The nightly extract with its expected rejects, summary and answers.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/extract").join(name)
}

pub(crate) fn mobile_key() -> MobileKey {
    MobileKey::new(1, [7; 32])
}

pub(crate) fn as_of() -> Day {
    Day::parse("2026-11-22").unwrap()
}

pub(crate) fn build_with_share(
    extract: &Path,
    dir: &Path,
    max_rejected: f64,
) -> Result<BuildReport, BuildError> {
    build(&BuildOptions {
        extract,
        snapshots: dir,
        mobile_key: &mobile_key(),
        as_of: as_of(),
        max_rejected,
        progress: &|_| {},
    })
}

pub(crate) fn build_file(extract: &Path, dir: &Path) -> Result<BuildReport, BuildError> {
    build_with_share(extract, dir, 1.0)
}

pub(crate) const HEADER: &str = "id_kind,person_id,category,relation,birth_date,coverage_start,coverage_end,\
                                 student_until,document_due,principal_id,other_insurer,mobile,branch";

/// A folder with an extract of these bytes in it, and the outcome of building it there.
pub(crate) fn build_bytes(extract: &[u8]) -> (TempDir, Result<BuildReport, BuildError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("extract.csv");
    fs::write(&path, extract).unwrap();
    let report = build_file(&path, &dir.path().join("snapshots"));
    (dir, report)
}

pub(crate) fn build_rows(rows: &[&str]) -> (TempDir, Result<BuildReport, BuildError>) {
    build_bytes(format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes())
}
