//! Disks that are full for real: a limit on the length of files, and a small file system. A build says so and what to
//! do, what was current still is, and with room again the same build completes. Each single step of it on a full disk is
//! the business of the crash points.
//!
//! The second test needs an empty file system of a few MiB, which only root can make, and so is ignored:
//!
//!     mount -t tmpfs -o size=1m tmpfs FOLDER
//!     ESTEHQAQ_TEST_SMALL_DISK=FOLDER cargo test -p snapshots --test it full_disk:: -- --ignored --nocapture

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapshots::{BuildReport, Store, open_current, read_current};

use crate::support::{build_file, mobile_key, write_extracts};

const FOLDER: &str = "ESTEHQAQ_TEST_FULL_DISK_OF_CHILD";
const PEOPLE: u32 = 3000;
const ADVICE: &str = "check the free space and the folder's permissions";
const PAGE: usize = 4096;

/// A folder with two extracts, the first of which is current.
fn prepare(folder: &Path, snapshots: &Path) -> String {
    write_extracts(folder, 2, PEOPLE);
    build_file(&folder.join("0.csv"), snapshots).unwrap().generation
}

/// Nothing but what belongs there, and a build that goes on.
fn check_then_build(folder: &Path, snapshots: &Path, current: &str) -> BuildReport {
    assert_eq!(read_current(snapshots).unwrap().to_string(), current);
    open_current(snapshots, &[mobile_key()]).unwrap();
    let report = build_file(&folder.join("1.csv"), snapshots).unwrap();
    let names =
        fs::read_dir(snapshots).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left_behind: Vec<_> = names.filter(|name| name.starts_with('.') && !name.ends_with("lock")).collect();
    assert_eq!(left_behind, [""; 0]);
    report
}

/// The name of the file that could not be written, or what it is.
fn what_failed(told: &str) -> String {
    let what = told.split_once(": ").unwrap().0;
    what.rsplit_once('/').map_or(what, |(_, file)| file).to_owned()
}

/// What the child does, which may not write long files; nothing when run as a test.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    match build_file(&folder.join("1.csv"), &folder.join("snapshots")) {
        Ok(_) => println!("done"),
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn files_that_may_not_grow() {
    let (dir, mut refusals) = (tempfile::tempdir().unwrap(), Vec::new());
    let snapshots = dir.path().join("snapshots");
    let current = prepare(dir.path(), &snapshots);
    // In units of 512 or 1,024 bytes, as the shell has it. A signal that nobody catches would come before the error.
    for limit in [0, 1, 16, 40] {
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args(["full_disk::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        // The child's output is a pipe, which has no length.
        let refusal = told.lines().find_map(|line| line.split_once("refused: ")).map(|(_, refusal)| refusal);
        let refusal = refusal.unwrap_or_else(|| panic!("limit {limit}: {told}"));
        assert!(refusal.contains("File too large") && refusal.ends_with(ADVICE), "{refusal}");
        refusals.push(what_failed(refusal));
        assert_eq!(read_current(&snapshots).unwrap().to_string(), current);
    }
    refusals.dedup();
    assert_eq!(refusals, ["cannot write the list of rejected rows", "index.bin", "records.bin"]);
    check_then_build(dir.path(), &snapshots, &current);
}

/// Takes all room but so many bytes.
fn fill(small: &Path, free: usize) -> PathBuf {
    let path = small.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    let mut len = 0;
    while file.write_all(&[1; PAGE]).is_ok() {
        len += PAGE;
    }
    file.set_len(len.saturating_sub(free) as u64).unwrap();
    path
}

#[test]
#[ignore = "needs an empty file system of a few MiB, named by ESTEHQAQ_TEST_SMALL_DISK"]
fn a_small_file_system() {
    let small = std::env::var("ESTEHQAQ_TEST_SMALL_DISK");
    let small = small.expect("ESTEHQAQ_TEST_SMALL_DISK names an empty file system: see the top of this file");
    let (small, dir) = (Path::new(&small), tempfile::tempdir().unwrap());
    let snapshots = small.join("snapshots");
    let (mut refusals, mut free) = (Vec::new(), 0);
    loop {
        let _ = fs::remove_dir_all(&snapshots);
        let current = prepare(dir.path(), &snapshots);
        let ballast = fill(small, free);
        let outcome = build_file(&dir.path().join("1.csv"), &snapshots);
        fs::remove_file(ballast).unwrap();
        let Err(error) = outcome else { break };
        let told = error.to_string();
        assert!(told.contains("No space left on device"), "{free} bytes free: {told}");
        assert!(told.ends_with(ADVICE) || told.ends_with("check the free space and the disk"), "{told}");
        refusals.push(what_failed(&told));
        check_then_build(dir.path(), &snapshots, &current);
        Store::new(&snapshots, "tester").rollback(None, None).unwrap();
        free += PAGE;
    }
    let tries = refusals.len();
    assert!(tries > 0, "no build failed: the file system is not small, or not full");
    refusals.dedup();
    println!("{tries} builds on a full disk, with up to {free} bytes free: {refusals:#?}");
}
