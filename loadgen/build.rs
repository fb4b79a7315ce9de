//! Tells the build which revision of the source it is of: results carry that. In git it is the commit, with `-dirty`
//! where what is built differs from it; elsewhere `LOADGEN_COMMIT`, as images built from an archive set it; or nothing,
//! which results say in words. It never asks where the program runs: there may be another project's repository.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::process::Command;

/// What the binary is made of: the profile stands in the workspace's manifest, the other crates' versions in Cargo.lock.
const SOURCES: [&str; 6] = ["src", "scenarios", "Cargo.toml", "build.rs", "../Cargo.toml", "../Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-env-changed=LOADGEN_COMMIT");
    SOURCES.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    // Written at each commit and checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let told = std::env::var("LOADGEN_COMMIT").ok().filter(|told| !told.is_empty());
    if let Some(commit) = told.or_else(commit) {
        println!("cargo::rustc-env=LOADGEN_BUILT_FROM={commit}");
    }
}

/// The commit that is checked out, where this folder is part of it.
fn commit() -> Option<String> {
    // An archive that was unpacked inside somebody's repository is not of that repository.
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&[&["--no-optional-locks", "status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// What git says, where there is one and it says something.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
