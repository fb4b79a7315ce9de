//! The built program from its command line on: secrets, a key, the extract's snapshot, the service; then every
//! inquiry of the extract over HTTP, and a log without any ID.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Reply, exchange, raw, raw_status};
use crate::site::{AS_OF, assert_no_ids, data, inquiries, wait_until};

/// Runs a command of the program in a folder; what it printed.
fn estehqaq(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_estehqaq")).current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_no_ids(&String::from_utf8(output.stderr).unwrap());
    String::from_utf8(output.stdout).unwrap()
}

/// A running `estehqaq serve`, with what it logged.
struct Serving {
    child: Child,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Serving {
    fn start(folder: &Path) -> Serving {
        Serving::run(folder, Command::new(env!("CARGO_BIN_EXE_estehqaq")), &[])
    }

    /// With so many file descriptors at most, and the ledger in the shortest segments.
    fn start_with_descriptors(folder: &Path, limit: u32) -> Serving {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
        limited.arg(env!("CARGO_BIN_EXE_estehqaq"));
        Serving::run(folder, limited, &["--ledger-segment-kib", "8"])
    }

    fn run(folder: &Path, mut program: Command, more: &[&str]) -> Serving {
        let mut child = program
            .current_dir(folder)
            .args([
                "serve",
                "--snapshots",
                "snapshots",
                "--ledger",
                "ledger",
                "--providers",
                "providers.toml",
            ])
            .args(["--secrets", "secrets.toml", "--listen", "127.0.0.1:0", "--log-level", "trace"])
            .args(["--as-of-age-days-max", "65535"])
            .args(more)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        let reading = thread::spawn(move || {
            for line in stderr.lines() {
                *lines.lock().unwrap() += &(line.unwrap() + "\n");
            }
        });
        Serving { child, log, reading: Some(reading) }
    }

    /// Every line is a JSON object.
    fn events(&self) -> Vec<Value> {
        let log = self.log.lock().unwrap().clone();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    fn ready(&self) -> Client {
        let event = |message: &str| self.events().into_iter().find(|event| event["message"] == message);
        wait_until("the program is ready", || event("ready").is_some());
        Client::new(event("ready").unwrap()["address"].as_str().unwrap().parse().unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end; the exit code and the whole log.
    fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.reading.take().unwrap().join().unwrap();
        (code, self.log.lock().unwrap().clone())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes all that `serve` needs; the desk's key.
fn prepare(folder: &Path) -> String {
    estehqaq(folder, &["secrets", "init", "--secrets", "secrets.toml"]);
    let provider = ["--id", "desk.1420", "--name", "میز ۱۴۲۰", "--type", "clinic", "--ownership", "owned"];
    let add =
        [&["provider", "add", "--providers", "providers.toml"], &provider[..], &["--scope", "desk"]].concat();
    let key = estehqaq(folder, &add);
    let extract = data("extract.csv");
    let paths =
        ["--extract", extract.to_str().unwrap(), "--snapshots", "snapshots", "--secrets", "secrets.toml"];
    let build = [&["snapshot", "build"], &paths[..], &["--as-of", AS_OF, "--max-rejected", "0.05", "--json"]]
        .concat();
    let report: Value = serde_json::from_str(&estehqaq(folder, &build)).unwrap();
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(data("expected_summary.json")).unwrap()).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&report[name], value, "{name}");
    }
    key.trim_end().to_owned()
}

fn codes(notices: &Value) -> BTreeSet<&str> {
    notices
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| notice["code"].as_str().or(notice.as_str()).unwrap())
        .collect()
}

#[track_caller]
fn check_general(reply: &Reply, expected: &Value, request: &Value) {
    let answer = reply.json();
    assert_eq!((reply.status, &answer["status"]), (201, &expected["status"]), "{request}");
    assert_eq!(codes(&answer["notices"]), codes(&expected["notices"]), "{request}");
    assert_eq!(answer.as_object().unwrap().len(), 11, "{request}");
}

#[track_caller]
fn check_personal(reply: &Reply, expected: &Value, request: &Value) {
    if expected == "mobile_mismatch" {
        assert_eq!(reply.problem(403, "mobile_mismatch"), "", "{request}");
        return;
    }
    let answer = reply.json();
    assert_eq!((reply.status, &answer["status"]), (201, &expected["status"]), "{request}");
    assert_eq!(codes(&answer["notices"]), codes(&expected["notices"]), "{request}");
    assert_eq!(answer["reason"]["code"], expected["reason"], "{request}");
    assert_eq!(answer["end_date"], expected["end_date"], "{request}");
    assert_eq!(answer["open_ended"], expected["open_ended"], "{request}");
    assert_eq!(answer["end_date_jalali"].is_null(), expected["end_date"].is_null(), "{request}");
}

fn without(request: &Value, field: &str) -> Value {
    let mut request = request.clone();
    request.as_object_mut().unwrap().remove(field);
    request
}

/// One line of the extract's inquiries, on both endpoints, and looked up again.
fn check_line(client: &Client, key: &str, line: &Value) {
    let (request, expected) = (&line["request"], &line["expected"]);
    let general = client.ask(key, &without(request, "mobile"));
    check_general(&general, &expected["general"], request);
    check_personal(&client.ask_personally(&without(request, "care")), &expected["personal"], request);
    let found = client.look_up(key, general.json()["tracking_code"].as_str().unwrap());
    assert!(found.text.starts_with(general.text.trim_end_matches('}')), "{request}");
    let kept = engine::clean_cell(request["person_id"].as_str().unwrap()).into_owned();
    assert!(found.json()["person_id"].as_str().unwrap().ends_with(&kept), "{request}");
}

#[test]
fn every_inquiry_of_the_extract_is_answered_and_no_id_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let key = prepare(folder.path());
    let serving = Serving::start(folder.path());
    let client = serving.ready();
    let lines = inquiries();
    thread::scope(|scope| {
        for share in lines.chunks(lines.len().div_ceil(4)) {
            let client = Client::new(client.address());
            let key = &key;
            scope.spawn(move || share.iter().for_each(|line| check_line(&client, key, line)));
        }
    });
    misuse(&client, &key);
    serving.signal("TERM");
    let began = Instant::now();
    let (code, log) = serving.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_no_ids(&log);
    assert!(!log.contains(key.rsplit_once('.').unwrap().1), "the log holds a key");
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["message"], "stopped");
}

