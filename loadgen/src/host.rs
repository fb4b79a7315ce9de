//! Facts about the machine that every result carries.
//!
//! Linux only in what it can say; elsewhere the fields are null. Which machine it was is told by a digest from which
//! nothing about it can be read: what is digested is drawn by chance when a system is installed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Where the load came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostFacts {
    /// Cores this process may use.
    cores: Option<usize>,
    cpu: Option<String>,
    /// What the kernel counts as memory, in whole MiB. Results of before this was noted have none.
    memory_mib: Option<u64>,
    kernel: Option<String>,
    os: Cow<'static, str>,
    arch: Cow<'static, str>,
    /// Which machine this was, in 16 hexadecimal digits. Absent where a system has no identity, and in results of
    /// before this was noted.
    machine: Option<String>,
}

/// Where a system's identity stands; the last is the hardware's, which only root may read.
const IDENTITIES: [&str; 3] =
    ["/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid"];
/// What the identity is digested for, so that no other program's digest of it is the same.
const MACHINE_CONTEXT: &str = "loadgen 2026-11-26 which machine a result was measured on";
const MACHINE_DIGITS: usize = 16;

/// What two lists of machines come to when they are held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameMachines {
    Same,
    /// They differ in what machines are made of, or in their number.
    OtherKind,
    /// Alike in everything, and not the same ones.
    OtherOnes,
    /// Alike, but some have no identity.
    Unknown,
}

impl HostFacts {
    pub(crate) fn read() -> HostFacts {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kernel = text("/proc/sys/kernel/osrelease").trim().to_owned();
        HostFacts {
            cores: std::thread::available_parallelism().ok().map(usize::from),
            cpu: field(&text("/proc/cpuinfo"), "model name"),
            memory_mib: field(&text("/proc/meminfo"), "MemTotal").and_then(|kib| mib(&kib)),
            kernel: (!kernel.is_empty()).then_some(kernel),
            os: Cow::Borrowed(std::env::consts::OS),
            arch: Cow::Borrowed(std::env::consts::ARCH),
            machine: IDENTITIES.iter().find_map(|path| machine(&text(path))),
        }
    }

    /// Whether these are the machines of the other list, in whatever order.
    pub(crate) fn compare(one: &[HostFacts], other: &[HostFacts]) -> SameMachines {
        let kinds = |hosts: &[HostFacts]| {
            let mut kinds: Vec<String> = hosts.iter().map(HostFacts::describe).collect();
            kinds.sort_unstable();
            kinds
        };
        let ones = |hosts: &[HostFacts]| {
            let mut ones: Vec<(Option<String>, String)> =
                hosts.iter().map(|host| (host.machine.clone(), host.describe())).collect();
            ones.sort_unstable();
            ones
        };
        if kinds(one) != kinds(other) {
            SameMachines::OtherKind
        } else if one.iter().chain(other).any(|host| host.machine.is_none()) {
            SameMachines::Unknown
        } else if ones(one) == ones(other) {
            SameMachines::Same
        } else {
            SameMachines::OtherOnes
        }
    }

    /// A machine like this one, made up from a name; none is one without an identity.
    #[cfg(test)]
    pub(crate) fn sample(name: &str) -> HostFacts {
        let identity = &blake3::hash(name.as_bytes()).to_hex()[..32];
        HostFacts { machine: machine(if name.is_empty() { "" } else { identity }), ..HostFacts::read() }
    }

    /// Which machine it was.
    pub(crate) fn machine(&self) -> &str {
        self.machine.as_deref().unwrap_or("unknown")
    }

    /// What kind of machine it is, on one line for people.
    pub(crate) fn describe(&self) -> String {
        let cores = self.cores.map_or("unknown".to_owned(), |n| n.to_string());
        let cpu = self.cpu.as_deref().unwrap_or("an unknown CPU");
        let memory = self.memory_mib.map_or("unknown memory".to_owned(), |mib| format!("{mib} MiB"));
        let kernel = self.kernel.as_deref().unwrap_or("unknown");
        format!("{cores} cores of {cpu}, {memory}, {} {kernel} {}", self.os, self.arch)
    }
}

