//! What the tests of this crate share: a key, the messy extract, and a build of it.

use std::fs;
use std::path::{Path, PathBuf};

use engine::{Day, MobileKey, NationalId, PersonId};
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

/// A build that passes every gate, as if somebody had accepted it.
pub(crate) fn build_file(extract: &Path, dir: &Path) -> Result<BuildReport, BuildError> {
    build_with(extract, dir, |options| options.accept = Some("a test".to_owned()))
}

pub(crate) fn build_with(
    extract: &Path,
    dir: &Path,
    set: impl FnOnce(&mut BuildOptions<'_>),
) -> Result<BuildReport, BuildError> {
    let key = mobile_key();
    let mut options = BuildOptions::new(extract, dir, &key, as_of());
    set(&mut options);
    build(&options)
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

/// The national ID with these nine digits before its check digit.
pub(crate) fn national_id(nine: u32) -> String {
    PersonId::National(NationalId::from_nine(nine).unwrap()).reveal()
}

/// Copies a folder with all that is in it, modes included.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}

/// Writes extracts `0.csv`, `1.csv` and so on of the same people, each with something else about everybody.
pub(crate) fn write_extracts(folder: &Path, count: usize, people: u32) {
    for number in 0..count {
        let rows = (0..people).map(|n| {
            let (id, branch) = (national_id(1_000_001 + n * 7919), 1 + number as u32 + n);
            format!("N,{id},insured,self,,{}-{:02}-01,,,,,,,{branch}\n", 1990 + n % 30, 1 + n % 12)
        });
        let text = rows.collect::<String>();
        fs::write(folder.join(format!("{number}.csv")), format!("{HEADER}\n{text}")).unwrap();
    }
}
