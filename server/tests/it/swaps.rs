//! Swaps in a loop under load, each answer checked against the generation that it names; and a service that is killed
//! in a loop while generations change.
//!
//! `ESTEHQAQ_TEST_SWAPS` and `ESTEHQAQ_TEST_KILLS` set the lengths: 1,000 and 200 for the record, fewer otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use snapshots::BuildOptions;

use crate::cli::Folder;
use crate::cli::serving::{SERVE, Serving};
use crate::client::Client;
use crate::rotating::{
    AS_OF, PEOPLE, Random, check_general, check_personal, general_body, personal_body, rounds, set_current,
    write_extract,
};
use crate::site::{Setup, Site, mobile_key, wait_until};

const CLIENTS: u64 = 4;

/// Builds the three generations, each by itself, and puts them into one folder; their names.
fn build_three(folder: &Path, snapshots: &Path) -> [String; 3] {
    fs::create_dir_all(snapshots).unwrap();
    [0, 1, 2].map(|generation| {
        let (extract, alone) = (folder.join("three.csv"), folder.join("alone"));
        write_extract(&extract, generation);
        let (key, as_of) = (mobile_key(), engine::Day::parse(AS_OF[generation]).unwrap());
        let options = BuildOptions::new(&extract, &alone, &key, as_of);
        let name = snapshots::build(&options).unwrap().generation;
        fs::rename(alone.join(&name), snapshots.join(&name)).unwrap();
        fs::remove_dir_all(alone).unwrap();
        name
    })
}

#[derive(Default)]
struct Load {
    done: AtomicBool,
    answers: AtomicU64,
    by_generation: [AtomicU64; 3],
}

impl Load {
    /// Asks until it is done, and checks every answer.
    fn ask(&self, site: &Site, names: &[String; 3], seed: u64) {
        let client = Client::new(site.address());
        let mut random = Random(seed);
        while !self.done.load(Ordering::SeqCst) {
            let person = random.number() as usize % PEOPLE;
            let general = client.ask(&site.keys.desk, &general_body(person));
            let personal = client.ask_personally(&personal_body(person));
            let seen =
                [Some(check_general(&general, person, names)), check_personal(&personal, person, names)];
            for generation in seen.into_iter().flatten() {
                self.by_generation[generation].fetch_add(1, Ordering::SeqCst);
            }
            self.answers.fetch_add(2, Ordering::SeqCst);
        }
    }
}

/// Ends the load also when the test fails.
struct DoneAtEnd<'a>(&'a AtomicBool);

impl Drop for DoneAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn each_answer_is_right_by_the_generation_that_it_names_however_often_they_change() {
    let swaps = rounds("ESTEHQAQ_TEST_SWAPS", 40);
    let site = Setup { snapshot: false, ..Setup::usual() }.start();
    let snapshots = site.path("snapshots");
    let names = build_three(&site.path(""), &snapshots);
    set_current(&snapshots, &names[0]);
    site.running().look_now();
    wait_until("the service is ready", || site.running().is_ready());
    let load = Load::default();
    let mut random = Random(1405);
    thread::scope(|scope| {
        let _done = DoneAtEnd(&load.done);
        let asking: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (load, site, names) = (&load, &site, &names);
                scope.spawn(move || load.ask(site, names, seed))
            })
            .collect();
        let mut serving = 0;
        for swap in 0..swaps {
            // The one that is kept comes back at once, the other has to be opened.
            serving = (serving + 1 + random.number() as usize % 2) % 3;
            let answers = load.answers.load(Ordering::SeqCst);
            set_current(&snapshots, &names[serving]);
            site.running().look_now();
            wait_until("it serves", || site.client.get("/readyz", &[]).json()["snapshot"] == names[serving]);
            wait_until("it was asked", || {
                assert!(!asking.iter().any(|asking| asking.is_finished()), "a wrong answer, at swap {swap}");
                load.answers.load(Ordering::SeqCst) >= answers + 4 * CLIENTS
            });
        }
    });
    let metrics = site.client.get("/metrics", &[]).text;
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).parse::<u64>().unwrap()
    };
    assert_eq!(value("estehqaq_swaps_total"), swaps + 1);
    assert_eq!(value("estehqaq_snapshot_refused"), 0);
    assert_eq!(value("estehqaq_requests_total{endpoint=\"inquiries\",class=\"5xx\"}"), 0);
    let opened = value("estehqaq_swap_seconds_count{phase=\"verify\"}");
    assert!(opened > swaps / 4 && opened < swaps * 3 / 4 + 2, "{opened} of {swaps} were opened");
    let seen = load.by_generation.map(AtomicU64::into_inner);
    assert!(seen.iter().all(|&seen| seen > 0), "{seen:?}");
    println!("{swaps} swaps, {opened} opened, {} answers, by generation {seen:?}", load.answers.into_inner());
}

