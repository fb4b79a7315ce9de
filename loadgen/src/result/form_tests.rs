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
use crate::result::beside::{ServerHistogram, ServerOver, ServerSays};
use crate::result::document::Document;
use crate::result::model::{Mode, Timeline};
use crate::result::outputs::OutputArgs;
use crate::result::search::CompareResult;
use crate::result::{csv, hdr_log, html, sample, text};

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

/// Every form in which a document leaves, as text; the log of histograms is there for runs alone.
fn every_form(document: &Document) -> Vec<String> {
    let mut forms = vec![json(document), in_words(document)];
    for write in [csv::write, html::write] {
        let mut bytes = Vec::new();
        write(document, &mut bytes).unwrap();
        forms.push(String::from_utf8(bytes).unwrap());
    }
    if let Document::Run(run) = document {
        let mut bytes = Vec::new();
        hdr_log::write(run, &mut bytes).unwrap();
        forms.push(String::from_utf8(bytes).unwrap());
    }
    forms
}

#[test]
fn every_form_of_every_result_names_all_that_repeating_it_takes() {
    let host = crate::host::HostFacts::sample("one");
    for document in every_kind() {
        let p = document.provenance();
        let value: Value = serde_json::from_str(&json(&document)).unwrap();
        assert_eq!((&value["schema_version"], &value["seed"]), (&1.into(), &20_261_125.into()));
        assert_eq!(value["hosts"][0], serde_json::to_value(&host).unwrap());
        assert!(value["hosts"][0]["cores"].is_u64() && value["started_at_unix_ms"].is_u64());
        for (at, form) in every_form(&document).iter().enumerate() {
            for fact in [&p.scenario.blake3, "0123abcd", "20261125", &p.scenario.name] {
                assert!(
                    form.contains(fact),
                    "{fact} is missing in form {at}: {}",
                    &form[..600.min(form.len())]
                );
            }
            // In JSON the host's facts stand one by one.
            assert!(at == 0 || form.contains(&host.describe()), "no host in form {at}");
            assert!(form.contains(host.machine()), "form {at} does not say which machine it was");
        }
    }
}

#[test]
fn a_search_names_its_settings_and_one_of_before_is_read_without() {
    let document = Document::from(sample::capacity());
    let value: Value = serde_json::from_str(&json(&document)).unwrap();
    let run: Value = serde_json::from_str(&json(&sample::run().into())).unwrap();
    for field in ["targets", "connections_configured", "timeout_ms"] {
        assert_eq!(value[field], run[field], "as in a run: {field}");
    }
    assert_eq!((&value["repeats"], &value["step_s"], &value["threads"]), (&3.into(), &5.into(), &1.into()));
    let words = "tries of 5 s at least, from 1000/s to 100000/s at most, 3 repeats of each level; 64 connections, \
                 timeout 5000 ms, 1 sender threads";
    let forms = every_form(&document);
    for form in [&forms[1], &forms[3]] {
        assert!(form.contains(words) && form.contains(&"ab".repeat(32)), "{form}");
    }
    let mut before = value;
    before.as_object_mut().unwrap().retain(|field, _| field != "repeats");
    let before: Document = serde_json::from_value(before).unwrap();
    assert!(matches!(before, Document::Capacity(capacity) if capacity.settings.is_none()));
}

#[test]
fn a_build_outside_git_says_so() {
    let mut run = sample::run();
    run.provenance.commit = None;
    let document = Document::from(run);
    let forms = every_form(&document);
    assert!(forms[0].contains("\"commit\":null"));
    for form in [&forms[1], &forms[3], &forms[4]] {
        assert!(form.contains("commit not known: built outside git"), "{}", &form[..600]);
    }
    let commit = head_of(&forms[2]).split(',').position(|name| name == "commit").unwrap();
    assert_eq!(cells(&forms[2], 1)[commit], "");
}