/// IDs where they do not belong: none of it may be logged.
fn misuse(client: &Client, key: &str) {
    client.get("/v1/inquiries/5742616694", &[]).problem(401, "unauthorized");
    client.get("/5742616694?person_id=5742616694", &[]).problem(404, "not_found");
    client.look_up(key, "5742616694").problem(404, "not_found");
    client.ask(key, &json!({"5742616694": "5742616694"})).problem(400, "unknown_field");
    client.ask(key, &json!({"person_id": 5_742_616_694_u64})).problem(422, "bad_type");
    client.ask("5742616694.x", &json!({})).problem(401, "unauthorized");
    for request in [
        "GET /5742616694 5742616694\r\n\r\n",
        "5742616694 / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5742616694x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: 5742616694\r\n\r\n",
        "POST /v1/personal-inquiries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n5742616694zz\r\n",
    ] {
        raw(client.address(), request.as_bytes());
    }
}

#[test]
fn sigint_also_drains_and_a_new_start_finds_the_old_answers() {
    let folder = tempfile::tempdir().unwrap();
    let key = prepare(folder.path());
    let serving = Serving::start(folder.path());
    let answer = serving.ready().ask(&key, &json!({"person_id": "5742616694"}));
    assert_eq!(answer.status, 201);
    serving.signal("INT");
    assert_eq!(serving.ended().0, Some(0));
    let again = Serving::start(folder.path());
    let client = again.ready();
    let code = answer.json()["tracking_code"].as_str().unwrap().to_owned();
    let found = client.look_up(&key, &code);
    assert!(found.text.starts_with(answer.text.trim_end_matches('}')), "{found:?}");
    again.signal("HUP");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(client.get("/readyz", &[]).status, 200, "SIGHUP looks for a generation, and ends nothing");
    again.signal("TERM");
    assert_eq!(again.ended().0, Some(0));
}

