//! Why a generation was refused, and what the refused thing looked like: it is tried again only when that changes.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use snapshots::{GenerationName, OpenError};

/// Why, in one word: for metrics and for what anybody may see. The message is for the log and the operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub(crate) enum Cause {
    /// `CURRENT` is missing or names nothing.
    Current = 0,
    /// The disk refused.
    Unreadable = 1,
    /// Other bytes than were published.
    Changed = 2,
    /// Bytes that this version does not understand.
    Format = 3,
    /// A mobile key that this server does not have.
    MobileKey = 4,
    /// There is no memory for it.
    Memory = 5,
    /// It decides otherwise than its builder.
    SelfTest = 6,
    /// Opening it failed in a way that it must not.
    Defect = 7,
    /// A signature is missing or does not hold.
    Signature = 8,
    /// Its as-of date cannot be right today, while that of the serving one can.
    AsOf = 9,
}

impl Cause {
    pub(crate) const ALL: [Cause; 10] = [
        Cause::Current,
        Cause::Unreadable,
        Cause::Changed,
        Cause::Format,
        Cause::MobileKey,
        Cause::Memory,
        Cause::SelfTest,
        Cause::Defect,
        Cause::Signature,
        Cause::AsOf,
    ];

    pub(crate) fn code(self) -> &'static str {
        match self {
            Cause::Current => "current",
            Cause::Unreadable => "unreadable",
            Cause::Changed => "changed",
            Cause::Format => "format",
            Cause::MobileKey => "mobile_key",
            Cause::Memory => "memory",
            Cause::SelfTest => "self_test",
            Cause::Defect => "defect",
            Cause::Signature => "signature",
            Cause::AsOf => "as_of",
        }
    }
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) cause: Cause,
    /// What failed and what to do.
    pub(crate) message: String,
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Refusal {
        let cause = match &error {
            OpenError::NothingPublished { .. } | OpenError::Current { .. } => Cause::Current,
            OpenError::Io { .. } | OpenError::Snapshot(engine::OpenError::Io { .. }) => Cause::Unreadable,
            OpenError::ContentDigest { .. }
            | OpenError::Snapshot(engine::OpenError::Length { .. } | engine::OpenError::Digest { .. }) => {
                Cause::Changed
            }
            OpenError::Content { .. } | OpenError::Snapshot(engine::OpenError::Content { .. }) => {
                Cause::Format
            }
            OpenError::MobileKey { .. } => Cause::MobileKey,
            OpenError::Unsigned { .. } | OpenError::Signature { .. } => Cause::Signature,
        };
        Refusal { cause, message: error.to_string() }
    }
}

/// What `CURRENT` and a generation's folder look like from outside: which files there are, and when each was last
/// written or given another mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Sight {
    /// To be taken before anything is opened: a change while that goes on counts.
    pub(crate) fn of(snapshots_dir: &Path, generation: Option<&GenerationName>) -> Sight {
        let mut paths = vec![snapshots_dir.join("CURRENT")];
        if let Some(name) = generation {
            let folder = snapshots_dir.join(name.to_string());
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
            files.sort_unstable();
            paths.push(folder);
            paths.append(&mut files);
        }
        let look = |path: PathBuf| {
            let stamp = fs::metadata(&path).ok().map(|metadata| Stamp::of(&metadata));
            (path, stamp)
        };
        Sight(paths.into_iter().map(look).collect())
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            len_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Cause, Sight};

    #[test]
    fn causes_are_counted_each_in_its_place() {
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place, "{cause:?}");
        }
    }

    #[test]
    fn whatever_is_done_to_a_generation_shows() {
        let dir = tempfile::tempdir().unwrap();
        let name = "2026-11-22-3fa9c1d2e4b5".parse().unwrap();
        let sight = || Sight::of(dir.path(), Some(&name));
        let mut before = sight();
        let mut changed = |what: &str| {
            let now = sight();
            assert_ne!(now, before, "{what}");
            before = now;
            assert_eq!(sight(), before, "nothing more happened");
        };
        let folder = dir.path().join("2026-11-22-3fa9c1d2e4b5");
        fs::write(dir.path().join("CURRENT"), "x").unwrap();
        changed("CURRENT is written");
        fs::create_dir(&folder).unwrap();
        changed("the folder comes");
        fs::write(folder.join("index.bin"), "abc").unwrap();
        changed("a file comes");
        fs::write(folder.join("beside"), "abd").unwrap();
        fs::rename(folder.join("beside"), folder.join("index.bin")).unwrap();
        changed("another file takes its place");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        fs::set_permissions(folder.join("index.bin"), mode).unwrap();
        changed("its mode changes");
    }
}
