//! Publishing: what stands on disk afterwards, what is refused, and that damage of a published generation is
//! found before anything of it is used.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use engine::MobileKey;
use snapshots::{BuildError, BuildOptions, OpenError, build, open_current, read_current};

use crate::support::{HEADER, as_of, build_file, build_with, data, mobile_key};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_published_generation_is_complete_and_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let report = build_file(&data("extract.csv"), dir.path()).unwrap();
    let folder = dir.path().join(&report.generation);
    assert_eq!(fs::read_to_string(dir.path().join("CURRENT")).unwrap(), format!("{}\n", report.generation));
    assert_eq!(mode(&folder), 0o550);
    let names: Vec<_> = files(&folder).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["content.json", "index.bin", "publication.json", "records.bin"]);
    assert!(files(&folder).iter().all(|path| mode(path) == 0o440));
    assert_eq!(mode(&report.rejects_path), 0o600);
    let digest = blake3::hash(&fs::read(folder.join("content.json")).unwrap()).to_hex();
    assert_eq!(report.generation, format!("2026-11-22-{}", &digest[..12]));
}

#[test]
fn the_same_rows_give_the_same_bytes_whatever_the_threads_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let extract = fs::read_to_string(data("extract.csv")).unwrap();
    // Whole rows only: those that hold no quoted line break can be put in another order.
    let plain: Vec<_> = extract.lines().filter(|line| !line.contains('"') && line.contains(',')).collect();
    let mut reversed = plain.clone();
    reversed[1..].reverse();
    let mut names = Vec::new();
    for (number, rows) in [&plain, &reversed].into_iter().enumerate() {
        let path = dir.path().join(format!("{number}.csv"));
        fs::write(&path, rows.join("\n")).unwrap();
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let snapshots = dir.path().join(format!("{number}-{threads}"));
            names.push(pool.install(|| build_file(&path, &snapshots)).unwrap().generation);
        }
    }
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}

#[test]
fn building_again_publishes_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let first = build_file(&data("extract.csv"), dir.path()).unwrap().generation;
    let other = dir.path().join("other.csv");
    fs::write(&other, format!("{HEADER}\nN,68415941,insured,self,,1400/1/1,,,,,,,\n")).unwrap();
    let second = build_file(&other, dir.path()).unwrap().generation;
    assert_eq!(read_current(dir.path()).unwrap().to_string(), second);
    assert_eq!(build_file(&data("extract.csv"), dir.path()).unwrap().generation, first);
    assert_eq!(read_current(dir.path()).unwrap().to_string(), first);
    open_current(dir.path(), &[mobile_key()]).unwrap();
}

#[test]
fn modes_do_not_depend_on_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = dir.path().join("new/snapshots");
    let folder = snapshots.join(build_file(&data("extract.csv"), &snapshots).unwrap().generation);
    let modes = || (mode(&folder), mode(&folder.join("index.bin")), mode(&snapshots.join("CURRENT")));
    assert_eq!(modes(), (0o550, 0o440, 0o440));
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(folder.join("index.bin"), Permissions::from_mode(0o644)).unwrap();
    build_file(&data("extract.csv"), &snapshots).unwrap();
    assert_eq!(modes(), (0o550, 0o440, 0o440), "publishing again puts lost modes right");
}

#[test]
fn the_gates_refuse_and_leave_the_rejects() {
    let dir = tempfile::tempdir().unwrap();
    let error = build_with(&data("extract.csv"), dir.path(), |_| {}).unwrap_err();
    let BuildError::Refused { rejects_path, folder, .. } = &error else { panic!("{error}") };
    assert_eq!(fs::read_to_string(rejects_path).unwrap().lines().count(), 98);
    let text = error.to_string();
    assert!(text.contains("97 of 3608 rows were rejected, a share of 0.0269 where at most 0.005"), "{text}");
    assert!(text.contains("--max-rejected"), "{text}");
    assert!(text.contains("also: 54 of 3194 people are incomplete, a share of 0.0169"), "{text}");
    assert!(matches!(read_current(dir.path()), Err(OpenError::NothingPublished { .. })));
    assert!(folder.join("content.json").exists(), "a refused build stays on disk");

    let empty = dir.path().join("empty.csv");
    fs::write(&empty, format!("{HEADER}\n")).unwrap();
    let error = build_file(&empty, dir.path()).unwrap_err();
    assert!(error.to_string().contains("no row of the extract could be used"), "{error}");
}

#[test]
fn a_second_builder_is_refused_and_leftovers_are_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let leftover = dir.path().join(".building-1");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("index.bin"), "half").unwrap();
    fs::set_permissions(&leftover, Permissions::from_mode(0o550)).unwrap();
    let lock = fs::File::create(dir.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = build_file(&data("extract.csv"), dir.path()).unwrap_err().to_string();
    assert!(error.contains("another builder is at work") && leftover.exists(), "{error}");
    lock.unlock().unwrap();
    build_file(&data("extract.csv"), dir.path()).unwrap();
    assert!(!leftover.exists());
}

