//! Where results go: the flags that every measuring subcommand shares, and the one place that obeys them.
//!
//! stdout carries text or, with `--json`, one JSON object; files are written beside it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::result::document::Document;
use crate::result::output_file::OutputFile;
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
    #[error("cannot write {path}: {source}; make its folder, or choose another path")]
    File { path: PathBuf, source: io::Error },
    #[error("--hdr-log would be ignored: only runs have intervals; leave it out")]
    NoIntervals,
}

impl OutputArgs {
    /// Opens everything that was asked for, before the measuring: what cannot be written must not be told when the work
    /// is done. A flag that would be ignored is an error.
    pub(crate) fn open(&self, has_intervals: bool) -> Result<Outputs, OutputError> {
        if self.hdr_log.is_some() && !has_intervals {
            return Err(OutputError::NoIntervals);
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(OutputFile::open).transpose();
        let (out, report, csv, hdr_log) =
            (open(&self.out)?, open(&self.report)?, open(&self.csv)?, open(&self.hdr_log)?);
        Ok(Outputs { json: self.json, out, report, csv, hdr_log })
    }
}

/// Where a result goes, all of it open.
#[derive(Debug)]
pub(crate) struct Outputs {
    json: bool,
    out: Option<OutputFile>,
    report: Option<OutputFile>,
    csv: Option<OutputFile>,
    hdr_log: Option<OutputFile>,
}

impl Outputs {
    /// Writes everything that was asked for, as far as it can be written: a measurement is not lost with one of its
    /// forms. The first failure is told.
    pub(crate) fn write(self, document: &Document, out: &mut dyn Write) -> Result<(), OutputError> {
        let mut results = Vec::new();
        if let Some(file) = self.out {
            results.push(file.write(|file| document.write_json(file)));
        }
        if let Some(file) = self.report {
            results.push(file.write(|file| html::write(document, file)));
        }
        if let Some(file) = self.csv {
            results.push(file.write(|file| csv::write(document, file)));
        }
        if let (Some(file), Document::Run(run)) = (self.hdr_log, document) {
            results.push(file.write(|file| hdr_log::write(run, file)));
        }
        let written = if self.json { document.write_json(out) } else { text::write(document, out) };
        results.push(written.and_then(|()| out.flush()).map_err(OutputError::Stdout));
        results.into_iter().collect()
    }
}