#[test]
fn machines_that_are_alike_are_named_once() {
    let mut p = sample::run().provenance;
    p.hosts.push(crate::host::HostFacts::sample(""));
    let (kind, machine) = (p.hosts[0].describe(), p.hosts[0].machine());
    assert_eq!(p.machines(), format!("2 of {kind}, machines {machine} and unknown"));
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
    // Whoever merges or compares must not leave an interval out without a word.
    for name in ["latency", "service", "lateness", "machine_stalls"] {
        let (good, bad) = (format!("\"{name}_histogram\":\"H"), format!("\"{name}_histogram\":\"!"));
        let damaged = json(&sample::run().into()).replacen(&good, &bad, 1);
        check_refused(&damaged, "a histogram of the timeline is no HdrHistogram V2 in base64");
    }
    let missing = Document::read(&PathBuf::from("/nowhere/result.json")).unwrap_err().to_string();
    assert!(missing.contains("cannot read the result /nowhere/result.json"), "{missing}");
}

/// Such a stage asked for a tick of each day of its axis, more than memory holds.
#[test]
fn times_that_no_run_has_are_refused() {
    let check = |change: &dyn Fn(&mut Value), words: &str| {
        let mut value: Value = serde_json::from_str(&json(&sample::run().into())).unwrap();
        change(&mut value);
        check_refused(&value.to_string(), words);
    };
    let forever = || Value::from(1_u64 << 63);
    check(
        &|run| run["stages"][1]["starts_at_ms"] = forever(),
        "is no result of loadgen: a stage begins later",
    );
    check(
        &|run| run["stages"][0]["duration_ms"] = forever(),
        "lasts longer than a week, which no scenario allows",
    );
    check(&|run| run["timeline"]["interval_ms"] = 1.into(), "intervals are shorter than a second");
    check(&|run| run["timeline"]["interval_ms"] = forever(), "or longer than a week");
    check(&|run| run["timeline"]["points"][3]["t_ms"] = forever(), "for weeks after its scenario had ended");
    check(&|run| run["elapsed_ms"] = forever(), "give a file that --json or --out wrote");
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
        (compare, 3, "what,a,b,ratio,low,high,confidence,a_seed,"),
    ] {
        let mut bytes = Vec::new();
        csv::write(&document, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(head), "{text}");
        assert_eq!(text.lines().count(), rows + 1);
        let columns = cells(&text, 0).len();
        assert!((0..=rows).all(|line| cells(&text, line).len() == columns), "{text}");
    }
}

fn head_of(text: &str) -> &str {
    text.lines().next().unwrap()
}

/// The cells of a line, as every reader of RFC 4180 takes them.
fn cells(text: &str, line: usize) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for letter in text.lines().nth(line).unwrap().chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(letter),
        }
    }
    cells
}

