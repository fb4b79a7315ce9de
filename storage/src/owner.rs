//! To whom files belong. The service runs as a user of its own, and operators run commands as root.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use crate::replace::folder_of;

/// Owner, group and mode of a file, for the one that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Like {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Like {
    /// Those of an existing file.
    pub fn of(metadata: &Metadata) -> Like {
        Like { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }

    /// Gives them to a new file.
    ///
    /// # Errors
    /// When this user may not; the message says as whom to run the command.
    pub fn give(self, file: &File) -> io::Result<()> {
        give(file, self.uid, self.gid)?;
        file.set_permissions(PermissionsExt::from_mode(self.mode))
    }
}

/// Gives what was just made at `path` to the owner and the group of its folder, where root made it. Other users keep what
/// they make: they may give nothing away. What a symbolic link or a second name leads to was not made here, and stays.
///
/// # Errors
/// When the system refuses.
pub fn give_to_folder_owner(file: &File, path: &Path) -> io::Result<()> {
    let own = file.metadata()?;
    let has_other_name = path.is_symlink() || (!own.is_dir() && own.nlink() > 1);
    if has_other_name || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = folder_of(path).metadata()?;
    give(file, folder.uid(), folder.gid())
}

fn give(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    // Somebody who may give nothing away still may do so within their own groups. Of one's own folder the group is no
    // promise: a set-group-ID bit or a shared folder decides it.
    match fchown(file, Some(uid), Some(gid)) {
        Err(_) if own.uid() == uid => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(io::Error::new(
            error.kind(),
            format!(
                "the file would have to belong to user {uid}, group {gid}; run the command as that user, or as root"
            ),
        )),
        given => given,
    }
}

/// Whether nobody but the owner, and those of a group that this process is in, can read a file, and only the owner
/// can write it. So a secret that Kubernetes mounts as 0440 for the service's group is private.
pub fn is_private(metadata: &Metadata) -> bool {
    let mode = metadata.mode() & 0o777;
    mode & 0o077 == 0 || (mode & 0o037 == 0 && is_own_group(metadata.gid()))
}

fn is_own_group(gid: u32) -> bool {
    let groups = rustix::process::getgroups().unwrap_or_default();
    rustix::process::getegid().as_raw() == gid || groups.iter().any(|group| group.as_raw() == gid)
}
