//! `demo`: the five lines that it prints work as pasted, and a second start takes what is there.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Folder;
use super::serving::Serving;
use crate::site::wait_until;

const DEMO: &str = "demo --dir data --listen 127.0.0.1:0";

/// Starts the demo and waits for its five lines.
fn start(folder: &Folder, line: &str) -> (Serving, String) {
    let serving = Serving::start(folder, line);
    let lines = |text: &str| text.lines().filter(|line| line.starts_with("curl ")).count();
    wait_until("the demo prints what to try", || {
        let text = serving.stdout();
        lines(&text) == 5 && text.contains("report.html\n")
    });
    let text = serving.stdout();
    (serving, text)
}

fn demo_key(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("Demo key: ")).unwrap()
}

/// A printed line, taken apart as a shell would: words parted by spaces, quoted ones held together.
struct Curl<'a> {
    line: &'a str,
    url: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl Curl<'_> {
    fn parse(line: &str) -> Curl<'_> {
        let parts = line.split('\'').enumerate();
        let words: Vec<_> = parts
            .flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
            .collect();
        let after = |flag: &'static str| {
            words.iter().enumerate().filter(move |(_, word)| **word == flag).map(|(at, _)| words[at + 1])
        };
        assert_eq!(words[..4], ["curl", "-sS", "-w", "\\n"], "{line}");
        Curl {
            line,
            url: words[4],
            headers: after("-H").map(|header| header.split_once(": ").unwrap()).collect(),
            body: after("-d").next().unwrap(),
        }
    }

    /// Pastes the line into a shell; where there is no curl, does what it would.
    fn answer(&self) -> Value {
        if Command::new("curl").arg("--version").output().is_ok() {
            let output = Command::new("sh").args(["-c", self.line]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            assert!(output.stdout.ends_with(b"\n"), "the prompt stands off the answer");
            return serde_json::from_slice(&output.stdout).unwrap();
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = self
            .headers
            .iter()
            .fold(agent.post(self.url), |request, (name, value)| request.header(*name, *value));
        request.send(self.body).unwrap().body_mut().read_json().unwrap()
    }
}

/// What each of the five lines must answer: its heading, and members of the answer.
fn expected() -> [(&'static str, Value); 5] {
    [
        ("# covered", json!({"status": "covered", "care": "outpatient", "notices": []})),
        (
            "# not covered, served under the existing rules",
            json!({"status": "not_covered", "notices": ["serve_under_existing_rules", "objection_line"]}),
        ),
        (
            "# inpatient",
            json!({"status": "covered", "care": "inpatient", "notices": ["overlap_check_required"]}),
        ),
        ("# personal", json!({"status": "covered", "open_ended": true, "end_date": null, "notices": []})),
        ("# a mobile number that is not theirs", json!({"status": 403, "code": "mobile_mismatch"})),
    ]
}

/// Runs the five lines of the demo's text.
#[track_caller]
fn check_lines(text: &str) {
    let lines: Vec<_> = text.lines().collect();
    for (heading, members) in expected() {
        let at =
            lines.iter().position(|line| *line == heading).unwrap_or_else(|| panic!("{heading}: {text}"));
        let mut answer = Curl::parse(lines[at + 1]).answer();
        if let Some(notices) = answer["notices"].as_array_mut() {
            notices.iter_mut().for_each(|notice| *notice = notice["code"].take());
        }
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&answer[name], value, "{heading}: {answer}");
        }
    }
}

/// The line for loadgen names files that are there, with a key that may ask about any day.
#[track_caller]
fn check_load_line(folder: &Folder, text: &str) {
    let line = text.lines().find(|line| line.contains(" -p loadgen ")).unwrap();
    let after = |flag: &str| line.split(' ').skip_while(|word| *word != flag).nth(1).unwrap();
    let request = folder.read(after("--targets")).lines().next().unwrap().to_owned();
    let mut body = serde_json::from_str::<Value>(&request).unwrap()["request"].take();
    body.as_object_mut().unwrap().remove("mobile");
    body["service_date"] = json!("2001-01-01");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let key = folder.read(after("--key-file"));
    let post = agent.post(format!("{}/v1/inquiries", after("--url")));
    let answer = post.header("authorization", format!("Bearer {}", key.trim())).send_json(&body).unwrap();
    assert_eq!(answer.status(), 201, "{line}");
}