#[test]
fn a_killed_service_knows_its_keys_again() {
    let folder = tempfile::tempdir().unwrap();
    let key = prepare(folder.path());
    let serving = Serving::start(folder.path());
    let client = serving.ready();
    let ask = |client: &Client, n: u32| {
        let asked = || client.ask_as(&key, &format!("key-{n}"), &json!({"person_id": "5742616694"}));
        // While the ledger is being read, keys are put off.
        wait_until("the keys are known", || asked().status != 503);
        asked()
    };
    let firsts: Vec<_> = (0..20).map(|n| ask(&client, n)).collect();
    assert!(firsts.iter().all(|first| first.status == 200), "asked twice each: {firsts:?}");
    serving.signal("KILL");
    assert_eq!(serving.ended().0, None);
    let again = Serving::start(folder.path());
    let client = again.ready();
    for (n, first) in (0..).zip(&firsts) {
        let reply = ask(&client, n);
        assert_eq!((reply.status, &reply.text), (200, &first.text));
        assert_eq!(reply.header("idempotent-replay"), "true");
    }
}

/// More clients connect than the process may open files. The ledger opens a segment after each 50 inquiries all the
/// same, and the clients that waited are served once others leave.
#[test]
fn connections_leave_descriptors_for_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let key = prepare(folder.path());
    let serving = Serving::start_with_descriptors(folder.path(), 120);
    let address = serving.ready().address();
    let body = json!({"person_id": "5742616694"}).to_string();
    let inquiry = format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut first = TcpStream::connect(address).unwrap();
    let idle: Vec<TcpStream> = (0..140).map(|_| TcpStream::connect(address).unwrap()).collect();
    for _ in 0..500 {
        assert_eq!(raw_status(&exchange(&mut first, &inquiry)), 201);
    }
    drop(idle);
    let mut late = TcpStream::connect(address).unwrap();
    assert_eq!(raw_status(&exchange(&mut late, &inquiry)), 201);
    serving.signal("TERM");
    let (code, log) = serving.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("fewer connections than set"), "{log}");
    let segments = std::fs::read_dir(folder.path().join("ledger")).unwrap();
    let segments =
        segments.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "led"));
    assert!(segments.count() > 5);
}

#[test]
fn a_limit_of_descriptors_that_leaves_no_connections_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let (code, log) = Serving::start_with_descriptors(folder.path(), 70).ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("this process may open 70 files") && log.contains("ulimit -n"), "{log}");
}

/// Somebody cuts a file of the serving generation in place. A mapped page behind its end cannot be read, and the service
/// ends; the log must say why.
#[test]
fn a_mapped_file_that_is_cut_ends_the_service_with_a_line_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let key = prepare(folder.path());
    let program = Command::new(env!("CARGO_BIN_EXE_estehqaq"));
    let serving = Serving::run(folder.path(), program, &["--memory-mode", "mapped"]);
    let client = serving.ready();
    let snapshots = folder.path().join("snapshots");
    let current = std::fs::read_to_string(snapshots.join("CURRENT")).unwrap();
    for name in ["index.bin", "records.bin"] {
        let path = snapshots.join(current.trim()).join(name);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    }
    let body = json!({"person_id": "5742616694"}).to_string();
    let request = format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(raw(client.address(), request.as_bytes()), "", "no answer can come of it");
    let (code, log) = serving.ended();
    assert!(code.is_none() && log.contains("cannot be read any more"), "{code:?}: {log}");
}
