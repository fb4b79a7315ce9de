//! The report for browsers.

use std::io::{self, Write};

use crate::result::document::Document;

pub(crate) fn write(_document: &Document, _out: &mut dyn Write) -> io::Result<()> {
    Ok(())
}
