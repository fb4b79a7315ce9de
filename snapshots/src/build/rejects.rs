//! The list of rejected rows, for those who mend the extract. It never holds a cell of a row, and never goes
//! into a generation.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use storage::give_to_folder_owner;

use crate::extract::{Column, RejectRule};
use crate::generation::publication::REJECTS_FOLDER;

/// One rejected row.
pub(crate) struct Reject {
    /// The physical line on which the row starts.
    pub(crate) line: u64,
    pub(crate) rule: RejectRule,
    /// The column at fault; none for the whole row.
    pub(crate) column: Option<Column>,
}

/// Writes the list while rows are read. Blocks come in any order; those that come too early wait.
pub(crate) struct RejectsWriter {
    folder: PathBuf,
    file: BufWriter<File>,
    next_block: usize,
    waiting: BTreeMap<usize, Vec<Reject>>,
}

impl RejectsWriter {
    /// Begins a list in `DIR/rejects/`.
    pub(crate) fn create(snapshots: &Path) -> io::Result<RejectsWriter> {
        let folder = snapshots.join(REJECTS_FOLDER);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        give_to_folder_owner(&File::open(&folder)?, &folder)?;
        let beside = folder.join(".new");
        let _ = fs::remove_file(&beside);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        give_to_folder_owner(&file, &beside)?;
        let mut file = BufWriter::new(file);
        writeln!(file, "line,rule,column,help")?;
        Ok(RejectsWriter { folder, file, next_block: 0, waiting: BTreeMap::new() })
    }

    /// Takes the rejects of the block with that number, counted from 0; each block comes once.
    pub(crate) fn add(&mut self, block: usize, rejects: Vec<Reject>) -> io::Result<()> {
        self.waiting.insert(block, rejects);
        while let Some(rejects) = self.waiting.remove(&self.next_block) {
            self.next_block += 1;
            for Reject { line, rule, column } in rejects {
                let column = column.map_or("", Column::name);
                writeln!(self.file, "{line},{},{column},{}", rule.code(), rule.help())?;
            }
        }
        Ok(())
    }

    /// Gives the list its name, replacing one of that name, and tells where it is.
    pub(crate) fn finish(self, name: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        self.file.into_inner()?.sync_all()?;
        fs::rename(self.folder.join(".new"), &path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(path)
    }
}
