//! Results as text for people, on stdout. The mode stands in the first line and beside the latencies.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::latency::{LatencySummary, Percentile};
use crate::result::beside::{ServerOver, ServerSays, stalls_priority};
use crate::result::csv::phase;
use crate::result::document::Document;
use crate::result::model::{ConnectionFacts, Provenance, RunResult, StageResult, TargetFacts};
use crate::result::search::{CalibrationResult, CapacityResult, CapacityStep, CompareResult, Limit};
use crate::result::verdict::{Goal, Verdict, VerdictFacts};

pub(crate) const LATENCY_COVERS: &str =
    "answers, right or wrong, timeouts, and errors slower than the strictest latency goal; not quicker ones";

pub(crate) const STALLS_ARE: &str =
    "By how much threads that only sleep woke too late, one on each core; no part of the verdict.";

pub(crate) const SERVER_SAYS: &str = "The server's own words, in the units of its histograms, from before the warm-up \
    until after the last answer; no part of the verdict.";

pub(crate) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    match document {
        Document::Run(run) => write_run(run, out)?,
        Document::Capacity(capacity) => write_capacity(capacity, out)?,
        Document::Compare(compare) => return write_compare(compare, out),
        Document::Calibration(calibration) => write_calibration(calibration, out)?,
    }
    write_provenance(document.provenance(), out)
}

fn write_run(run: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    let total = &run.total;
    writeln!(out, "{} against {}, {} connections", run.mode.code(), run.url, run.connections_configured)?;
    if let Some(caveat) = &run.mode_caveat {
        writeln!(out, "note: {caveat}")?;
    }
    writeln!(out)?;
    let took = run.elapsed_ms as f64 / 1_000.0;
    writeln!(out, "requests   {} in {took:.1} s, ended by {}", total.requests, run.ended_by)?;
    if total.intended != total.requests {
        writeln!(out, "intended   {}", total.intended)?;
    }
    writeln!(out, "answers    {:.1} a second", run.answers_per_s)?;
    writeln!(out, "right      {}", total.right)?;
    writeln!(out, "unchecked  {}", total.unchecked)?;
    writeln!(out, "wrong      {}{}", total.wrong_answers, kinds(&total.wrong_by_kind))?;
    let by_status = kinds(&total.errors_by_http_status);
    writeln!(out, "errors     {}{by_status}{}", total.errors, kinds(&total.errors_by_connection))?;
    if total.retries > 0 {
        writeln!(out, "retries    {}", total.retries)?;
    }
    if total.in_flight_when_ended > 0 {
        writeln!(out, "in flight  {} when the run was ended: no errors", total.in_flight_when_ended)?;
    }
    writeln!(out, "reconnects {}", run.connections.reconnects)?;
    write_oddities(run, out)?;
    write_latencies(run, out)?;
    write_connections(&run.connections, out)?;
    if run.stages.len() > 1 {
        write_stages(&run.stages, out)?;
    }
    if let Some(says) = &run.server_says {
        write_server_says(says, out)?;
    }
    write_goals(&run.stages, out)?;
    write_verdict(&run.verdict, out)?;
    write_targets(&run.targets, out)
}

fn write_targets(targets: &TargetFacts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "targets {} ({} lines)", targets.blake3, targets.lines)
}

/// What stands in the text only when there is something to say.
fn write_oddities(run: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    if let Some(first) = &run.first_wrong {
        write!(out, "first wrong answer: target line {}, {}, {}: ", first.line, first.endpoint, first.kind)?;
        writeln!(out, "expected {}, got {}", first.expected, first.got)?;
    }
    for stage in run.stages.iter().filter(|s| s.warmup && s.total.wrong_answers + s.total.errors > 0) {
        writeln!(out, "in the warm-up: {} wrong, {} errors", stage.total.wrong_answers, stage.total.errors)?;
    }
    let unremembered = run.tracking_codes.unremembered;
    if unremembered > 0 {
        let what = "tracking codes were beyond --tracking-codes-max; repeats among them unseen";
        writeln!(out, "{unremembered} {what}")?;
    }
    for swap in &run.swaps {
        writeln!(out, "at {:.1} s generation {} -> {}", swap.t_ms as f64 / 1_000.0, swap.from, swap.to)?;
    }
    Ok(())
}

