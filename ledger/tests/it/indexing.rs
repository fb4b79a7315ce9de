//! Index files: made beside the commits, whole or not at all wherever the power goes, made anew when one is missing,
//! damaged or another segment's, and gone with their segments.

use std::time::Duration;

use ledger::sim::{Fault, Random, SimDisk};
use ledger::{Ledger, Options, ProviderId, RealDisk, Search, SearchError};

use crate::days::{SURVIVALS, copy, open_on, reader};
use crate::searching::{index_of, lives_about, naive, of, pages};
use crate::support::{LEDGER, entry, keys, options};

/// A ledger of four segments.
fn some_lives() -> SimDisk {
    lives_about(&[(0, vec![0, 1, 2, 0, 1, 0, 3, 0, 0, 4, 0, 1, 0, 2]), (1, (0..14).map(|n| n % 3).collect())])
}

fn indexes(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.names().into_iter().filter(|name| name.ends_with(".idx"));
    names.map(|name| (name.clone(), disk.contents(&name))).collect()
}

/// Everybody's entries, as a look at each entry finds them.
#[track_caller]
fn check_all(ledger: &Ledger, disk: &SimDisk, what: &str) {
    for who in 0..6 {
        let expected = naive(&reader(disk), &of(who));
        let found = pages(of(who), |search| ledger.search(search)).unwrap().0;
        assert_eq!(found, expected, "{what}: person {who}");
        let read = pages(of(who), |search| reader(disk).search(search)).unwrap().0;
        assert_eq!(read, expected, "{what}: person {who}, by a reader");
    }
}

#[test]
fn each_sealed_segment_gets_one_and_the_same_one_again() {
    let disk = some_lives();
    let ledger = open_on(&disk, 9).unwrap();
    assert_eq!(ledger.stats().segments_not_indexed, 4);
    assert_eq!((ledger.index_segments().unwrap(), ledger.index_segments().unwrap()), (4, 0));
    assert_eq!(ledger.stats().segments_not_indexed, 0);
    let made = indexes(&disk);
    assert_eq!(
        made.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        (1..=4).map(index_of).collect::<Vec<_>>()
    );
    check_all(&ledger, &disk, "indexed");
    drop(ledger);
    let again = some_lives();
    let ledger = open_on(&again, 9).unwrap();
    ledger.index_segments().unwrap();
    assert_eq!(indexes(&again), made, "the same segments, the same bytes");
    drop(ledger);
    // What a start finds in order it leaves alone.
    let ledger = open_on(&disk, 9).unwrap();
    assert_eq!(ledger.index_segments().unwrap(), 1, "the one that the drop left unsealed");
    for number in 1..=4 {
        assert!(indexes(&disk).contains(&made[number - 1]));
    }
}

#[test]
fn power_cut_at_every_step_of_making_indexes() {
    let before = some_lives();
    let mut cuts = 0;
    for step in 0.. {
        let disk = copy(&before);
        let ledger = open_on(&disk, 9).unwrap();
        disk.set_fault(disk.steps() + step, Fault::PowerCut);
        if ledger.index_segments().is_ok() {
            break;
        }
        drop(ledger);
        cuts += 1;
        for survival in SURVIVALS {
            for seed in 0..4 {
                let left = disk.after_power_cut(survival, seed);
                let what = format!("step {step}, {survival:?}, seed {seed}");
                let ledger = open_on(&left, 9).unwrap_or_else(|error| panic!("{what}: {error}"));
                check_all(&ledger, &left, &what);
                ledger.index_segments().unwrap();
                assert_eq!(ledger.stats().segments_not_indexed, 0, "{what}");
                assert!((1..=4).all(|number| left.names().contains(&index_of(number))), "{what}");
                check_all(&ledger, &left, &what);
                let unfinished = left.names().into_iter().find(|name| name.ends_with(".idx.new"));
                assert_eq!(unfinished, None, "{what}");
                assert!(reader(&left).verify().fault.is_none(), "{what}");
            }
        }
    }
    // Created, header, page, synced, renamed, folder synced; four times.
    assert_eq!(cuts, 24);
}

/// A disk that fails costs the index, not the ledger.
#[test]
fn a_failed_step_is_told_and_made_good_later() {
    let before = some_lives();
    for step in 0..24 {
        let disk = copy(&before);
        let ledger = open_on(&disk, 9).unwrap();
        disk.set_fault(disk.steps() + step, Fault::Fails);
        let told = ledger.index_segments().unwrap_err().to_string();
        assert!(told.starts_with("cannot write sim/segment-") && told.contains("look at the disk"), "{told}");
        check_all(&ledger, &disk, &format!("step {step}"));
        assert!(ledger.append(entry(7)).unwrap().wait().is_ok());
        assert!(ledger.index_segments().unwrap() <= 1, "the others were made");
        assert_eq!(ledger.stats().segments_not_indexed, 0);
        check_all(&ledger, &disk, &format!("step {step}, made good"));
    }
}