#[test]
fn two_builders_at_once_exclude_each_other() {
    let (dir, key, messages) = (tempfile::tempdir().unwrap(), mobile_key(), Mutex::new(Vec::new()));
    let extract = data("extract.csv");
    // In the middle of the first one's work; as another process would, it opens the lock by itself.
    let other = |_| messages.lock().unwrap().push(build_file(&extract, dir.path()).unwrap_err().to_string());
    let mut options = BuildOptions::new(&extract, dir.path(), &key, as_of());
    options.accept = Some("a test".to_owned());
    options.progress = &other;
    let report = build(&options).unwrap();
    assert_eq!(read_current(dir.path()).unwrap().to_string(), report.generation);
    let expected = format!("another builder is at work in {}; wait until it is done", dir.path().display());
    let messages = messages.lock().unwrap().clone();
    assert!(messages.len() >= 3 && messages.iter().all(|message| *message == expected), "{messages:?}");
    build_file(&extract, dir.path()).unwrap();
}

#[test]
fn a_server_without_the_mobile_key_refuses() {
    let dir = tempfile::tempdir().unwrap();
    build_file(&data("extract.csv"), dir.path()).unwrap();
    for keys in [vec![], vec![MobileKey::new(1, [8; 32])], vec![MobileKey::new(2, [7; 32])]] {
        let error = open_current(dir.path(), &keys).err().unwrap().to_string();
        assert!(error.contains("was built with mobile key 1"), "{error}");
    }
    open_current(dir.path(), &[MobileKey::new(2, [7; 32]), mobile_key()]).unwrap();
}

/// A small generation whose files can be changed.
fn small_generation() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let extract = dir.path().join("extract.csv");
    let rows = "N,68415941,insured,self,,1400/1/1,,,,,,,\nN,68415941,insured,spouse,,1401/1/1,,,,68415941,,,\n\
                F,12345678,insured,self,,1400/1/1,,,,,,09121234567,\nN,0499370899,insured,self,,?,,,,,,,\n";
    fs::write(&extract, format!("{HEADER}\n{rows}")).unwrap();
    let folder = dir.path().join(build_file(&extract, dir.path()).unwrap().generation);
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    files(&folder).iter().for_each(|path| fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap());
    (dir, folder)
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused_with_the_file() {
    let (dir, folder) = small_generation();
    open_current(dir.path(), &[mobile_key()]).unwrap();
    for name in ["content.json", "index.bin", "records.bin"] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let error = open_current(dir.path(), &[mobile_key()]).err().unwrap().to_string();
            assert!(error.contains(name) && error.contains("build the snapshot again"), "{error}");
        };
        for place in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << (place % 8);
            refused(&flipped);
            refused(&whole[..place]);
        }
        refused(&[whole.as_slice(), b" "].concat());
        fs::write(&path, &whole).unwrap();
    }
    open_current(dir.path(), &[mobile_key()]).unwrap();
}

/// The file itself is read-only.
fn overwrite_current(dir: &Path, contents: &[u8]) {
    let _ = fs::remove_file(dir.join("CURRENT"));
    fs::write(dir.join("CURRENT"), contents).unwrap();
}

#[test]
fn a_current_that_names_no_generation_is_refused() {
    let (dir, folder) = small_generation();
    for wrong in ["", "\n", "..\n", "2026-11-22-000000000000", "\u{6F1}", "../../etc\n"] {
        overwrite_current(dir.path(), wrong.as_bytes());
        let error = open_current(dir.path(), &[mobile_key()]).err().unwrap().to_string();
        assert!(error.contains("CURRENT does not name a generation"), "{error}");
    }
    overwrite_current(dir.path(), &[0xFF, b'\n']);
    assert!(matches!(read_current(dir.path()), Err(OpenError::Current { .. })));
    overwrite_current(dir.path(), b"2026-11-22-000000000000\n");
    let error = open_current(dir.path(), &[mobile_key()]).err().unwrap().to_string();
    assert!(error.contains("content.json") && error.contains("cannot read"), "{error}");
    let name = folder.file_name().unwrap().to_str().unwrap().replace("2026-11-22", "2026-11-23");
    fs::rename(&folder, dir.path().join(&name)).unwrap();
    overwrite_current(dir.path(), format!("{name}\n").as_bytes());
    let error = open_current(dir.path(), &[mobile_key()]).err().unwrap().to_string();
    assert!(error.contains("its as-of date is not that of its name"), "{error}");
}

#[test]
fn a_damaged_generation_of_the_same_name_is_not_published_again() {
    let (dir, folder) = small_generation();
    fs::write(folder.join("records.bin"), "damaged").unwrap();
    let error = build_file(&dir.path().join("extract.csv"), dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("is there already but damaged") && error.contains("move its folder away"),
        "{error}"
    );
}
