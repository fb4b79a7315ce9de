//! The report for browsers: one file of HTML with its style, its script, its pictures and its data in it.
//!
//! `run` and `search` choose what is shown, `chart` and `scale` draw, `page` frames. The numbers are those
//! of the document; nothing is computed here but places in a picture.

#[cfg(test)]
mod browser_tests;
mod chart;
mod facts;
mod page;
mod run;
mod scale;
mod search;
mod tables;

use std::io::{self, Write};

use serde_json::Value;

use crate::result::document::Document;

/// Writes the whole report.
pub(crate) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let mut page = match document {
        Document::Run(run) => run::page(run),
        Document::Capacity(capacity) => search::capacity_page(capacity),
        Document::Compare(compare) => search::compare_page(compare),
        Document::Calibration(calibration) => search::calibration_page(calibration),
    };
    facts::add_environment(&mut page, document);
    page.write(&data(document)?, out)
}

/// The document without its histograms, which would make the page tens of megabytes long.
fn data(document: &Document) -> io::Result<String> {
    let mut value = serde_json::to_value(document)?;
    drop_histograms(&mut value);
    Ok(value.to_string())
}

fn drop_histograms(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "histogram" && !name.ends_with("_histogram"));
            fields.values_mut().for_each(drop_histograms);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_histograms),
        _ => {}
    }
}
