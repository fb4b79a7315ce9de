//! `ledger ship` that is cut short: at every request to a bucket, answered or not, at every state of a folder that a power
//! cut may leave, and by SIGKILL at any moment. The next run goes on, and what arrives is what was sent.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::ledger::{Ledger, LedgerKeys, LedgerReader, Month, Options, RealDisk};

use super::{Folder, Ran, program, words};
use crate::rotating::{Random, rounds};
use crate::s3::{Cut, S3};
use crate::site::some_entry;

const AT: &str = "--ledger ledger --secrets secrets.toml";
/// More than goes in one part.
const LONG_SEGMENT_BYTES: u64 = 9 << 20;

fn keys() -> LedgerKeys {
    LedgerKeys::new(1, &[0x11; 32], 1, &[0x22; 32]).with_month(Month::parse("2026-10").unwrap(), &[0x33; 32])
}

/// A folder with a ledger that has a segment of so many entries for each number.
fn ledger_of(segments: &[u64]) -> Folder {
    let folder = Folder::with_secrets();
    let key =
        |kind: &str, id: u32, digit: &str| format!("[[{kind}]]\nid = {id}\nkey = \"{}\"\n", digit.repeat(64));
    let text = key("tracking", 1, "1") + &key("ledger", 1, "2") + &key("month", 202_610, "3");
    folder.write("secrets.toml", &text);
    let disk = RealDisk::create(folder.path("ledger")).unwrap();
    for &entries in segments {
        let options = Options {
            segment_len_min_bytes: 4096 + (entries + 3) * 144,
            segment_len_max_bytes: 0,
            ahead: false,
            queue_len_max: 1 << 20,
            ..Options::default()
        };
        let ledger = Ledger::open_or_init(&disk, 1, keys().into(), options).unwrap();
        let pending: Vec<_> = (0..entries).map(|_| ledger.append(some_entry()).unwrap()).collect();
        pending.into_iter().for_each(|pending| assert!(pending.wait().is_ok()));
        ledger.close().unwrap();
    }
    folder
}

/// The bytes of the sealed segments, by the names of their files.
fn segments(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let reader = LedgerReader::open(&RealDisk::new(folder.path("ledger")), keys().into()).unwrap();
    let bytes = reader.segments().iter().map(|info| {
        let mut bytes = Vec::new();
        reader.bytes(info).unwrap().read_to_end(&mut bytes).unwrap();
        (info.file_name(), bytes)
    });
    bytes.collect()
}

/// Holds what is in a place against what was sent: every segment with its receipt, and no note of an upload.
#[track_caller]
fn check_arrived(there: &BTreeMap<String, Vec<u8>>, sent: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in sent {
        assert!(there.get(name) == Some(bytes), "{what}: {name}");
        let receipt: serde_json::Value = serde_json::from_slice(&there[&format!("{name}.json")]).unwrap();
        assert_eq!(receipt["file_digest"], blake3::hash(bytes).to_hex().as_str(), "{what}: {name}");
    }
    let notes: Vec<_> = there.keys().filter(|name| name.ends_with(".parts")).collect();
    assert!(notes.is_empty(), "{what}: {notes:?}");
}

fn in_bucket(s3: &S3) -> BTreeMap<String, Vec<u8>> {
    s3.with(|contents| {
        let named = contents
            .objects
            .iter()
            .map(|(key, bytes)| (key.trim_start_matches("l/").to_owned(), bytes.clone()));
        named.collect()
    })
}

fn ship_to(folder: &Folder, s3: &S3, flags: &str) -> Ran {
    let variables = s3.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    folder.run_with(&words(&format!("ledger ship {AT} --to s3://b/l {flags}")), &variables)
}

/// Cuts the line at each request in turn, and lets the next run go on; how many requests there were.
fn cut_at_every_request(folder: &Folder) -> usize {
    let sent = segments(folder);
    for after in 0.. {
        for is_done in [false, true] {
            let s3 = S3::start();
            s3.with(|contents| contents.cut = Some(Cut { after, is_done }));
            let ran = ship_to(folder, &s3, "");
            if ran.code == Some(0) {
                return after;
            }
            let what = format!("cut after {after} requests, the next done: {is_done}");
            ran.refused(1, &["s3://b/l"]);
            s3.with(|contents| contents.cut = None);
            ship_to(folder, &s3, "").ok();
            check_arrived(&in_bucket(&s3), &sent, &what);
            ship_to(folder, &s3, "--check").ok();
        }
    }
    unreachable!("it came to its end")
}

#[test]
fn a_line_to_a_bucket_that_is_cut_at_every_request() {
    let folder = ledger_of(&[3, 2]);
    let requests = cut_at_every_request(&folder);
    // The list, and for each segment the copy, its reading back and the receipt.
    assert_eq!(requests, 7);
}

