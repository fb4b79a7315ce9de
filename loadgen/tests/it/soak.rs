//! A long run takes no more memory than a short one.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Fixture;
use crate::server::TestServer;

/// Resident memory of a process, in KiB.
fn resident_kib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// The first seconds of a soak of an hour at 3,000/s, which will remember two million tracking codes. All memory is
/// taken at its start: 16,000 requests later there is hardly more of it. Three hundred bytes a request would show, and
/// so would a table whose pages come into being when they are first written to; benches/RESULTS.md has a longer look.
#[test]
fn memory_stays_as_it_is_from_the_start_of_a_soak() {
    let (fixture, server) = (Fixture::new(50), TestServer::right());
    let (targets, key, url) = (fixture.path("targets"), fixture.path("key"), server.url());
    let mut soak = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "--url", &url, "--rate", "3000", "--duration-s", "3600"])
        .args(["--targets", targets.to_str().unwrap(), "--key-file", key.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    let (early_kib, asked) = (resident_kib(&soak), server.requests().len());
    std::thread::sleep(Duration::from_millis(5_500));
    let (late_kib, asked_late) = (resident_kib(&soak), server.requests().len());
    soak.kill().unwrap();
    soak.wait().unwrap();
    let requests = asked_late - asked;
    assert!(requests > 5_000, "only {requests} requests came");
    assert!(early_kib > 32 << 10, "the table of tracking codes is not in memory yet: {early_kib} KiB");
    let grown_kib = late_kib.saturating_sub(early_kib);
    assert!(grown_kib < 4_000, "{early_kib} KiB grew by {grown_kib} KiB over {requests} requests");
}