fn write_latencies(run: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "latency µs {}   ({})", columns(), run.mode.code())?;
    let endpoints = run.endpoints.iter().map(|(name, tally)| (name.as_str(), tally));
    for (name, tally) in std::iter::once(("all", &run.total)).chain(endpoints) {
        write_row(out, name, &tally.latency_us.summary())?;
    }
    write_row(out, "service", &run.total.service_us.summary())?;
    write_row(out, "gap", &run.total.gap_us.summary())?;
    write_row(out, "lateness", &run.lateness_us.summary())?;
    write_row(out, "stalls", &run.machine_stalls_us.summary())?;
    writeln!(out, "covers {LATENCY_COVERS}")?;
    writeln!(out, "lateness: the client's own part. stalls: {STALLS_ARE}")?;
    if !run.machine_stalls_us.histogram().is_empty() {
        writeln!(out, "{}", run.client.stalls_priority())?;
    }
    if run.client.senders_raised_priority == Some(false) {
        writeln!(out, "The raised priority was refused to senders too: look at their lateness.")?;
    }
    Ok(())
}

fn write_connections(c: &ConnectionFacts, out: &mut dyn Write) -> io::Result<()> {
    let handshakes =
        [("TCP", &c.tcp_connect_us), ("TLS full", &c.tls_full_us), ("TLS resumed", &c.tls_resumed_us)];
    let handshakes = handshakes.map(|(name, times)| (name, times.summary()));
    let took_place = || handshakes.iter().filter(|(_, summary)| summary.samples > 0);
    let counts: Vec<String> = took_place().map(|(name, s)| format!("{} {name}", s.samples)).collect();
    writeln!(out)?;
    writeln!(out, "handshakes {}", counts.join(", "))?;
    writeln!(out, "µs         {}", columns())?;
    for (name, summary) in took_place() {
        write_row(out, name, summary)?;
    }
    write_row(out, "on new", &c.service_new_us.summary())?;
    write_row(out, "on reused", &c.service_reused_us.summary())?;
    writeln!(out, "the last two: service time of the first request on a connection, and of later ones")
}

fn write_stages(stages: &[StageResult], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    for stage in stages {
        let (name, shape) = (&stage.name, &stage.shape);
        let warmup = if stage.warmup { ", warm-up" } else { "" };
        writeln!(
            out,
            "stage {name} ({shape}{warmup}): intended {:.1}/s, sent {:.1}/s, {} wrong, {} errors",
            stage.intended_per_s, stage.sent_per_s, stage.total.wrong_answers, stage.total.errors
        )?;
        write_row(out, "  latency", &stage.total.latency_us.summary())?;
    }
    Ok(())
}

fn write_server_says(says: &ServerSays, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "what the server says of itself at {}", says.url)?;
    for histogram in &says.histograms {
        match (histogram.count, &histogram.failure) {
            (Some(count), _) => {
                let over = |over: &ServerOver| format!(", over {}: {}", over.bound, over.count);
                let over: String = histogram.telling().iter().map(over).collect();
                writeln!(out, "{}: {count} times{over}", histogram.name)?;
            }
            (None, failure) => {
                writeln!(out, "{}: not known: {}", histogram.name, failure.as_deref().unwrap_or_default())?;
            }
        }
    }
    writeln!(out, "{SERVER_SAYS}")
}

fn write_goals(stages: &[StageResult], out: &mut dyn Write) -> io::Result<()> {
    if stages.iter().any(|stage| !stage.goals.is_empty()) {
        writeln!(out)?;
    }
    for stage in stages {
        for goal in &stage.goals {
            writeln!(out, "goal {}: {}", stage.name, describe_goal(goal))?;
        }
    }
    Ok(())
}

/// `p99_9_us <= 5000 (all): 1234, met`.
pub(crate) fn describe_goal(goal: &Goal) -> String {
    let value = goal.value.map_or_else(|| "too few samples".to_owned(), number);
    format!("{} <= {} ({}): {value}, {}", goal.what, number(goal.limit), goal.endpoint, goal.verdict.word())
}

fn write_verdict(facts: &VerdictFacts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "verdict {}", facts.verdict.word())?;
    for reason in &facts.reasons {
        writeln!(out, "  {reason}")?;
    }
    Ok(())
}

fn write_capacity(capacity: &CapacityResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "open_loop capacity of {} for {}", capacity.url, capacity.goals.join(", "))?;
    write_steps(&capacity.steps, out)?;
    writeln!(out)?;
    writeln!(out, "{}", describe_capacity(capacity))?;
    write_verdict(&capacity.verdict, out)?;
    match &capacity.settings {
        Some(settings) => {
            writeln!(out, "{}", settings.describe())?;
            write_targets(&settings.targets, out)
        }
        None => Ok(()),
    }
}

