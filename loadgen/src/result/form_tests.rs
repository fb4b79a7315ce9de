//! The forms a result takes: what is written can be read back, and says which mode it was.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;

use crate::latency::Latencies;
use crate::result::document::Document;
use crate::result::model::{Mode, Timeline};
use crate::result::outputs::OutputArgs;
use crate::result::{csv, hdr_log, sample, text};

fn json(document: &Document) -> String {
    let mut bytes = Vec::new();
    document.write_json(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn every_kind() -> [Document; 4] {
    [sample::run().into(), sample::capacity().into(), sample::compare().into(), sample::calibration().into()]
}

#[test]
fn every_document_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    for document in every_kind() {
        let path = folder.path().join("result.json");
        let written = json(&document);
        assert_eq!(written.lines().count(), 1);
        fs::write(&path, &written).unwrap();
        assert_eq!(json(&Document::read(&path).unwrap()), written);
    }
}

#[test]
fn a_result_names_all_that_repeating_it_takes() {
    for document in every_kind() {
        let value: Value = serde_json::from_str(&json(&document)).unwrap();
        assert_eq!((&value["schema_version"], &value["seed"]), (&1.into(), &7.into()));
        assert_eq!(value["scenario"]["blake3"].as_str().unwrap().len(), 64);
        assert_eq!(value["commit"], "0123abcd");
        assert!(value["hosts"][0]["cores"].is_u64() && value["started_at_unix_ms"].is_u64());
    }
}

#[track_caller]
fn check_refused(content: &str, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    fs::write(&path, content).unwrap();
    let message = Document::read(&path).unwrap_err().to_string();
    assert!(message.contains(words), "{message}");
}

#[test]
fn what_is_no_result_is_refused_with_what_to_do() {
    check_refused("", "is no result of loadgen");
    check_refused("{}", "give a file that --json or --out wrote");
    check_refused(r#"{"kind":"run","schema_version":2}"#, "has schema version 2, this loadgen reads 1");
    let damaged = json(&sample::run().into()).replace("\"histogram\":\"H", "\"histogram\":\"!");
    check_refused(&damaged, "no HdrHistogram V2 in base64");
    let missing = Document::read(&PathBuf::from("/nowhere/result.json")).unwrap_err().to_string();
    assert!(missing.contains("cannot read the result /nowhere/result.json"), "{missing}");
}

#[test]
fn a_summary_in_a_file_is_not_believed_over_its_histogram() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    let mut value: Value = serde_json::from_str(&json(&sample::run().into())).unwrap();
    let p99 = value["latency_us"]["p99"].take();
    value["latency_us"]["p99"] = 1.into();
    fs::write(&path, value.to_string()).unwrap();
    let Document::Run(run) = Document::read(&path).unwrap() else { panic!("a run") };
    assert_eq!(serde_json::to_value(run.total.latency_us.summary().p99).unwrap(), p99);
}

#[test]
fn csv_has_a_line_for_each_interval_try_and_ratio() {
    let [run, capacity, compare, calibration] = every_kind();
    for (document, rows, head) in [
        (run, 30, "t_ms,interval_ms,stage,mode,intended,sent,completed,errors,wrong_answers,latency_us_p50,"),
        (capacity, 12, "started_at_ms,duration_ms,phase,rate_per_s,"),
        (calibration, 3, "started_at_ms,duration_ms,phase,rate_per_s,"),
        (compare, 3, "what,a,b,ratio,low,high,confidence"),
    ] {
        let mut bytes = Vec::new();
        csv::write(&document, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(head), "{text}");
        assert_eq!(text.lines().count(), rows + 1);
        let columns = |line: &str| line.matches(',').count();
        assert!(text.lines().all(|line| columns(line) == columns(head_of(&text))), "{text}");
    }
}

fn head_of(text: &str) -> &str {
    text.lines().next().unwrap()
}

#[test]
fn csv_leaves_a_cell_empty_where_samples_are_too_few() {
    let mut bytes = Vec::new();
    csv::write(&sample::run().into(), &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let cells = |line: usize| text.lines().nth(line + 1).unwrap().split(',').collect::<Vec<_>>();
    let p99_9 = head_of(&text).split(',').position(|name| name == "latency_us_p99_9").unwrap();
    assert_eq!(cells(3)[..5], ["3000", "1000", "\"warm-up\"", "open_loop", "2000"]);
    assert_eq!(cells(3)[p99_9], "");
    assert_eq!(cells(23)[p99_9 - 3..=p99_9], ["", "", "", ""], "50 samples state no percentile");
    assert_eq!(cells(29).last(), Some(&"\"2026-11-22-3fa9c1d2e4b5\""));
}

#[test]
fn the_hdr_log_holds_every_sample_of_every_interval() {
    let run = sample::run();
    let mut bytes = Vec::new();
    hdr_log::write(&run, &mut bytes).unwrap();
    assert!(bytes.starts_with(b"#[Histogram log format version 1.3]\n"));
    let mut merged =
        [("latency", Latencies::new()), ("service", Latencies::new()), ("lateness", Latencies::new())];
    let (mut intervals, mut starts) = (0, 0);
    for entry in IntervalLogIterator::new(&bytes) {
        match entry.unwrap() {
            LogEntry::Interval(interval) => {
                intervals += 1;
                assert_eq!(interval.duration(), Duration::from_secs(1));
                let latencies = Latencies::decode(interval.encoded_histogram()).unwrap();
                let tag = interval.tag().unwrap();
                merged.iter_mut().find(|(name, _)| *name == tag.as_str()).unwrap().1.merge(&latencies);
            }
            LogEntry::StartTime(time) => {
                starts += 1;
                assert_eq!(time, Duration::from_secs(1_795_305_600));
            }
            LogEntry::BaseTime(_) => {}
        }
    }
    assert_eq!((intervals, starts), (90, 1));
    for (name, latencies) in &merged {
        assert_eq!(latencies.summary().samples, 29 * 2_000 + 50, "{name}");
    }
}

/// Another reader of the format, without this crate's code, sees the same numbers.
#[test]
fn the_histogram_in_json_is_plain_hdr_histogram_v2() {
    let value: Value = serde_json::from_str(&json(&sample::run().into())).unwrap();
    let encoded = value["latency_us"]["histogram"].as_str().unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
    assert_eq!(histogram.len(), value["latency_us"]["samples"].as_u64().unwrap());
    assert_eq!(histogram.value_at_quantile(0.99), value["latency_us"]["p99"].as_u64().unwrap());
}

fn in_words(document: &Document) -> String {
    let mut bytes = Vec::new();
    text::write(document, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check_text(document: &Document, parts: &[&str]) {
    let text = in_words(document);
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn the_text_says_what_the_run_came_to() {
    check_text(
        &sample::run().into(),
        &[
            "open_loop against https://127.0.0.1:8443, 64 connections\n",
            "requests   50000 in 25.0 s, ended by schedule\n",
            "wrong      1 (notices 1)\n",
            "errors     4 (503 3) (timeout 1)\n",
            "first wrong answer: target line 12, general, notices: expected none, got objection_line\n",
            "in the warm-up: 1 wrong, 4 errors\n",
            "at 12.0 s generation 2026-11-21-000000000001 -> 2026-11-22-3fa9c1d2e4b5\n",
            "   (open_loop)\n",
            "handshakes 65 TCP, 64 TLS full, 1 TLS resumed\n",
            "\nTLS full   ",
            "\non reused  ",
            "stage peak (constant 2000/s): intended 2000.0/s, sent 1999.5/s",
            "goal peak: p99_us <= 5000 (all): 4400, met\n",
            "goal peak: p99_9_us <= 5000 (all): too few samples, insufficient\n",
            "verdict INVALID\n  stage peak: the goal",
            "seed 7, scenario record-day ",
            "loadgen 0.1.0 (0123abcd)\n",
            "host ",
        ],
    );
}

#[test]
fn a_closed_loop_is_labelled_in_every_output() {
    let mut run = sample::run();
    run.mode = Mode::ClosedLoop;
    run.mode_caveat = Some("latencies omit waiting (coordinated omission)".to_owned());
    let document = Document::from(run.clone());
    let mut outputs = vec![in_words(&document), json(&document)];
    for write in [csv::write, super::html::write] {
        let mut bytes = Vec::new();
        write(&document, &mut bytes).unwrap();
        outputs.push(String::from_utf8(bytes).unwrap());
    }
    let mut bytes = Vec::new();
    hdr_log::write(&run, &mut bytes).unwrap();
    outputs.push(String::from_utf8(bytes).unwrap());
    for output in &outputs {
        assert!(output.contains("closed_loop") && !output.contains("open_loop"), "{}", &output[..400]);
    }
    let with_caveat = outputs.iter().filter(|output| output.contains("coordinated omission")).count();
    assert_eq!(with_caveat, 4, "all but the rows of CSV, which have a column for the mode");
}

#[test]
fn searches_and_comparisons_are_told_in_words() {
    check_text(
        &sample::capacity().into(),
        &[
            "open_loop capacity of http://127.0.0.1:8080 for p99_us <= 5000\n",
            "     32000 exponential INVALID ",
            "capacity 17000 a second, between 17000 and 18000; limited by the server\n",
            "verdict MET\n",
        ],
    );
    check_text(
        &sample::compare().into(),
        &["b/a   95 % interval\n", "1.327   1.210 to 1.460, differs\n", "no difference shown\n", "warning: "],
    );
    check_text(&sample::calibration().into(), &["ceiling  60000 a second\n", "floor ", "lateness "]);
}

#[test]
fn every_file_that_was_asked_for_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Some(folder.path().join(name));
    let (out, report, csv, hdr_log) = (file("a.json"), file("a.html"), file("a.csv"), file("a.hlog"));
    let args = OutputArgs { json: true, out, report, csv, hdr_log };
    let mut stdout = Vec::new();
    args.write(&sample::run().into(), &mut stdout).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.csv", "a.hlog", "a.html", "a.json"]);
    assert_eq!(fs::read(folder.path().join("a.json")).unwrap(), stdout);
    assert!(fs::read_to_string(folder.path().join("a.html")).unwrap().ends_with("</html>\n"));
}

#[test]
fn outputs_that_cannot_be_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut stdout = Vec::new();
    let hdr_log = Some(folder.path().join("a.hlog"));
    let args = OutputArgs { hdr_log, ..OutputArgs::default() };
    let error = args.write(&sample::capacity().into(), &mut stdout).unwrap_err();
    assert!(error.to_string().contains("--hdr-log would be ignored"), "{error}");
    let report = Some(folder.path().join("not/there.html"));
    let args = OutputArgs { report, ..OutputArgs::default() };
    let error = args.write(&sample::run().into(), &mut stdout).unwrap_err();
    assert!(error.to_string().contains("is the folder there"), "{error}");
    assert!(stdout.is_empty(), "stdout is for results");
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = OutputArgs::default().write(&sample::run().into(), &mut Closed).unwrap_err();
    assert!(error.to_string().contains("give stdout somewhere to go"), "{error}");
}

#[test]
fn a_timeline_never_grows_beyond_its_bound() {
    for (duration_ms, rate_max_per_s, interval_ms) in [
        (1_000, 100.0, 1_000),
        (60_000, 100.0, 1_000),
        (1_200_000, 100_000.0, 1_000),
        (1_201_000, 100_000.0, 2_000),
        (86_400_000, 500.0, 72_000),
        // A p99 in each interval, where the run is long enough for that.
        (35_000, 10_000.0, 2_000),
        (35_000, 11_000.0, 1_000),
        (45_000, 3_500.0, 3_000),
        (30_000, 3_500.0, 1_000),
        (10_000, 0.0, 1_000),
    ] {
        let timeline = Timeline::for_run(duration_ms, rate_max_per_s);
        assert_eq!(timeline.interval_ms, interval_ms, "{duration_ms} {rate_max_per_s}");
        assert!(duration_ms.div_ceil(interval_ms) <= Timeline::POINTS_MAX);
    }
}
