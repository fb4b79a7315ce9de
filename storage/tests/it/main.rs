//! The three rules about files, tried as another user where the tests run as root.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use storage::{Output, Seen, give_to_folder_owner, is_private, replace, resolve, skip_bom};
use tempfile::{TempDir, tempdir};

/// A user and a group that own nothing else on the machine.
const SERVICE: u32 = 54_321;

/// A folder of the service's, or of this user's where that is not root.
fn service_folder() -> (TempDir, u32) {
    let folder = tempdir().unwrap();
    match chown(folder.path(), Some(SERVICE), Some(SERVICE)) {
        Ok(()) => (folder, SERVICE),
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED: files of another user need root");
            let own = folder.path().metadata().unwrap().uid();
            (folder, own)
        }
    }
}

fn looks(path: &Path) -> (u32, u32) {
    let metadata = path.metadata().unwrap();
    (metadata.uid(), metadata.mode() & 0o777)
}

#[test]
fn a_new_file_belongs_to_its_folders_owner_and_a_replaced_one_stays_what_it_was() {
    let (folder, owner) = service_folder();
    let path = folder.path().join("a");
    replace(&path, 0o600, b"one").unwrap();
    assert_eq!(looks(&path), (owner, 0o600));
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    replace(&path, 0o600, b"two").unwrap();
    assert_eq!((looks(&path), fs::read(&path).unwrap()), ((owner, 0o640), b"two".to_vec()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn links_are_followed_before_a_file_is_replaced() {
    let folder = tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "forgotten").unwrap();
    symlink("real", folder.path().join("between")).unwrap();
    symlink("between", &link).unwrap();
    replace(&link, 0o600, b"kept").unwrap();
    assert_eq!((fs::read(&real).unwrap(), link.is_symlink()), (b"kept".to_vec(), true));
    fs::hard_link(&real, folder.path().join("twin")).unwrap();
    let error = replace(&link, 0o600, b"x").unwrap_err().to_string();
    assert!(error.contains("another hard link") && fs::read(&real).unwrap() == b"kept", "{error}");
    symlink("circle", folder.path().join("circle")).unwrap();
    assert!(resolve(&folder.path().join("circle")).is_err());
}

#[test]
fn an_output_is_whole_or_not_there() {
    let (folder, owner) = service_folder();
    let path = folder.path().join("result");
    let mut output = Output::open(&path, 0o600).unwrap();
    output.write_all(b"half").unwrap();
    drop(output);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "half a result is none");
    let mut output = Output::open(&path, 0o600).unwrap();
    output.write_all(b"whole").unwrap();
    output.finish().unwrap();
    assert_eq!((looks(&path), fs::read(&path).unwrap()), ((owner, 0o600), b"whole".to_vec()));
    let missing = Output::open(&folder.path().join("no/folder"), 0o600).unwrap_err().to_string();
    assert!(missing.contains("make its folder"), "{missing}");
}

#[test]
fn devices_and_fifos_are_written_in_place() {
    let folder = tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reading = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read_to_string(fifo).unwrap()
    });
    let mut output = Output::open(&fifo, 0o600).unwrap();
    output.write_all(b"through").unwrap();
    output.finish().unwrap();
    assert_eq!(reading.join().unwrap(), "through");
    assert!(!fifo.metadata().unwrap().is_file(), "the FIFO is one still");
    let null = Path::new("/dev/null");
    Output::open(null, 0o600).unwrap().finish().unwrap();
    replace(null, 0o600, b"x").unwrap();
    assert!(!null.metadata().unwrap().is_file(), "the device is one still");
}

#[test]
fn a_file_of_an_own_group_is_private_and_one_for_all_is_not() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("secrets");
    fs::write(&path, "x").unwrap();
    let private = |mode| {
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        is_private(&path.metadata().unwrap())
    };
    assert!([0o600, 0o400, 0o640, 0o440].map(private).iter().all(|is_so| *is_so));
    assert!([0o604, 0o660, 0o644, 0o450, 0o420].map(private).iter().all(|is_so| !*is_so));
    if chown(&path, None, Some(SERVICE)).is_ok() {
        fs::set_permissions(&path, PermissionsExt::from_mode(0o440)).unwrap();
        assert!(!is_private(&path.metadata().unwrap()), "a group of others");
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_seen() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("extract");
    fs::write(&path, "one\n").unwrap();
    let mut file = File::open(&path).unwrap();
    let seen = Seen::of(&file.metadata().unwrap());
    file.read_to_end(&mut Vec::new()).unwrap();
    seen.check(&file).unwrap();
    File::options().append(true).open(&path).unwrap().write_all(b"two\n").unwrap();
    let error = seen.check(&file).unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
    assert_eq!((skip_bom("\u{FEFF}a"), skip_bom("a")), ("a", "a"));
}

/// Root must not hand away what a link in the service's folder leads to, nor what has a second name.
#[test]
fn what_a_link_or_a_second_name_leads_to_is_not_handed_over() {
    let (folder, owner) = service_folder();
    let victim = tempdir().unwrap();
    let of_root = victim.path().join("victim");
    fs::write(&of_root, "x").unwrap();
    let before = looks(&of_root);
    let link = folder.path().join("LOCK");
    symlink(&of_root, &link).unwrap();
    give_to_folder_owner(&File::open(&link).unwrap(), &link).unwrap();
    assert_eq!(looks(&of_root), before);
    let (twin, own) = (folder.path().join("twin"), folder.path().join("own"));
    fs::write(&own, "x").unwrap();
    fs::hard_link(&own, &twin).unwrap();
    let before = looks(&twin);
    give_to_folder_owner(&File::open(&twin).unwrap(), &twin).unwrap();
    assert_eq!(looks(&twin), before);
    fs::remove_file(&own).unwrap();
    give_to_folder_owner(&File::open(&twin).unwrap(), &twin).unwrap();
    assert_eq!(looks(&twin).0, owner, "an ordinary file is");
}
