//! How much memory there is for another generation: what the machine has available, what the cgroups around this
//! process leave (version 2 and 1), and what the operator allows. Looked at before a generation is opened, because
//! afterwards it is too late: the kernel would end the process, or make it crawl.

use std::fs;
use std::path::{Path, PathBuf};

/// Left for everything else: connections, the ledger's queue, the page cache of its file.
const RESERVE_BYTES: u64 = 64 << 20;
/// Below this the generation that is kept for a rollback is given up.
const PRESSURE_BYTES: u64 = 32 << 20;
/// Above a generation's length: a part in so many for page tables and what is needed only while opening.
const OVERHEAD_PART: u64 = 16;

/// Where limits are read, and the operator's own.
pub(crate) struct Memory {
    /// `/`; another folder in tests.
    root: PathBuf,
    /// For all generations that are held at once.
    limit_bytes: Option<u64>,
}

/// What the service holds already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// All generations.
    pub(crate) bytes: u64,
    /// Those that are mapped: the system takes their pages for a cache that it could drop.
    pub(crate) mapped_bytes: u64,
}

/// What is left; none where nothing can be learned, which is no reason to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// By the machine or its cgroups.
    system_bytes: Option<u64>,
    /// By the operator's limit.
    limit_bytes: Option<u64>,
}

impl Memory {
    pub(crate) fn new(limit_bytes: Option<u64>) -> Memory {
        Memory { root: PathBuf::from("/"), limit_bytes }
    }

    /// What is left now.
    pub(crate) fn room(&self, held: Held) -> Room {
        let machine = self.machine_bytes();
        let system = machine.into_iter().chain(self.cgroup_v2_bytes()).chain(self.cgroup_v1_bytes()).min();
        Room {
            system_bytes: system.map(|bytes| bytes.saturating_sub(held.mapped_bytes)),
            limit_bytes: self.limit_bytes.map(|limit| limit.saturating_sub(held.bytes)),
        }
    }

    fn machine_bytes(&self) -> Option<u64> {
        let text = fs::read_to_string(self.root.join("proc/meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    fn cgroup_v2_bytes(&self) -> Option<u64> {
        let path = self.cgroup_path(|controllers| controllers.is_empty())?;
        let folders = folders_of(&self.root.join("sys/fs/cgroup"), &path);
        let left = |folder: PathBuf| {
            let limits = ["memory.max", "memory.high"].map(|name| number(&folder.join(name)));
            let limit = limits.into_iter().flatten().min()?;
            let used = number(&folder.join("memory.current"))?;
            let cache = cache_bytes(&folder, ["active_file", "inactive_file"]);
            Some(limit.saturating_sub(used.saturating_sub(cache)))
        };
        folders.into_iter().filter_map(left).min()
    }

    fn cgroup_v1_bytes(&self) -> Option<u64> {
        let path = self.cgroup_path(|controllers| controllers.split(',').any(|name| name == "memory"))?;
        let folders = folders_of(&self.root.join("sys/fs/cgroup/memory"), &path);
        let left = |folder: PathBuf| {
            let limit = number(&folder.join("memory.limit_in_bytes"))?;
            let used = number(&folder.join("memory.usage_in_bytes"))?;
            let cache = cache_bytes(&folder, ["total_active_file", "total_inactive_file"]);
            Some(limit.saturating_sub(used.saturating_sub(cache)))
        };
        folders.into_iter().filter_map(left).min()
    }

    /// The path of this process in the hierarchy whose controllers are the ones meant.
    fn cgroup_path(&self, meant: impl Fn(&str) -> bool) -> Option<PathBuf> {
        let text = fs::read_to_string(self.root.join("proc/self/cgroup")).ok()?;
        let path = text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            meant(controllers).then_some(path.trim_start_matches('/'))
        });
        path.map(PathBuf::from)
    }
}

/// The folder of a cgroup and of all those around it: each may have a limit. Within a container the path may be one
/// of outside; what is not there has no files to read.
fn folders_of(base: &Path, path: &Path) -> Vec<PathBuf> {
    path.ancestors().map(|folder| base.join(folder)).collect()
}

/// A file with one number; none for `max`.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Pages of files, which the kernel would drop before it refuses memory.
fn cache_bytes(folder: &Path, names: [&str; 2]) -> u64 {
    let text = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let values = text.lines().filter_map(|line| line.split_once(' '));
    values.filter(|(name, _)| names.contains(name)).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}

fn with_reserve(len_bytes: u64) -> u64 {
    len_bytes + len_bytes / OVERHEAD_PART + RESERVE_BYTES
}

