//! The command line as an operator meets it: the built program, its output, its messages and its exit codes.
//! Every command runs in a folder of its own, without the caller's `ESTEHQAQ_` variables.

mod ask;
mod auditing;
mod demo;
mod desk;
mod extract;
mod files;
mod generations;
mod inspect;
mod keeping;
mod ledger;
mod provider;
mod secrets;
mod serve;
pub(crate) mod serving;
mod settings;
mod shipping;
mod snapshot;
mod usage;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::site::{AS_OF, assert_no_ids, data};

/// The program, with nothing of the surroundings in its environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_estehqaq"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("ESTEHQAQ_")) {
        command.env_remove(name);
    }
    command
}

/// An operator's folder; commands run in it and name its files as they are.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// With secrets.toml.
    pub(crate) fn with_secrets() -> Folder {
        let folder = Folder::new();
        folder.run("secrets init --secrets secrets.toml").nothing();
        folder
    }

    /// With secrets.toml and the extract's generation in snapshots.
    pub(crate) fn with_snapshot() -> Folder {
        let folder = Folder::with_secrets();
        folder.build(&["--as-of", AS_OF, "--max-rejected", "0.05"]).ok();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs the command; words are parted by spaces.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_with(&words(line), &[])
    }

    #[track_caller]
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = program();
        command.current_dir(&self.0).args(arguments).envs(variables.iter().copied());
        Ran::new(output_in_time(command), arguments)
    }

    /// Builds the extract's snapshot with more flags.
    #[track_caller]
    pub(crate) fn build(&self, flags: &[&str]) -> Ran {
        let extract = data("extract.csv");
        let extract = extract.to_str().unwrap();
        let build = words("snapshot build --snapshots snapshots --secrets secrets.toml --extract");
        self.run_with(&[&build[..], &[extract], flags].concat(), &[])
    }

    /// Adds a provider of this ID and type; its key.
    #[track_caller]
    pub(crate) fn add_provider(&self, id: &str, kind: &str) -> String {
        let line = format!(
            "provider add --providers providers.toml --id {id} --name {id} --type {kind} --ownership owned"
        );
        self.run(&line).ok().trim_end().to_owned()
    }

    /// Adds a desk of 1420; its key.
    #[track_caller]
    pub(crate) fn add_desk(&self) -> String {
        let line = "provider add --providers providers.toml --id desk --name desk --type clinic --ownership owned \
                    --scope desk";
        self.run(line).ok().trim_end().to_owned()
    }
}

/// Published generations are read-only folders, which only the superuser could remove as they are.
impl Drop for Folder {
    fn drop(&mut self) {
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            let _ = fs::set_permissions(&folder, Permissions::from_mode(0o700));
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            folders.extend(entries.filter(|path| path.is_dir()));
        }
    }
}

pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// A command that ought to refuse may serve instead: that fails the test, and does not hang it.
#[track_caller]
fn output_in_time(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let (ended, end) = channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    end.recv_timeout(Duration::from_secs(60)).map(Result::unwrap).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
        panic!("it goes on: {command:?}")
    })
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// No command shows an ID of the extract.
    #[track_caller]
    fn new(output: Output, arguments: &[&str]) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_no_ids(&stdout);
        assert_no_ids(&stderr);
        Ran { command: arguments.join(" "), code: output.status.code(), stdout, stderr }
    }

    /// Asserts that it was done, with nothing on stderr; its stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn nothing(self) {
        assert_eq!(self.ok(), "");
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        assert_eq!(text.matches('\n').count(), 1, "one object on one line: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Asserts that it ended with this code, with nothing on stdout and a message with each of these texts.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, texts: &[&str]) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        let missing = texts.iter().find(|&&text| !self.stderr.contains(text));
        assert_eq!(missing, None, "`{}` says {}", self.command, self.stderr);
        &self.stderr
    }

    /// The same of a command that had told of its work before: `serve` logs, with JSON lines, until it fails.
    #[track_caller]
    pub(crate) fn refused_with_log(mut self, texts: &[&str]) {
        let events = self.stderr.lines().take_while(|line| line.starts_with('{')).count();
        self.stderr = self.stderr.lines().skip(events).map(|line| format!("{line}\n")).collect();
        self.refused(1, texts);
    }
}
