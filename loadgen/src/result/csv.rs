//! Results as CSV: a header row, then a line for each interval of a run, try of a search, or ratio.
//!
//! Every line ends with where it comes from: seed, scenario, revision, host. Repeating that costs some bytes, but a
//! spreadsheet and a data frame read such a table without being told anything, and lines of several results can be
//! put below each other; lines of comments would be rows to the one and an error to the other. A percentile with too
//! few samples beyond it is an empty cell. No cell needs quotes but names, which are quoted always.

use std::io::{self, Write};

use crate::latency::{LatencySummary, Percentile};
use crate::result::document::Document;
use crate::result::model::{Provenance, RunResult};
use crate::result::search::{CapacityStep, CompareResult, StepPhase};

pub(crate) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let origin = origin_cells(document.provenance());
    match document {
        Document::Run(run) => write_timeline(run, &origin, out),
        Document::Capacity(capacity) => write_steps(&capacity.steps, &origin, out),
        Document::Calibration(calibration) => write_steps(&calibration.steps, &origin, out),
        Document::Compare(compare) => write_ratios(compare, out),
    }
}

/// The last columns of every table.
const ORIGIN: [&str; 7] =
    ["seed", "scenario", "scenario_blake3", "started_at_unix_ms", "loadgen_version", "commit", "host"];

fn origin_names(of: &str) -> String {
    ORIGIN.map(|name| format!("{of}{name}")).join(",")
}

fn origin_cells(p: &Provenance) -> String {
    let cells = [
        p.seed.to_string(),
        quoted(&p.scenario.name),
        p.scenario.blake3.clone(),
        p.started_at_unix_ms.to_string(),
        p.loadgen_version.clone(),
        quoted(p.commit.as_deref().unwrap_or("")),
        quoted(&p.machines()),
    ];
    cells.join(",")
}

fn write_timeline(run: &RunResult, origin: &str, out: &mut dyn Write) -> io::Result<()> {
    let latency = summary_names("latency_us");
    let service = summary_names("service_us");
    writeln!(
        out,
        "t_ms,interval_ms,stage,mode,intended,sent,completed,errors,wrong_answers,{latency},{service},\
         lateness_us_p99,lateness_us_max,machine_stalls_us_p99,machine_stalls_us_max,generation,{}",
        origin_names("")
    )?;
    for point in &run.timeline.points {
        let stage = run.stages.get(point.stage as usize).map_or("", |stage| &stage.name);
        let (interval, mode) = (run.timeline.interval_ms, run.mode.code());
        write!(out, "{},{interval},{},{mode},", point.t_ms, quoted(stage))?;
        write!(out, "{},{},{},", point.intended, point.sent, point.completed)?;
        write!(out, "{},{},", point.errors, point.wrong_answers)?;
        write!(out, "{},{},", summary_cells(&point.latency_us), summary_cells(&point.service_us))?;
        for summary in [&point.lateness_us, &point.machine_stalls_us] {
            write!(out, "{},{},", cell(summary.p99), cell(summary.max))?;
        }
        writeln!(out, "{},{origin}", quoted(point.generation.as_deref().unwrap_or("")))?;
    }
    Ok(())
}

fn write_steps(steps: &[CapacityStep], origin: &str, out: &mut dyn Write) -> io::Result<()> {
    let latency = summary_names("latency_us");
    writeln!(
        out,
        "started_at_ms,duration_ms,phase,rate_per_s,answered_per_s,verdict,{latency},lateness_us_p99,machine_stalls_us_max,\
         {}",
        origin_names("")
    )?;
    for step in steps {
        write!(out, "{},{},{},", step.started_at_ms, step.duration_ms, phase(step.phase))?;
        write!(out, "{},{},", step.rate_per_s, step.answered_per_s)?;
        let verdict = step.verdict.word().to_ascii_lowercase();
        write!(out, "{verdict},{},{},", summary_cells(&step.latency_us), cell(step.lateness_us.p99))?;
        write!(out, "{},", cell(step.machine_stalls_us.max))?;
        writeln!(out, "{origin}")?;
    }
    Ok(())
}

fn write_ratios(compare: &CompareResult, out: &mut dyn Write) -> io::Result<()> {
    let names = [origin_names("a_"), origin_names("b_")].join(",");
    let origins = [&compare.a, &compare.b].map(|side| origin_cells(&side.provenance)).join(",");
    writeln!(out, "what,a,b,ratio,low,high,confidence,{names}")?;
    for ratio in &compare.ratios {
        write!(out, "{},{},{},", quoted(&ratio.what), ratio.a, ratio.b)?;
        writeln!(out, "{},{},{},{},{origins}", ratio.ratio, ratio.low, ratio.high, compare.confidence)?;
    }
    Ok(())
}

pub(crate) fn phase(phase: StepPhase) -> &'static str {
    match phase {
        StepPhase::Exponential => "exponential",
        StepPhase::Bisect => "bisect",
        StepPhase::Confirm => "confirm",
    }
}

fn summary_names(of: &str) -> String {
    ["p50", "p90", "p99", "p99_9", "max"].map(|name| format!("{of}_{name}")).join(",")
}

fn summary_cells(summary: &LatencySummary) -> String {
    [summary.p50, summary.p90, summary.p99, summary.p99_9, summary.max].map(cell).join(",")
}

fn cell(percentile: Percentile) -> String {
    percentile.us().map_or_else(String::new, |us| us.to_string())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