impl Room {
    /// Whether a generation of that length may be opened.
    pub(crate) fn fits(self, len_bytes: u64) -> bool {
        self.system_bytes.is_none_or(|bytes| bytes >= with_reserve(len_bytes))
            && self.limit_bytes.is_none_or(|bytes| bytes >= len_bytes)
    }

    /// What such a generation needs, and what is left of that: of whichever falls short.
    pub(crate) fn needed_and_left(self, len_bytes: u64) -> (u64, u64) {
        match (self.system_bytes, self.limit_bytes) {
            (_, Some(left)) if left < len_bytes => (len_bytes, left),
            (left, _) => (with_reserve(len_bytes), left.unwrap_or(u64::MAX)),
        }
    }

    /// What is left once a generation of that length is given up.
    pub(crate) fn with(self, len_bytes: u64) -> Room {
        let add = |bytes: Option<u64>| bytes.map(|bytes| bytes.saturating_add(len_bytes));
        Room { system_bytes: add(self.system_bytes), limit_bytes: add(self.limit_bytes) }
    }

    /// Whether so little is left that the service itself is in danger.
    pub(crate) fn is_pressed(self) -> bool {
        self.system_bytes.is_some_and(|bytes| bytes < PRESSURE_BYTES)
    }

    /// For people: the smaller of the two.
    pub(crate) fn bytes(self) -> Option<u64> {
        self.system_bytes.into_iter().chain(self.limit_bytes).min()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{Held, Memory, Room};

    const MIB: u64 = 1 << 20;

    fn system(files: &[(&str, &str)]) -> (TempDir, Memory) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = Memory { root: folder.path().to_owned(), limit_bytes: None };
        (folder, memory)
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], held: Held, expected: Option<u64>) {
        let (_folder, memory) = system(files);
        assert_eq!(memory.room(held).bytes(), expected);
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable:   2048 kB\nCached: 5 kB\n");

    #[test]
    fn without_cgroups_the_machine_says_what_there_is() {
        check(&[MEMINFO], Held::default(), Some(2 * MIB));
        check(&[MEMINFO], Held { bytes: MIB, mapped_bytes: MIB }, Some(MIB));
        check(&[], Held::default(), None);
    }

    #[test]
    fn the_tightest_cgroup_of_version_2_counts_and_cached_files_are_no_use() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/pods/one\n"),
            ("sys/fs/cgroup/pods/one/memory.max", "max\n"),
            ("sys/fs/cgroup/pods/one/memory.current", "100\n"),
            ("sys/fs/cgroup/pods/memory.max", "1000000\n"),
            ("sys/fs/cgroup/pods/memory.high", "900000\n"),
            ("sys/fs/cgroup/pods/memory.current", "700000\n"),
            ("sys/fs/cgroup/pods/memory.stat", "anon 1\nactive_file 100000\ninactive_file 200000\nfile 9\n"),
        ];
        check(&files, Held::default(), Some(500_000));
        check(&files, Held { bytes: 0, mapped_bytes: 400_000 }, Some(100_000));
    }

    #[test]
    fn a_container_that_sees_its_own_cgroup_as_the_root_is_understood() {
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "1000\n"),
            ("sys/fs/cgroup/memory.current", "400\n"),
        ];
        check(&files, Held::default(), Some(600));
    }

    #[test]
    fn cgroups_of_version_1_count_also_where_the_path_is_one_of_outside() {
        let files = [
            ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "active_file 1\ntotal_active_file 500\ntotal_inactive_file 500\n",
            ),
        ];
        check(&files, Held::default(), Some(5000));
    }

    #[test]
    fn this_machine_tells_something() {
        assert!(Memory::new(None).room(Held::default()).bytes().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_generation_fits_with_something_to_spare() {
        let room = Room { system_bytes: Some(170 * MIB), limit_bytes: None };
        assert!(room.fits(99 * MIB) && !room.fits(100 * MIB));
        assert!(room.with(64 * MIB).fits(120 * MIB));
        let room = Room { system_bytes: None, limit_bytes: Some(100) };
        assert!(room.fits(100) && !room.fits(101) && room.with(1).fits(101));
        assert_eq!(room.needed_and_left(101), (101, 100));
        let both = Room { system_bytes: Some(MIB), limit_bytes: Some(200) };
        assert_eq!(both.needed_and_left(160), (170 + 64 * MIB, MIB));
        assert!(Room { system_bytes: Some(31 * MIB), limit_bytes: None }.is_pressed());
        assert!(!Room { system_bytes: None, limit_bytes: Some(0) }.is_pressed());
    }
}