#[test]
fn csv_leaves_a_cell_empty_where_samples_are_too_few() {
    let mut bytes = Vec::new();
    csv::write(&sample::run().into(), &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let at = |name: &str| head_of(&text).split(',').position(|head| head == name).unwrap();
    let p99_9 = at("latency_us_p99_9");
    assert_eq!(cells(&text, 4)[..5], ["3000", "1000", "warm-up", "open_loop", "2000"]);
    assert_eq!(cells(&text, 4)[p99_9], "");
    assert_eq!(cells(&text, 24)[p99_9 - 3..=p99_9], ["", "", "", ""], "50 samples state no percentile");
    assert_eq!(cells(&text, 30)[at("generation")], "2026-11-22-3fa9c1d2e4b5");
}

#[test]
fn the_hdr_log_holds_every_sample_of_every_interval() {
    let run = sample::run();
    let mut bytes = Vec::new();
    hdr_log::write(&run, &mut bytes).unwrap();
    assert!(bytes.starts_with(b"#[Histogram log format version 1.3]\n"));
    let mut merged =
        ["latency", "service", "lateness", "machine_stalls"].map(|name| (name, Latencies::new()));
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
    assert_eq!((intervals, starts), (120, 1));
    for (name, latencies) in &merged {
        let due = if *name == "machine_stalls" { 30 * 2_000 } else { 29 * 2_000 + 50 };
        assert_eq!(latencies.summary().samples, due, "{name}");
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

/// A result of before the machine's stalls were watched is read, and reported without them.
#[test]
fn a_result_without_machine_stalls_is_still_a_result() {
    fn drop_stalls(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !name.starts_with("machine_stalls"));
                fields.values_mut().for_each(drop_stalls);
            }
            Value::Array(items) => items.iter_mut().for_each(drop_stalls),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(&json(&sample::run().into())).unwrap();
    drop_stalls(&mut value);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    fs::write(&path, value.to_string()).unwrap();
    let forms = every_form(&Document::read(&path).unwrap());
    assert!(forms[3].contains("They were not watched."));
    assert!(!forms[4].contains("Tag=machine_stalls") && forms[4].contains("Tag=lateness"));
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
            "seed 20261125, scenario record-day ",
            "loadgen 0.1.0, commit 0123abcd\n",
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
    for write in [csv::write, html::write] {
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
        &[
            "b/a   95 % interval\n",
            "1.327   1.210 to 1.460, differs\n",
            "no difference shown\n",
            "warning: the two differ in scenario\nnote: measured by different builds of loadgen\n",
        ],
    );
    check_text(
        &CompareResult { turns_a_side: 4, ..sample::compare() }.into(),
        &["1.327   1.210 to 1.460, too few turns to tell a difference\n"],
    );
    let stored =
        CompareResult { turns_a_side: 0, warnings: Vec::new(), notes: Vec::new(), ..sample::compare() };
    check_text(&stored.clone().into(), &["1.327   1.210 to 1.460\n"]);
    let mut texts = [Vec::new(), Vec::new()];
    text::write(&stored.clone().into(), &mut texts[0]).unwrap();
    html::write(&stored.into(), &mut texts[1]).unwrap();
    for text in texts.map(|text| String::from_utf8(text).unwrap()) {
        let words = ["differs", "no difference"].map(|word| text.contains(word));
        assert_eq!(words, [false, false], "two runs tell no difference between servers: {text}");
    }
    check_text(
        &sample::calibration().into(),
        &[
            "ceiling  60000 a second\n",
            "floor ",
            "lateness ",
            "\nstalls ",
            "The raised priority was refused: ",
        ],
    );
}

/// Stalls at the usual priority mean something else: every form for people says which they are.
#[test]
fn the_priority_at_which_stalls_were_watched_is_told() {
    let check = |raised: Option<bool>, words: &str, cell: &str| {
        let mut run = sample::run();
        run.client.machine_stalls_raised_priority = raised;
        let forms = every_form(&run.into());
        let value: Value = serde_json::from_str(&forms[0]).unwrap();
        assert_eq!(value["client"]["machine_stalls_raised_priority"], serde_json::to_value(raised).unwrap());
        assert!(forms[1].contains(words) && forms[3].contains(words), "{words}: {}", forms[1]);
        let row = format!("<dt>raised priority, for watching them</dt><dd>{cell}</dd>");
        assert!(forms[3].contains(&row), "{row}");
    };
    check(Some(true), "had the raised priority that senders ask for", "granted");
    check(
        Some(false),
        "The raised priority was refused: the stalls hold the ordinary competition",
        "refused",
    );
    check(None, "At which priority they were watched is not known.", "not known");
    let mut run = sample::run();
    run.client.senders_raised_priority = Some(false);
    check_text(&run.into(), &["The raised priority was refused to senders too"]);
}

#[test]
fn what_the_server_says_is_told_as_its_own_words() {
    let over = [(0.001, 90), (0.002, 90), (0.005, 12), (0.02, 3), (0.05, 0), (0.1, 0)];
    let over = over.map(|(bound, count)| ServerOver { bound, count }).to_vec();
    let known = ServerHistogram { name: "sync_seconds".to_owned(), count: Some(90), over, failure: None };
    let (name, failure) = ("other_seconds".to_owned(), Some("before the run: <it> failed".to_owned()));
    let unknown = ServerHistogram { name, count: None, over: Vec::new(), failure };
    let mut run = sample::run();
    let url = "http://127.0.0.1:8080/metrics".to_owned();
    run.server_says = Some(ServerSays { url, histograms: vec![known, unknown] });
    let document = Document::from(run);
    check_text(
        &document,
        &[
            "\nwhat the server says of itself at http://127.0.0.1:8080/metrics\n",
            "\nsync_seconds: 90 times, over 0.002: 90, over 0.005: 12, over 0.02: 3, over 0.05: 0\n",
            "\nother_seconds: not known: before the run: <it> failed\nThe server's own words",
        ],
    );
    let forms = every_form(&document);
    let value: Value = serde_json::from_str(&forms[0]).unwrap();
    assert_eq!(
        value["server_says"]["histograms"][0]["over"][2],
        serde_json::json!({"bound": 0.005, "count": 12})
    );
    for part in ["id=\"server-says\"", "no part of the verdict", "over 0.02", "&lt;it&gt; failed"] {
        assert!(forms[3].contains(part), "{part}");
    }
    assert!(!in_words(&sample::run().into()).contains("what the server says"), "only where it was asked");
}

#[test]
fn of_several_machines_the_one_that_was_refused_its_priority_is_told() {
    let merged = |one: Option<bool>, other: Option<bool>| {
        let with = |raised| {
            let mut client = sample::run().client;
            (client.machine_stalls_raised_priority, client.senders_raised_priority) = (raised, raised);
            client
        };
        let mut client = with(one);
        client.merge(with(other));
        assert_eq!(client.senders_raised_priority, client.machine_stalls_raised_priority);
        assert_eq!((client.busy_share_by_thread.len(), client.machine_stalls_cores), (2, Some(4)));
        client.senders_raised_priority
    };
    assert_eq!(merged(Some(true), Some(true)), Some(true));
    assert_eq!(merged(Some(true), Some(false)), Some(false));
    assert_eq!(merged(None, Some(false)), Some(false));
    assert_eq!(merged(None, Some(true)), None);
}

#[test]
fn every_file_that_was_asked_for_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Some(folder.path().join(name));
    let (out, report, csv, hdr_log) = (file("a.json"), file("a.html"), file("a.csv"), file("a.hlog"));
    let args = OutputArgs { json: true, out, report, csv, hdr_log };
    let mut stdout = Vec::new();
    args.open(true).unwrap().write(&sample::run().into(), &mut stdout).unwrap();
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
    let hdr_log = Some(folder.path().join("a.hlog"));
    let args = OutputArgs { hdr_log, ..OutputArgs::default() };
    let error = args.open(false).unwrap_err();
    assert!(error.to_string().contains("--hdr-log would be ignored"), "{error}");
    let (report, csv) = (Some(folder.path().join("not/there.html")), Some(folder.path().join("a.csv")));
    let args = OutputArgs { report, csv, ..OutputArgs::default() };
    let error = args.open(true).unwrap_err();
    assert!(error.to_string().contains("make its folder"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of what was opened");
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let outputs = OutputArgs::default().open(true).unwrap();
    let error = outputs.write(&sample::run().into(), &mut Closed).unwrap_err();
    assert!(error.to_string().contains("give stdout somewhere to go"), "{error}");
}

#[test]
fn a_link_is_followed_and_a_device_written_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
    fs::write(&real, "before").unwrap();
    std::os::unix::fs::symlink("real.json", &link).unwrap();
    for out in [link.clone(), "/dev/null".into()] {
        let args = OutputArgs { out: Some(out), ..OutputArgs::default() };
        args.open(true).unwrap().write(&sample::run().into(), &mut Vec::new()).unwrap();
    }
    assert!(link.is_symlink() && fs::read_to_string(&real).unwrap().starts_with('{'));
    assert!(!fs::metadata("/dev/null").unwrap().is_file(), "the device is one still");
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