/// The first `name : value` line of such a name.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The digest of a system's identity: 128 bits drawn by chance, in hexadecimal. Anything else could be guessed from its
/// digest, or is a placeholder that many systems share.
fn machine(identity: &str) -> Option<String> {
    let digits: String =
        identity.trim().chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    let drawn = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let placeholder = digits.bytes().all(|digit| digit == digits.as_bytes()[0]);
    if !drawn || placeholder {
        return None;
    }
    let digest = blake3::Hash::from_bytes(blake3::derive_key(MACHINE_CONTEXT, digits.as_bytes()));
    Some(digest.to_hex()[..MACHINE_DIGITS].to_owned())
}

/// `24551234 kB`, as the kernel writes KiB.
fn mib(kib: &str) -> Option<u64> {
    Some(kib.strip_suffix(" kB")?.parse::<u64>().ok()? / 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_described_by_cores_cpu_memory_and_kernel() {
        let host = HostFacts {
            cores: Some(2),
            cpu: field("processor\t: 0\nmodel name\t: AMD EPYC: 9\nmodel name\t: other\n", "model name"),
            memory_mib: field("MemFree:  1 kB\nMemTotal:   25165824 kB\n", "MemTotal")
                .and_then(|kib| mib(&kib)),
            kernel: Some("6.12.1".to_owned()),
            os: Cow::Borrowed("linux"),
            arch: Cow::Borrowed("x86_64"),
            machine: None,
        };
        assert_eq!(host.describe(), "2 cores of AMD EPYC: 9, 24576 MiB, linux 6.12.1 x86_64");
        let nothing =
            HostFacts { cores: None, cpu: None, memory_mib: None, kernel: None, ..HostFacts::read() };
        assert!(nothing.describe().starts_with("unknown cores of an unknown CPU, unknown memory, "));
    }

    #[test]
    fn this_machine_is_known() {
        let host = HostFacts::read();
        assert!(host.cores.is_some_and(|n| n > 0) && host.kernel.is_some(), "{host:?}");
        assert!(host.memory_mib.is_some_and(|mib| mib > 64), "{host:?}");
        assert_eq!(host.machine, HostFacts::read().machine, "the same at each look");
    }

    /// Two identities that were made up for this test.
    const IDENTITY: &str = "b08dfa6083e7567a1921a715000001fb\n";
    const OTHER: &str = "b08dfa6083e7567a1921a715000001fc\n";

    #[test]
    fn the_identity_of_a_machine_shows_nothing_of_what_it_was_made_from() {
        let shown = machine(IDENTITY).unwrap();
        assert_eq!((shown.len(), Some(&shown)), (16, machine(IDENTITY).as_ref()));
        assert_ne!(machine(IDENTITY), machine(OTHER));
        assert_eq!(
            machine("B08DFA60-83E7-567A-1921-A715000001FB"),
            machine(IDENTITY),
            "as the hardware has it"
        );
        assert!(!IDENTITY.contains(&shown[..4]) && !shown.contains("b08dfa60"), "{shown}");
        assert_ne!(shown, blake3::hash(IDENTITY.trim().as_bytes()).to_hex()[..16], "for this purpose alone");
        let placeholders = ["00000000000000000000000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"];
        for none in ["", "uninitialized\n", "b08dfa6083e7567a1921a715000001f", "52:54:00:12:34:56"] {
            assert_eq!(machine(none), None, "{none}");
        }
        assert_eq!(placeholders.map(machine), [None, None]);
    }

    #[test]
    fn machines_of_one_kind_are_told_apart_by_their_identity() {
        let host = |identity: &str| HostFacts { machine: machine(identity), ..HostFacts::read() };
        let (one, other, unknown) = (host(IDENTITY), host(OTHER), host(""));
        let faster = HostFacts { cores: Some(4_096), ..one.clone() };
        let check = |a: &[&HostFacts], b: &[&HostFacts], found| {
            let owned = |hosts: &[&HostFacts]| hosts.iter().map(|host| (*host).clone()).collect::<Vec<_>>();
            assert_eq!(HostFacts::compare(&owned(a), &owned(b)), found, "{a:?} {b:?}");
        };
        check(&[&one], &[&one], SameMachines::Same);
        check(&[&one], &[&other], SameMachines::OtherOnes);
        check(&[&one], &[&faster], SameMachines::OtherKind);
        check(&[&one], &[&one, &other], SameMachines::OtherKind);
        check(&[&one, &other], &[&other, &one], SameMachines::Same);
        check(&[&one], &[&unknown], SameMachines::Unknown);
        check(&[&unknown], &[&unknown], SameMachines::Unknown);
        check(&[&unknown], &[&faster], SameMachines::OtherKind);
    }
}