/// The number in one sentence.
pub(crate) fn describe_capacity(capacity: &CapacityResult) -> String {
    let limit = match capacity.limited_by {
        Limit::Server => "limited by the server",
        Limit::Client => "limited by the client: the server can do more",
        Limit::SearchBound => "limited by the highest rate the search may try",
        Limit::Budget => "limited by the time the search may take: no rate above it was lost",
    };
    match (capacity.capacity_per_s, capacity.interval_per_s) {
        (Some(rate), Some([low, high])) => {
            format!(
                "capacity {} a second, between {} and {}; {limit}",
                number(rate),
                number(low),
                number(high)
            )
        }
        (Some(rate), None) => format!("capacity {} a second, without an upper bound; {limit}", number(rate)),
        (None, _) if capacity.steps.iter().any(|step| step.verdict == Verdict::Met) => {
            format!("capacity unknown: no rate that met the goals once was confirmed; {limit}")
        }
        (None, _) => format!("capacity unknown: not even the lowest rate met the goals; {limit}"),
    }
}

fn write_steps(steps: &[CapacityStep], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{:>10} {:<12}{:<8} {}", "rate/s", "phase", "verdict", columns())?;
    for step in steps {
        write!(out, "{:>10} {:<12}{:<8} ", number(step.rate_per_s), phase(step.phase), step.verdict.word())?;
        writeln!(out, "{}", cells(&step.latency_us))?;
    }
    Ok(())
}

fn write_compare(compare: &CompareResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "a  {} ({})", compare.a.label, compare.a.verdict.word())?;
    writeln!(out, "b  {} ({})", compare.b.label, compare.b.verdict.word())?;
    for warning in &compare.warnings {
        writeln!(out, "warning: the two differ in {warning}")?;
    }
    for note in &compare.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out)?;
    let interval = format!("{:.0} % interval", compare.confidence * 100.0);
    writeln!(out, "{:<16}{:>12}{:>12}{:>9}   {interval}", "", "a", "b", "b/a")?;
    for r in &compare.ratios {
        let shown = compare.shown(r).map_or_else(String::new, |shown| format!(", {shown}"));
        write!(out, "{:<16}{:>12}{:>12}{:>9.3}   ", r.what, number(r.a), number(r.b), r.ratio)?;
        writeln!(out, "{:.3} to {:.3}{shown}", r.low, r.high)?;
    }
    for (name, side) in [("a", &compare.a), ("b", &compare.b)] {
        writeln!(out, "\n{name} was measured with")?;
        write_provenance(&side.provenance, out)?;
    }
    Ok(())
}

fn write_calibration(calibration: &CalibrationResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "calibration against the built-in null server")?;
    write_steps(&calibration.steps, out)?;
    writeln!(out)?;
    match calibration.ceiling_per_s {
        Some(rate) => writeln!(out, "ceiling  {} a second", number(rate))?,
        None => writeln!(out, "ceiling  none: the lowest rate was too much for this machine")?,
    }
    writeln!(out, "µs         {}", columns())?;
    write_row(out, "floor", &calibration.floor_us)?;
    write_row(out, "lateness", &calibration.lateness_us)?;
    write_row(out, "stalls", &calibration.machine_stalls_us)?;
    writeln!(out, "all three at the floor's rate. stalls: {STALLS_ARE}")?;
    writeln!(out, "{}", stalls_priority(calibration.machine_stalls_raised_priority))?;
    if let Some(verdict) = &calibration.verdict {
        write_verdict(verdict, out)?;
    }
    writeln!(out)
}

fn write_provenance(p: &Provenance, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "seed {}, scenario {} {}", p.seed, p.scenario.name, p.scenario.blake3)?;
    writeln!(out, "loadgen {}, {}", p.loadgen_version, p.built_from())?;
    writeln!(out, "host {}", p.machines())
}

fn columns() -> String {
    ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>13}")).concat()
}

fn cells(l: &LatencySummary) -> String {
    [l.p50, l.p90, l.p99, l.p99_9, l.max].map(|p: Percentile| format!("{p:>13}")).concat()
}

fn write_row(out: &mut dyn Write, name: &str, summary: &LatencySummary) -> io::Result<()> {
    writeln!(out, "{name:<11}{}", cells(summary))
}

/// ` (kind count, ..)`, or nothing.
fn kinds(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!(" ({})", parts.join(", "))
}

/// At most three digits after the point, and none that say nothing.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_no_idle_digits() {
        for (value, text) in [(5000.0, "5000"), (0.0, "0"), (0.001, "0.001"), (1234.56, "1234.56")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn kinds_are_listed_with_their_counts() {
        assert_eq!(kinds(&BTreeMap::new()), "");
        let counts = BTreeMap::from([("status".to_owned(), 2), ("notices".to_owned(), 1)]);
        assert_eq!(kinds(&counts), " (notices 1, status 2)");
    }
}
