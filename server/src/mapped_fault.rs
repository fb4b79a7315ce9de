//! The one file of this crate with `unsafe` in it: a diagnosed end when a page of a mapped generation cannot be read.
//!
//! With `--memory-mode mapped` the kernel sends SIGBUS when a file was cut after it was opened, or its disk fails. No
//! answer can come of such a page, and nothing tells which request it was for: the process says so and ends.
#![allow(unsafe_code)]

use std::io;

use signal_hook::consts::SIGBUS;
use signal_hook::low_level::{abort, register};

/// In the form of the log's other lines.
const LINE: &[u8] = b"{\"level\":\"ERROR\",\"message\":\"a mapped file of a generation cannot be read any more: it was cut \
or changed after it was opened, or its disk failed; ending. Check the snapshots folder with `estehqaq snapshot verify` and \
the disk, then start again; --memory-mode resident does not depend on the files once they are open\"}\n";

/// Ends the process with a line in the log when a mapped page cannot be read.
///
/// # Errors
/// When the signal cannot be caught.
pub(crate) fn diagnose() -> io::Result<()> {
    let tell_and_end = || {
        let _ = rustix::io::write(rustix::stdio::stderr(), LINE); // Nobody is left to tell when stderr is closed.
        abort();
    };
    // SAFETY: the handler may call async-signal-safe functions alone. It calls write(2) on a constant and abort(3), takes
    // no lock and allocates nothing.
    unsafe { register(SIGBUS, tell_and_end) }.map(drop)
}