#[test]
fn a_segment_in_parts_and_the_line_cut_at_every_request() {
    let folder = ledger_of(&[LONG_SEGMENT_BYTES / 144]);
    let requests = cut_at_every_request(&folder);
    // The list; the note looked for, begun, noted; two parts, each noted; put together, its note removed; read back in two
    // parts; the receipt.
    assert_eq!(requests, 13);
    // What arrived is not sent again.
    let s3 = S3::start();
    s3.with(|contents| contents.cut = Some(Cut { after: 6, is_done: false }));
    ship_to(&folder, &s3, "")
        .refused(1, &["run it again once the store is in reach: it goes on where it was"]);
    assert_eq!(s3.with(|contents| contents.parts_taken), 1);
    s3.with(|contents| contents.cut = None);
    ship_to(&folder, &s3, "").ok();
    assert_eq!(s3.with(|contents| contents.parts_taken), 2, "the first part was sent once");
    check_arrived(&in_bucket(&s3), &segments(&folder), "in parts");
    // An upload that the store has forgotten is begun anew, by the run after the one that meets it.
    let s3 = S3::start();
    s3.with(|contents| contents.cut = Some(Cut { after: 6, is_done: false }));
    ship_to(&folder, &s3, "").refused(1, &[]);
    s3.with(|contents| {
        contents.cut = None;
        contents.forget_uploads();
    });
    ship_to(&folder, &s3, "").refused(1, &["cannot write s3://b/l/segment-00000001.led"]);
    ship_to(&folder, &s3, "").ok();
    check_arrived(&in_bucket(&s3), &segments(&folder), "begun anew");
}

fn in_folder(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder.path("vault")).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

fn make_vault(folder: &Folder, files: &BTreeMap<String, Vec<u8>>) {
    let _ = fs::remove_dir_all(folder.path("vault"));
    fs::create_dir(folder.path("vault")).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path("vault").join(name), bytes).unwrap());
}

/// A folder gets each file under another name, synced, and then renamed. Each state in between, with the file that is under
/// way at any length, or under its own name and too short, should a disk not keep its promise.
#[test]
fn every_state_of_a_folder_that_a_power_cut_may_leave() {
    let folder = ledger_of(&[3, 2, 4]);
    let sent = segments(&folder);
    let ship = || folder.run(&format!("ledger ship {AT} --to vault"));
    ship().ok();
    let whole = in_folder(&folder);
    let in_order: Vec<String> = sent.keys().flat_map(|name| [name.clone(), format!("{name}.json")]).collect();
    assert_eq!(whole.keys().cloned().collect::<Vec<_>>(), in_order);
    for arrived in 0..=in_order.len() {
        let there = || -> BTreeMap<String, Vec<u8>> {
            in_order[..arrived].iter().map(|name| (name.clone(), whole[name].clone())).collect()
        };
        let mut states = vec![("nothing more".to_owned(), there())];
        if let Some(next) = in_order.get(arrived) {
            let bytes = &whole[next];
            for len in [0, 1, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
                for name in [format!("{next}#1"), next.clone()] {
                    let mut state = there();
                    state.insert(name.clone(), bytes[..len].to_vec());
                    states.push((format!("{len} bytes of {name}"), state));
                }
            }
        }
        for (what, state) in states {
            let what = format!("{arrived} files and {what}");
            make_vault(&folder, &state);
            ship().ok();
            check_arrived(&in_folder(&folder), &sent, &what);
            folder.run(&format!("ledger ship {AT} --to vault --check")).ok();
        }
    }
}

/// A run ended before the receipt, and the copy is not what was sent: in its seal, which the seal's own digest does not cover.
#[test]
fn a_copy_without_a_receipt_is_compared_to_its_last_byte() {
    let folder = ledger_of(&[3]);
    let (name, bytes) = segments(&folder).pop_first().unwrap();
    for at in [0, bytes.len() / 2, bytes.len() - 144, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        make_vault(&folder, &BTreeMap::from([(name.clone(), changed)]));
        let ran = folder.run(&format!("ledger ship {AT} --to vault"));
        ran.refused(1, &["is of another ledger or another state of this one"]);
        assert_eq!(in_folder(&folder).len(), 1, "byte {at}: it has no receipt");
    }
}

/// `ESTEHQAQ_TEST_SHIP_KILLS` sets how often.
#[test]
fn killed_at_any_moment_it_goes_on() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let folder = ledger_of(&[3, LONG_SEGMENT_BYTES / 144, 2]);
    let (sent, mut random, mut killed) = (segments(&folder), Random(seed.into()), 0);
    for _ in 0..rounds("ESTEHQAQ_TEST_SHIP_KILLS", 20) {
        let mut command = program();
        command.current_dir(folder.root()).args(words(&format!("ledger ship {AT} --to vault")));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(random.number() % 150_000));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            let _ = fs::remove_dir_all(folder.path("vault")); // It was done: from the beginning.
        } else {
            killed += 1;
        }
    }
    folder.run(&format!("ledger ship {AT} --to vault")).ok();
    check_arrived(&in_folder(&folder), &sent, "after all kills");
    folder.run(&format!("ledger ship {AT} --to vault --check")).ok();
    let restored =
        folder.run("ledger restore --ledger restored --secrets secrets.toml --from vault --number 2").ok();
    assert!(restored.starts_with("restored is ledger 2, with 3 segments of "), "{restored}");
    println!("{killed} kills");
}
