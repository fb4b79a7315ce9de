//! The list of rejected rows, for those who mend the extract. It never holds a cell of a row, and never goes
//! into a generation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::extract::{Column, RejectRule};

/// One rejected row.
pub(crate) struct Reject {
    /// The physical line on which the row starts.
    pub(crate) line: u64,
    pub(crate) rule: RejectRule,
    /// The column at fault; none for the whole row.
    pub(crate) column: Option<Column>,
}

/// Writes the list as `DIR/rejects/NAME.csv`, replacing one of that name, and tells where.
pub(crate) fn write_rejects(snapshots: &Path, name: &str, rejects: &[Reject]) -> io::Result<PathBuf> {
    let folder = snapshots.join("rejects");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(format!("{name}.csv"));
    let beside = folder.join(".new");
    let _ = fs::remove_file(&beside);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let mut writer = BufWriter::new(file);
    writeln!(writer, "line,rule,column,help")?;
    for Reject { line, rule, column } in rejects {
        let column = column.map_or("", Column::name);
        writeln!(writer, "{line},{},{column},{}", rule.code(), rule.help())?;
    }
    writer.into_inner()?.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(&folder)?.sync_all()?;
    Ok(path)
}