/// The guide is printed on later days too: its people are then what they are today.
#[track_caller]
fn check_next_year(folder: &Folder, text: &str) {
    let curls: Vec<_> = text.lines().filter(|line| line.starts_with("curl ")).map(Curl::parse).collect();
    let day = server::today_in_tehran().unwrap().plus(365).unwrap().iso().to_string();
    for (curl, status) in curls.iter().zip(["covered", "not_covered", "covered", "covered"]) {
        let body: Value = serde_json::from_str(curl.body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap();
        let ask = ["ask", "--snapshots", "data/snapshots", "--service-date", &day];
        let person = ["--person-id", text("person_id"), "--id-kind", text("id_kind")];
        let answer = folder.run_with(&[&ask[..], &person].concat(), &[]).json();
        assert_eq!(answer["status"], status, "{}", curl.line);
    }
}

#[test]
fn its_five_lines_work_as_pasted_and_a_second_start_takes_what_is_there() {
    let folder = Folder::new();
    let (serving, text) = start(&folder, &format!("{DEMO} --people 20000"));
    assert!(text.contains("The data lies in data.\n"), "{text}");
    let key = demo_key(&text).to_owned();
    assert_eq!(folder.read("data/demo-key.txt"), format!("{key}\n"));
    assert_eq!(text.matches(&key).count(), 4, "once by itself, and in the three general inquiries");
    check_lines(&text);
    check_load_line(&folder, &text);
    check_next_year(&folder, &text);
    assert_eq!(serving.terminate(), "", "nothing is said on stderr where that is no terminal");
    let snapshot = folder.read("data/snapshots/CURRENT");

    let began = Instant::now();
    let (serving, text) = start(&folder, DEMO);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(demo_key(&text), key);
    check_lines(&text);
    serving.terminate();
    assert_eq!(folder.read("data/snapshots/CURRENT"), snapshot);
    let told = folder.run("ledger verify --ledger data/ledger --secrets data/secrets.toml").ok();
    assert!(
        told.contains("(11 inquiries, 2 openings, 2 closings, 0 acts)") && told.ends_with("closed clean\n"),
        "{told}"
    );

    let other = folder.run(&format!("{DEMO} --people 30000"));
    other.refused(2, &["--people is 30000, but data holds a demo of 20000 people", "choose another --dir"]);
    fs::remove_file(folder.path("data/complete")).unwrap();
    let (serving, text) = start(&folder, &format!("{DEMO} --people 20000"));
    assert_ne!(demo_key(&text), key, "what was not complete is made anew");
    check_lines(&text);
    serving.terminate();
}

#[test]
fn too_few_people_are_told_and_not_taken_for_a_demo() {
    let folder = Folder::new();
    for _ in 0..2 {
        let ran = folder.run(&format!("{DEMO} --people 3"));
        ran.refused(1, &["the demo has no ", "make it anew with more --people"]);
        assert!(!folder.path("data/complete").exists());
    }
    folder.run(&format!("{DEMO} --people 0")).refused(2, &["'0' for '--people <N>'"]);
}

#[test]
fn a_folder_of_other_things_is_left_alone() {
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).unwrap();
    folder.write("data/secrets.toml", "mine");
    folder.write("data/letter.txt", "mine");
    let ran = folder.run(&format!("{DEMO} --people 20000"));
    ran.refused(1, &["data is there and is no demo's folder", "choose another with --dir"]);
    assert_eq!(folder.read("data/letter.txt") + &folder.read("data/secrets.toml"), "minemine");
    folder.write("file", "mine");
    folder.run("demo --dir file --people 20000").refused(1, &["file", "choose another --dir"]);
    assert_eq!(folder.read("file"), "mine");
}