#[test]
fn a_damaged_or_exchanged_index_costs_time_only_and_is_made_anew() {
    let disk = some_lives();
    let ledger = open_on(&disk, 9).unwrap();
    ledger.index_segments().unwrap();
    let made = indexes(&disk);
    let (name, whole) = made[2].clone();
    let spoil = |what: &str, bytes: Vec<u8>| {
        disk.replace(&name, bytes);
        check_all(&ledger, &disk, what);
        // A search met it: it is made anew.
        assert_eq!(ledger.index_segments().unwrap(), 1, "{what}");
        assert_eq!(indexes(&disk), made, "{what}");
    };
    let seed = 20_261_125;
    let mut random = Random(seed);
    for _ in 0..60 {
        let at = random.below(whole.len());
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.below(8);
        spoil(&format!("byte {at}, seed {seed}"), bytes);
    }
    for len in [0, 1, 4095, 4096, whole.len() - 1] {
        spoil(&format!("cut to {len}"), whole[..len].to_vec());
    }
    spoil("longer", [&whole[..], &[0; 4096]].concat());
    spoil("another segment's", made[1].1.clone());
    // Another segment's pages behind the right header: both are whole.
    spoil("mixed", [&whole[..4096], &made[3].1[4096..]].concat());
    disk.remove(&name);
    check_all(&ledger, &disk, "removed");
    assert_eq!(ledger.index_segments().unwrap(), 1);
    assert_eq!(indexes(&disk), made);
}

/// What a start finds wrong in a header it makes anew without a search.
#[test]
fn a_start_makes_anew_what_is_another_segment_s() {
    let disk = some_lives();
    let ledger = open_on(&disk, 9).unwrap();
    ledger.index_segments().unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let made = indexes(&disk);
    disk.replace(&index_of(1), made[1].1.clone());
    disk.remove(&index_of(4));
    let ledger = open_on(&disk, 9).unwrap();
    assert_eq!(ledger.index_segments().unwrap(), 3, "two, and that of the last life");
    assert_eq!(indexes(&disk)[..4], made[..4]);
}

#[test]
fn too_many_segments_without_an_index_are_not_read_whole_by_a_server() {
    let disk = lives_about(&[(0, vec![0; 99])]);
    let ledger = open_on(&disk, 9).unwrap();
    let search = Search { limit: 100, ..of(0) };
    let error = ledger.search(&search).unwrap_err();
    assert!(matches!(error, SearchError::NotIndexed), "{error}");
    assert!(error.to_string().contains("search again in some minutes"), "{error}");
    // What lies in the last ones is found, and an operator may wait.
    assert_eq!(ledger.search(&of(0)).unwrap().found.len(), 3);
    assert_eq!(reader(&disk).search(&search).unwrap().found.len(), 99);
    ledger.index_segments().unwrap();
    assert_eq!(ledger.search(&search).unwrap().found.len(), 99);
}

#[test]
fn an_index_goes_with_its_segment() {
    let disk = some_lives();
    let ledger = open_on(&disk, 9).unwrap();
    ledger.index_segments().unwrap();
    drop(ledger::Disk::create_new(&disk, "segment-00000002.idx.new").unwrap());
    ledger.prune(Some(2), ProviderId::parse("uid-0").unwrap()).unwrap();
    let left = disk.names().into_iter().filter(|name| name.contains(".idx"));
    assert_eq!(left.collect::<Vec<_>>(), [index_of(3), index_of(4)]);
    assert_eq!(ledger.index_segments().unwrap(), 0);
    check_all(&ledger, &disk, "pruned");
}

/// With a thread of its own an open ledger makes them by itself, and follows the open segment.
#[test]
fn a_ledger_at_work_keeps_its_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path());
    let ahead = Options { ahead: true, ..options() };
    let ledger = Ledger::open_or_init(&disk, LEDGER, keys(), ahead).unwrap();
    for n in 0..30 {
        ledger.append(entry(n)).unwrap().wait().unwrap();
    }
    let sealed = ledger.segments().len();
    assert!(sealed >= 1);
    for _ in 0..1000 {
        if ledger.stats().segments_not_indexed == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!((1..=sealed).all(|number| folder.path().join(index_of(u32::try_from(number).unwrap())).exists()));
    for n in 0..30 {
        let search = Search { person: entry(n).person.person().unwrap(), ..of(0) };
        assert_eq!(ledger.search(&search).unwrap().found[0].entry, entry(n));
    }
    ledger.close().unwrap();
    // Closed, it still answers.
    let search = Search { person: entry(3).person.person().unwrap(), ..of(0) };
    assert_eq!(ledger.search(&search).unwrap().found.len(), 1);
}
