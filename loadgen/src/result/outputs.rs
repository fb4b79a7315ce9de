//! Where results go: the flags that every measuring subcommand shares, and the one place that obeys them.
//!
//! stdout carries text or, with `--json`, one JSON object; files are written beside it. A file is written
//! under another name first, so that a reader never sees half of one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::result::document::Document;
use crate::result::{csv, hdr_log, html, text};

/// Flatten this into the arguments of a subcommand.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OutputArgs {
    /// One JSON object on stdout instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the result as JSON, with every histogram; `merge`, `compare` and `report` read it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Write a report for browsers: one HTML file that refers to nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Write a line for each interval (or try, or ratio) as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write an HdrHistogram V2 interval log with the tags latency, service, lateness and machine_stalls (runs only)
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr_log: Option<PathBuf>,
}

/// Why a result did not get out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("cannot write the result: {0}; give stdout somewhere to go")]
    Stdout(#[source] io::Error),
    #[error("cannot write {path}: {source}; is the folder there and is there room?")]
    File { path: PathBuf, source: io::Error },
    #[error("--hdr-log would be ignored: only runs have intervals; leave it out")]
    NoIntervals,
}

impl OutputArgs {
    /// For what measures something else than a run, before it begins: a flag that would be ignored is an error, which must
    /// not come when the measuring is done.
    pub(crate) fn refuse_intervals(&self) -> Result<(), OutputError> {
        if self.hdr_log.is_some() { Err(OutputError::NoIntervals) } else { Ok(()) }
    }

    /// Writes everything that was asked for, as far as it can be written: a measurement is not lost with one of its
    /// forms. The first failure is told.
    pub(crate) fn write(&self, document: &Document, out: &mut dyn Write) -> Result<(), OutputError> {
        if !matches!(document, Document::Run(_)) {
            self.refuse_intervals()?;
        }
        let mut results = Vec::new();
        if let Some(path) = &self.out {
            results.push(write_file(path, |file| document.write_json(file)));
        }
        if let Some(path) = &self.report {
            results.push(write_file(path, |file| html::write(document, file)));
        }
        if let Some(path) = &self.csv {
            results.push(write_file(path, |file| csv::write(document, file)));
        }
        if let (Some(path), Document::Run(run)) = (&self.hdr_log, document) {
            results.push(write_file(path, |file| hdr_log::write(run, file)));
        }
        let written = if self.json { document.write_json(out) } else { text::write(document, out) };
        results.push(written.and_then(|()| out.flush()).map_err(OutputError::Stdout));
        results.into_iter().collect()
    }
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
    let failed = |source| OutputError::File { path: path.to_owned(), source };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let mut file = BufWriter::new(File::create(&unfinished).map_err(failed)?);
    let written = write(&mut file).and_then(|()| file.flush());
    drop(file);
    if let Err(source) = written.and_then(|()| fs::rename(&unfinished, path)) {
        // What is left of it helps nobody; the first error is the one to tell.
        let _ = fs::remove_file(&unfinished);
        return Err(failed(source));
    }
    Ok(())
}
