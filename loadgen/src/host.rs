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
    kernel: Option<String>,
    cpu: Option<String>,
    os: Cow<'static, str>,
    arch: Cow<'static, str>,
}

impl HostFacts {
    pub(crate) fn read() -> HostFacts {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        HostFacts {
            cores: std::thread::available_parallelism().ok().map(usize::from),
            kernel: kernel.map(|text| text.trim().to_owned()),
            cpu: model.map(|(_, name)| name.trim().to_owned()),
            os: Cow::Borrowed(std::env::consts::OS),
            arch: Cow::Borrowed(std::env::consts::ARCH),
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let cores = self.cores.map_or("unknown".to_owned(), |n| n.to_string());
        let kernel = self.kernel.as_deref().unwrap_or("unknown");
        format!("{cores} cores, {} {kernel} {}", self.os, self.arch)
    }
}
