//! A run as an HdrHistogram interval log (version 1.3, V2 compressed histograms), which the plotters and
//! tools around HdrHistogram read. Values are microseconds; a line for each interval and tag.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::latency::Latencies;
use crate::result::model::RunResult;

pub(crate) fn write(run: &RunResult, mut out: &mut dyn Write) -> io::Result<()> {
    let start = Duration::from_millis(run.provenance.started_at_unix_ms);
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]");
    for comment in comments(run) {
        builder.add_comment(&comment);
    }
    builder.with_start_time(UNIX_EPOCH + start).with_base_time(UNIX_EPOCH + start);
    let mut log = builder.begin_log_with(&mut out, &mut serializer)?;
    let interval = Duration::from_millis(run.timeline.interval_ms);
    for point in &run.timeline.points {
        let histograms = [
            ("latency", &point.latency_histogram),
            ("service", &point.service_histogram),
            ("lateness", &point.lateness_histogram),
            ("machine_stalls", &point.machine_stalls_histogram),
        ];
        // Results of before the machine's stalls were watched have nothing of them.
        for (tag, encoded) in histograms.into_iter().filter(|(_, encoded)| !encoded.is_empty()) {
            let damaged = || io::Error::other(format!("the {tag} histogram at {} ms is damaged", point.t_ms));
            let latencies = Latencies::decode(encoded).ok_or_else(damaged)?;
            let tag = Tag::new(tag).expect("the words hold neither comma nor space");
            let at = Duration::from_millis(point.t_ms);
            log.write_histogram(latencies.histogram(), at, interval, Some(tag))
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
    }
    Ok(())
}

/// One line each, for people.
fn comments(run: &RunResult) -> Vec<String> {
    let p = &run.provenance;
    let mut lines = vec![
        format!("loadgen {}, {}, values in microseconds", p.loadgen_version, run.mode.code()),
        p.built_from(),
        format!("scenario {} blake3 {}, seed {}", p.scenario.name, p.scenario.blake3, p.seed),
        format!("host {}", p.machines()),
        format!("verdict {}", run.verdict.verdict.word()),
    ];
    lines.extend(run.mode_caveat.as_ref().map(|caveat| format!("note: {caveat}")));
    lines.into_iter().map(|line| line.replace(['\n', '\r'], " ")).collect()
}