/// The bytes of every file.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| (path.display().to_string(), fs::read(&path).unwrap());
    files.map(read).collect()
}

/// One life: asks and changes generations until it is killed. Gives the codes of the answers, and what was current.
fn live(
    folder: &Folder,
    key: &str,
    names: &[String; 3],
    current: usize,
    random: &mut Random,
) -> (Vec<String>, usize) {
    let mut serving = Serving::start(folder, SERVE);
    let client = serving.client();
    assert_eq!(client.get("/readyz", &[]).json()["snapshot"], names[current], "what is current serves");
    let (snapshots, seed) = (folder.path("snapshots"), random.number());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _done = DoneAtEnd(&done);
        let asking = scope.spawn(|| {
            let (mut codes, mut random) = (Vec::new(), Random(seed));
            while !done.load(Ordering::SeqCst) {
                let person = random.number() as usize % PEOPLE;
                let Some(reply) = client.try_ask(key, &general_body(person)) else { break };
                check_general(&reply, person, names);
                codes.push(reply.json()["tracking_code"].as_str().unwrap().to_owned());
            }
            codes
        });
        let ends = Instant::now() + Duration::from_micros(random.number() % 150_000);
        let mut current = current;
        while Instant::now() < ends {
            current = (current + 1) % 3;
            set_current(&snapshots, &names[current]);
            serving.signal("HUP");
            thread::sleep(Duration::from_millis(random.number() % 20));
        }
        serving.kill();
        (asking.join().unwrap(), current)
    })
}

#[test]
fn a_service_that_is_killed_serves_what_is_current_when_it_comes_back() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let folder = Folder::with_secrets();
    let key = folder.add_desk();
    let names = [0, 1, 2].map(|generation| {
        write_extract(&folder.path("three.csv"), generation);
        let alone = format!("alone-{generation}");
        let build = format!(
            "snapshot build --extract three.csv --snapshots {alone} --secrets secrets.toml --as-of {} --json",
            AS_OF[generation]
        );
        let name = folder.run(&build).json()["generation"].as_str().unwrap().to_owned();
        fs::create_dir_all(folder.path("snapshots")).unwrap();
        fs::rename(folder.path(&alone).join(&name), folder.path("snapshots").join(&name)).unwrap();
        name
    });
    set_current(&folder.path("snapshots"), &names[0]);
    let before = names.each_ref().map(|name| contents(&folder.path("snapshots").join(name)));
    let (mut random, mut current, mut answers) = (Random(seed.into()), 0, 0);
    for _ in 0..rounds("ESTEHQAQ_TEST_KILLS", 6) {
        let codes;
        (codes, current) = live(&folder, &key, &names, current, &mut random);
        answers += codes.len();
        // Each answer that got out is found, by the code that it bore.
        for code in codes.iter().rev().take(3) {
            folder.run(&format!("ledger find --ledger ledger --secrets secrets.toml {code}")).json();
        }
    }
    assert!(answers > 0, "nobody was answered");
    let after = names.each_ref().map(|name| contents(&folder.path("snapshots").join(name)));
    assert!(before == after, "a server changed a generation");
    let mut serving = Serving::start(&folder, SERVE);
    let client = serving.client();
    assert_eq!(client.get("/readyz", &[]).json()["snapshot"], names[current]);
    serving.terminate();
    println!("{answers} answers");
}
