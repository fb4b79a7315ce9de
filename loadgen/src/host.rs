//! Facts about the machine that every result carries.
//!
//! Linux only in what it can say; elsewhere the fields are null.

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
        }
    }

    /// One line for people.
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
    }
}
