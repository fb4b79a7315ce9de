//! A service under load that is killed with SIGKILL again and again, while its ledger goes from one short segment to the
//! next: the clients' list of answers is the truth, and after each start every code on it leads to its answer.
//!
//! `ESTEHQAQ_TEST_LEDGER_KILLS` sets how often: 200 for the record, fewer otherwise.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::cli::Folder;
use crate::cli::serving::{SERVE, Serving};
use crate::client::Client;
use crate::rotating::{
    AS_OF, PEOPLE, Random, check_general, check_personal, general_body, personal_body, rounds, write_extract,
};

const CLIENTS: u64 = 4;
/// 27 entries a segment.
const SEGMENT_KIB: &str = "--ledger-segment-kib 8";
/// The most answers that a life is killed after.
const ANSWERS_MAX: u64 = 300;
/// Answers of earlier lives that are asked for again after each start; at the end all are.
const OLDER: usize = 100;

/// What a killed service had answered; a client has it, so it must be in the ledger.
struct Killing {
    folder: Folder,
    desk: String,
    generations: [String; 3],
    given: Vec<Value>,
    random: Random,
}

impl Killing {
    fn new(seed: u64) -> Killing {
        let folder = Folder::with_secrets();
        write_extract(&folder.path("people.csv"), 0);
        let build = format!(
            "snapshot build --extract people.csv --snapshots snapshots --secrets secrets.toml --as-of {} --json",
            AS_OF[0]
        );
        let generation = folder.run(&build).json()["generation"].as_str().unwrap().to_owned();
        let generations = [generation, String::new(), String::new()];
        let desk = folder.add_desk();
        Killing { folder, desk, generations, given: Vec::new(), random: Random(seed) }
    }

    fn start(&self) -> (Serving, Client) {
        let mut serving = Serving::start(&self.folder, &format!("{SERVE} {SEGMENT_KIB}"));
        let client = serving.client();
        (serving, client)
    }

    /// Each of these answers is in the ledger, member by member.
    fn check(&self, client: &Client, given: impl Iterator<Item = usize>) {
        for answer in given.map(|at| &self.given[at]) {
            let code = answer["tracking_code"].as_str().unwrap();
            let found = client.look_up(&self.desk, code);
            assert_eq!(found.status, 200, "{code} is lost: {found:?}");
            let found = found.json();
            for (name, value) in answer.as_object().unwrap() {
                assert_eq!(&found[name], value, "{name} of {code}");
            }
        }
    }

    /// One life: what was answered before is there, more is answered, and it is killed in the middle of that.
    fn live(&mut self, last: usize) {
        let (serving, client) = self.start();
        self.check(&client, last..self.given.len());
        let older: Vec<_> = (0..OLDER.min(last)).map(|_| self.random.number() as usize % last).collect();
        self.check(&client, older.into_iter());
        let lifetime = self.random.number() % ANSWERS_MAX;
        let answered = AtomicU64::new(0);
        let seeds: Vec<_> = (0..CLIENTS).map(|_| self.random.number()).collect();
        let answers: Vec<_> = thread::scope(|scope| {
            let asking = |seed| {
                let (client, answered, asking) = (Client::new(client.address()), &answered, &*self);
                scope.spawn(move || asking.ask(&client, answered, seed))
            };
            let asking: Vec<_> = seeds.into_iter().map(asking).collect();
            while answered.load(Ordering::SeqCst) < lifetime
                && asking.iter().all(|asking| !asking.is_finished())
            {
                thread::sleep(Duration::from_micros(100));
            }
            serving.kill();
            asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
        });
        self.given.extend(answers);
    }

    /// Asks until nobody answers any more; the answers.
    fn ask(&self, client: &Client, answered: &AtomicU64, seed: u64) -> Vec<Value> {
        let (mut answers, mut random) = (Vec::new(), Random(seed));
        loop {
            let person = random.number() as usize % PEOPLE;
            let is_personal = random.number() % 4 == 0;
            let reply = if is_personal {
                client.try_ask_personally(&personal_body(person))
            } else {
                client.try_ask(&self.desk, &general_body(person))
            };
            let Some(reply) = reply else { return answers };
            if !is_personal {
                check_general(&reply, person, &self.generations);
            } else if check_personal(&reply, person, &self.generations).is_none() {
                continue; // A mismatch has no code.
            }
            answers.push(reply.json());
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn every_answer_that_left_is_found_after_each_kill() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let (mut killing, mut last) = (Killing::new(seed.into()), 0);
    let kills = rounds("ESTEHQAQ_TEST_LEDGER_KILLS", 5);
    for _ in 0..kills {
        let given = killing.given.len();
        killing.live(last);
        last = given;
    }
    let (serving, client) = killing.start();
    let given = killing.given.len();
    killing.check(&client, 0..given);
    serving.terminate();
    let codes: HashSet<_> = killing.given.iter().map(|answer| answer["tracking_code"].to_string()).collect();
    assert_eq!(codes.len(), given, "no code was given out twice");
    let told = killing.folder.run("ledger verify --ledger ledger --secrets secrets.toml").ok();
    assert!(told.ends_with("closed clean\n"), "{told}");
    let number_before = |text: &str| {
        let before = told.split(text).next().unwrap();
        before.rsplit(['(', ' ', '\n']).next().unwrap().parse::<u64>().unwrap()
    };
    assert!(number_before(" inquiries, ") >= given as u64, "{told}");
    let segments = number_before(" segments, ");
    let lives = kills + 1;
    assert!(given as u64 > 20 * kills && segments > lives + given as u64 / 60, "{given} answers, {told}");
    let torn = fs::read_dir(killing.folder.path("ledger")).unwrap();
    let torn = torn.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("torn-"));
    println!("{kills} kills, {given} answers, {segments} segments, {} torn tails", torn.count());
}
