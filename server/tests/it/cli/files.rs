//! To whom files belong, where links lead, and what becomes of a key that nobody read.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Folder, words};

/// A user and a group that own nothing else on the machine.
const SERVICE: u32 = 54_321;

/// Everything below a folder that belongs to somebody else, but what `is_ours` says.
fn of_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if (metadata.uid(), metadata.gid()) != (SERVICE, SERVICE) {
            found.push(path.display().to_string());
        }
        if metadata.is_dir() {
            found.extend(of_others(&path));
        }
    }
    found
}

/// The service runs as a user of its own; what an operator does as root must leave every file to that user.
#[test]
fn what_root_does_in_the_services_folders_belongs_to_the_service() {
    let folder = Folder::new();
    if chown(folder.root(), Some(SERVICE), Some(SERVICE)).is_err() {
        eprintln!("SKIPPED: files of another user need root");
        return;
    }
    let run = |line: &str| folder.run(line).ok();
    run("secrets init --secrets secrets.toml");
    run("secrets rotate --secrets secrets.toml");
    run("provider add --providers providers.toml --id a --name A --type clinic --ownership owned");
    run("provider add --providers providers.toml --id b --name B --type clinic --ownership owned");
    run("extract synth --people 3000 --seed 7 --out extract.csv --targets targets.ndjson");
    run("snapshot build --extract extract.csv --snapshots snapshots --secrets secrets.toml --accept test");
    run("ledger init --ledger ledger --secrets secrets.toml --number 7");
    fs::write(folder.path("id"), "5742616694").unwrap();
    chown(folder.path("id"), Some(SERVICE), Some(SERVICE)).unwrap();
    run("ledger search --ledger ledger --secrets secrets.toml --person-id-file id");
    assert_eq!(of_others(folder.root()), Vec::<String>::new());
}

#[test]
fn secrets_and_providers_are_replaced_where_their_links_lead() {
    let folder = Folder::new();
    fs::create_dir(folder.path("real")).unwrap();
    folder.run("secrets init --secrets real/secrets.toml").ok();
    symlink("real/secrets.toml", folder.path("secrets.toml")).unwrap();
    symlink("real/providers.toml", folder.path("providers.toml")).unwrap();
    let before = fs::read_to_string(folder.path("real/secrets.toml")).unwrap();
    folder.run("secrets rotate --secrets secrets.toml").ok();
    let after = fs::read_to_string(folder.path("real/secrets.toml")).unwrap();
    assert!(after != before && folder.path("secrets.toml").is_symlink());
    for id in ["a", "b"] {
        folder
            .run(&format!(
                "provider add --providers providers.toml --id {id} --name A --type clinic --ownership owned"
            ))
            .ok();
    }
    let providers = fs::read_to_string(folder.path("real/providers.toml")).unwrap();
    assert!(providers.matches("[[provider]]").count() == 2 && folder.path("providers.toml").is_symlink());
}

#[test]
fn a_key_that_reached_nobody_adds_no_provider() {
    let folder = Folder::new();
    let add = |stdout: Stdio| {
        let arguments =
            words("provider add --providers providers.toml --id a --name A --type clinic --ownership owned");
        let output =
            super::program().current_dir(folder.root()).args(arguments).stdout(stdout).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for stdout in [Stdio::from(File::create("/dev/full").unwrap()), Stdio::from(closed)] {
        let (code, told) = add(stdout);
        assert!(code == Some(1) && told.contains("nothing was added"), "{code:?}: {told}");
        assert!(!folder.path("providers.toml").exists());
    }
    assert_eq!(add(Stdio::null()).0, Some(0));
}

#[test]
fn a_secrets_file_of_the_services_own_group_is_taken() {
    let folder = Folder::new();
    folder.run("secrets init --secrets secrets.toml").ok();
    let verify = |mode: u32| {
        fs::set_permissions(folder.path("secrets.toml"), PermissionsExt::from_mode(mode)).unwrap();
        folder.run_with(&words("ledger init --ledger ledger --secrets secrets.toml --number 7"), &[])
    };
    let refused = verify(0o644);
    assert!(refused.stderr.contains("can be read by others"), "{refused:?}");
    assert!(verify(0o440).stderr.is_empty());
}

#[test]
fn results_go_into_devices_and_into_no_folder_that_is_missing() {
    let folder = Folder::new();
    let synth = |out: &str| {
        folder.run_with(&words(&format!("extract synth --people 1000 --seed 1 --out {out}")), &[])
    };
    assert_eq!(synth("/dev/null").code, Some(0));
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file(), "the device is one still");
    let missing = synth("no/folder/extract.csv");
    assert!(missing.code == Some(1) && missing.stderr.contains("no/folder/extract.csv"), "{missing:?}");
}

/// Somebody ends a long command: nothing half-written stays, and a word says so.
#[test]
fn a_signal_ends_a_long_command_without_half_a_result() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = Folder::new();
        let child = super::program()
            .current_dir(folder.root())
            .args(words("extract synth --people 50000000 --seed 1 --out extract.csv"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let files = || fs::read_dir(folder.root()).unwrap().count();
        crate::site::wait_until("it has begun to write", || files() == 1);
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code().is_none() && told.contains("ended by a signal"), "{signal}: {told}");
        assert_eq!(files(), 0, "{signal}");
    }
}

/// A volume of root's, writable for the service's group, as an orchestrator mounts it: the service is not root.
#[test]
fn a_user_who_is_not_root_works_on_a_volume_of_roots() {
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    folder.run("secrets init --secrets secrets.toml").ok();
    let volume = folder.path("volume");
    fs::create_dir(&volume).unwrap();
    if chown(&volume, None, Some(SERVICE)).is_err() {
        eprintln!("SKIPPED: another user needs root");
        return;
    }
    fs::set_permissions(&volume, PermissionsExt::from_mode(0o2770)).unwrap();
    for (path, mode) in [(folder.root().to_owned(), 0o755), (folder.path("secrets.toml"), 0o440)] {
        chown(&path, None, Some(SERVICE)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let program = folder.path("volume/program");
    fs::copy(env!("CARGO_BIN_EXE_estehqaq"), &program).unwrap(); // The build folder may be root's alone.
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let init = Command::new(&program)
        .current_dir(folder.root())
        .args(words("ledger init --ledger volume/ledger --secrets secrets.toml --number 7"))
        .uid(SERVICE)
        .gid(SERVICE)
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    assert_eq!(folder.path("volume/ledger/LEDGER").metadata().unwrap().uid(), SERVICE);
}

#[test]
fn one_key_of_a_pair_is_never_left_alone() {
    let folder = Folder::new();
    folder.write("public.txt", "taken");
    let keygen = folder.run("snapshot keygen --signing-key signing.txt --public-key public.txt");
    keygen.refused(1, &["public.txt", "a key is never overwritten"]);
    assert!(!folder.path("signing.txt").exists() && folder.read("public.txt") == "taken");
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 1, "nothing is left beside it");
}
