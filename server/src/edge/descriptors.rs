//! File descriptors: connections must never take those that the ledger and the snapshots need.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// Descriptors kept for files: the ledger's next segment, look-ups of the desk, the generation that is opened.
const FILES_RESERVED: usize = 48;
/// Fewer connections than that are no service.
const CONNECTIONS_MIN: usize = 16;

/// The process may open too few files.
#[derive(Debug, Error)]
#[error(
    "this process may open {limit} files, {open} are open and {FILES_RESERVED} are kept for the ledger and snapshots: \
     too few are left for {CONNECTIONS_MIN} connections; raise the limit (`ulimit -n`, systemd's LimitNOFILE)"
)]
pub struct DescriptorsError {
    limit: usize,
    open: usize,
}

/// How many connections may be open, `wanted` at most, so that files can always be opened beside them; `others` is what
/// other listeners may have. Raises this process' soft limit as far as it may.
pub(crate) fn connections_that_fit(wanted: usize, others: usize) -> Result<usize, DescriptorsError> {
    let (limit, open) = (raised_limit(), open_files());
    let fit = limit.saturating_sub(open + FILES_RESERVED + others);
    if fit < CONNECTIONS_MIN.min(wanted) {
        return Err(DescriptorsError { limit, open });
    }
    if fit < wanted {
        tracing::warn!(
            connections_max = fit,
            wanted,
            descriptors_max = limit,
            "fewer connections than set, for want of file descriptors; raise the limit (ulimit -n, LimitNOFILE)"
        );
    }
    Ok(fit.min(wanted))
}

/// The soft limit of open files, raised to the hard one.
fn raised_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
