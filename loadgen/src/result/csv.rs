//! Results as CSV: a header row, then a line for each interval of a run, try of a search, or ratio.
//!
//! A percentile with too few samples beyond it is an empty cell. No cell needs quotes but names, which are
//! quoted always.

use std::io::{self, Write};

use crate::latency::{LatencySummary, Percentile};
use crate::result::document::Document;
use crate::result::model::RunResult;
use crate::result::search::{CapacityStep, CompareResult, StepPhase};

pub(crate) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    match document {
        Document::Run(run) => write_timeline(run, out),
        Document::Capacity(capacity) => write_steps(&capacity.steps, out),
        Document::Calibration(calibration) => write_steps(&calibration.steps, out),
        Document::Compare(compare) => write_ratios(compare, out),
    }
}

fn write_timeline(run: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    let latency = summary_names("latency_us");
    let service = summary_names("service_us");
    writeln!(
        out,
        "t_ms,interval_ms,stage,mode,intended,sent,completed,errors,wrong_answers,{latency},{service},\
         lateness_us_p99,lateness_us_max,generation"
    )?;
    for point in &run.timeline.points {
        let stage = run.stages.get(point.stage as usize).map_or("", |stage| &stage.name);
        let (interval, mode) = (run.timeline.interval_ms, run.mode.code());
        write!(out, "{},{interval},{},{mode},", point.t_ms, quoted(stage))?;
        write!(out, "{},{},{},", point.intended, point.sent, point.completed)?;
        write!(out, "{},{},", point.errors, point.wrong_answers)?;
        write!(out, "{},{},", summary_cells(&point.latency_us), summary_cells(&point.service_us))?;
        let lateness = &point.lateness_us;
        write!(out, "{},{},", cell(lateness.p99), cell(lateness.max))?;
        writeln!(out, "{}", quoted(point.generation.as_deref().unwrap_or("")))?;
    }
    Ok(())
}

fn write_steps(steps: &[CapacityStep], out: &mut dyn Write) -> io::Result<()> {
    let latency = summary_names("latency_us");
    writeln!(
        out,
        "started_at_ms,duration_ms,phase,rate_per_s,answered_per_s,verdict,{latency},lateness_us_p99"
    )?;
    for step in steps {
        write!(out, "{},{},{},", step.started_at_ms, step.duration_ms, phase(step.phase))?;
        write!(out, "{},{},", step.rate_per_s, step.answered_per_s)?;
        let verdict = step.verdict.word().to_ascii_lowercase();
        writeln!(out, "{verdict},{},{}", summary_cells(&step.latency_us), cell(step.lateness_us.p99))?;
    }
    Ok(())
}

fn write_ratios(compare: &CompareResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "what,a,b,ratio,low,high,confidence")?;
    for ratio in &compare.ratios {
        write!(out, "{},{},{},", quoted(&ratio.what), ratio.a, ratio.b)?;
        writeln!(out, "{},{},{},{}", ratio.ratio, ratio.low, ratio.high, compare.confidence)?;
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
