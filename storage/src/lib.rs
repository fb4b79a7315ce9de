//! What every command and crate must do alike with files: to whom a file belongs that root makes for the service, how a
//! file is replaced in one step, where results go, and whether an input changed while it was read.
//!
//! Three rules, stated here and nowhere else:
//! - what is made in a folder belongs to the folder's owner and group, and what replaces a file keeps its owner, group
//!   and mode: an operator's command as root never takes a file away from the service;
//! - a symbolic link is followed before a file is replaced, so that the content that is to go goes;
//! - what is no regular file (a device, a FIFO) is written in place and never replaced.

mod output;
mod owner;
mod reading;
mod replace;

pub use output::{Output, OutputError, discard_unfinished};
pub use owner::{Like, give_to_folder_owner, is_private};
pub use reading::{ChangedWhileRead, Seen, Watch, skip_bom};
pub use replace::{folder_of, replace, resolve};
