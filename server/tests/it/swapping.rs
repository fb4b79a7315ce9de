//! The swap itself: what is kept and given up, what is refused and when it is tried again, and that requests never
//! see two generations at once.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use engine::MemoryMode;
use serde_json::{Value, json};
use snapshots::{GenerationName, SigningKey};

use crate::site::{AS_OF, Setup, Site, logged, publish, publish_signed, wait_until};

const SECOND: &str = "2026-11-23";
const THIRD: &str = "2026-11-24";

fn ready(site: &Site) -> Value {
    site.client.get("/readyz", &[]).json()
}

fn serving(site: &Site) -> String {
    ready(site)["snapshot"].as_str().unwrap().to_owned()
}

/// The value of a metric; the name with its labels.
#[track_caller]
fn metric(site: &Site, name: &str) -> f64 {
    let text = site.client.get("/metrics", &[]).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

fn publish_and_wait(site: &Site, as_of: &str) -> String {
    let name = publish(&site.path("snapshots"), as_of);
    site.running().look_now();
    wait_until("the new generation serves", || serving(site) == name);
    name
}

fn set_current(site: &Site, name: &str) {
    let snapshots = site.path("snapshots");
    fs::write(snapshots.join("beside"), format!("{name}\n")).unwrap();
    fs::rename(snapshots.join("beside"), snapshots.join("CURRENT")).unwrap();
}

/// Makes a published file writable, changes it, and leaves it with another modification time.
fn tamper(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    fs::set_permissions(path, PermissionsExt::from_mode(0o640)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn small_memory(bytes: u64) -> Setup {
    let mut setup = Setup::usual();
    setup.settings.generations_memory_bytes = Some(bytes);
    setup
}

#[test]
fn the_generation_before_is_kept_and_a_rollback_opens_nothing() {
    let site = Site::usual();
    let first = serving(&site);
    let second = publish_and_wait(&site, SECOND);
    let expected = json!({"snapshot": first, "at_once": true, "state": "ready"});
    wait_until("the first is kept", || ready(&site)["rollback"] == expected);
    assert_eq!(metric(&site, "estehqaq_rollback_at_once"), 1.0);
    let opened = metric(&site, "estehqaq_swap_seconds_count{phase=\"verify\"}");
    // What is kept does not depend on the disk any more: its files may be gone.
    let folder = site.path("snapshots").join(&first);
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).unwrap();
    fs::rename(folder.join("records.bin"), folder.join("gone")).unwrap();
    let began = Instant::now();
    set_current(&site, &first);
    wait_until("the first serves again", || serving(&site) == first);
    assert!(began.elapsed() < Duration::from_secs(1), "a rollback took {:?}", began.elapsed());
    assert_eq!(metric(&site, "estehqaq_swap_seconds_count{phase=\"verify\"}"), opened);
    assert_eq!(metric(&site, "estehqaq_swap_seconds_count{phase=\"swap\"}"), 3.0);
    assert_ne!(serving(&site), second);
}

#[test]
fn after_a_rollback_the_one_before_is_opened_so_that_the_next_is_at_once_too() {
    let site = Site::usual();
    let first = serving(&site);
    let second = publish_and_wait(&site, SECOND);
    publish_and_wait(&site, THIRD);
    let store = snapshots::Store::new(&site.path("snapshots"), "test");
    let ready_for = |name: &str| {
        let expected = json!({"snapshot": name, "at_once": true, "state": "ready"});
        wait_until("it is in memory", || ready(&site)["rollback"] == expected);
    };
    let opened = || metric(&site, "estehqaq_swap_seconds_count{phase=\"verify\"}");
    for to in [&second, &first] {
        ready_for(to);
        let (before, began) = (opened(), Instant::now());
        assert_eq!(store.rollback(None, None).unwrap().to.to_string(), *to);
        wait_until("the one before serves", || serving(&site) == *to);
        assert!(began.elapsed() < Duration::from_secs(1), "a rollback took {:?}", began.elapsed());
        assert_eq!(opened(), before, "a rollback opened a generation");
    }
    wait_until("nothing is left", || ready(&site)["rollback"]["state"] == "nothing_before");
}

#[test]
fn where_memory_is_short_the_status_says_so_before_anybody_rolls_back() {
    let len_bytes: u64 = generation_bytes(&Site::usual());
    // Room for two and a half: the one before goes when the third comes.
    let site = small_memory(len_bytes * 5 / 2).start();
    let first = serving(&site);
    assert_eq!(ready(&site)["next_publication"], "fits");
    let second = publish_and_wait(&site, SECOND);
    wait_until("it is told", || ready(&site)["next_publication"] == "gives_up_previous");
    let third = publish_and_wait(&site, THIRD);
    assert_eq!(logged(&["gave up the generation before", &first, "is needed for the generation to come"]), 1);
    assert_eq!(ready(&site)["rollback"], json!({"snapshot": second, "at_once": true, "state": "ready"}));
    assert_eq!(third, serving(&site));
}

#[test]
fn what_does_not_fit_is_refused_and_taken_once_it_fits() {
    let len_bytes: u64 = generation_bytes(&Site::usual());
    let site = small_memory(len_bytes * 3 / 2).start();
    let first = serving(&site);
    assert_eq!(ready(&site)["next_publication"], "does_not_fit");
    let second = publish(&site.path("snapshots"), SECOND);
    let refused = json!({"snapshot": second, "cause": "memory"});
    wait_until("it is refused", || ready(&site)["refused"] == refused);
    assert_eq!((serving(&site), metric(&site, "estehqaq_snapshot_refused")), (first, 1.0));
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(metric(&site, "estehqaq_refused_swaps_total{cause=\"memory\"}"), 1.0);
    assert_eq!(logged(&["kept the generation before", &second, "MiB of memory are left"]), 1);
    // A smaller one under the same name cannot be; but its files may come to be counted as nothing.
    let folder = site.path("snapshots").join(&second);
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).unwrap();
    fs::rename(folder.join("records.bin"), folder.join("gone")).unwrap();
    wait_until("it is tried again", || ready(&site)["refused"]["cause"] == "unreadable");
}

fn generation_bytes(site: &Site) -> u64 {
    let folder = site.path("snapshots").join(serving(site));
    ["index.bin", "records.bin"].map(|file| fs::metadata(folder.join(file)).unwrap().len()).iter().sum()
}

#[test]
fn a_refused_generation_is_tried_again_only_when_something_changed() {
    let site = Site::usual();
    let snapshots = site.path("snapshots");
    let first = serving(&site);
    set_current(&site, &first); // The build below must not be seen before it is damaged.
    let second = publish(&site.path("elsewhere"), SECOND);
    fs::rename(site.path("elsewhere").join(&second), snapshots.join(&second)).unwrap();
    let records = snapshots.join(&second).join("records.bin");
    tamper(&records, |bytes| bytes[600] ^= 1);
    set_current(&site, &second);
    let refused = json!({"snapshot": second, "cause": "changed"});
    wait_until("it is refused", || ready(&site)["refused"] == refused);
    let count = || metric(&site, "estehqaq_refused_swaps_total{cause=\"changed\"}");
    thread::sleep(Duration::from_millis(1200));
    assert_eq!((count(), serving(&site)), (1.0, first));
    tamper(&records, |bytes| bytes[600] ^= 2);
    wait_until("it is tried again", || count() == 2.0);
    tamper(&records, |bytes| bytes[600] ^= 3);
    wait_until("what was put right is taken", || serving(&site) == second);
    // The status follows the swap.
    wait_until("the refusal is over", || ready(&site)["refused"].is_null());
    assert_eq!(metric(&site, "estehqaq_snapshot_refused"), 0.0);
}

#[test]
fn each_refusal_has_its_cause() {
    let site = Site::usual();
    let snapshots = site.path("snapshots");
    let second = publish(&site.path("elsewhere"), SECOND);
    let from = site.path("elsewhere").join(&second);
    let check = |name: &str, cause: &str, damage: &dyn Fn(&Path)| {
        let to = snapshots.join(&second);
        let _ = fs::remove_dir_all(&to);
        fs::create_dir(&to).unwrap();
        for file in ["content.json", "index.bin", "records.bin"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        damage(&to);
        set_current(&site, name);
        wait_until(cause, || ready(&site)["refused"]["cause"] == cause);
    };
    check("nothing", "current", &|_| {});
    check("2026-11-23-abcdefabcdef", "unreadable", &|_| {});
    check(&second, "changed", &|folder| tamper(&folder.join("content.json"), |bytes| bytes.push(b' ')));
    check("nothing", "current", &|_| {});
    check(&second, "changed", &|folder| tamper(&folder.join("index.bin"), |bytes| bytes.truncate(999)));
    check("nothing", "current", &|_| {});
    check(&second, "unreadable", &|folder| fs::remove_file(folder.join("index.bin")).unwrap());
    assert_eq!(serving(&site)[..10], *AS_OF);
}

/// How many files below that folder this process has mapped.
fn mapped_files(folder: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(folder.to_str().unwrap())).count()
}

#[test]
fn in_both_memory_modes_generations_come_and_go() {
    for memory_mode in [MemoryMode::Mapped, MemoryMode::Resident] {
        let mut setup = Setup::usual();
        setup.settings.memory_mode = memory_mode;
        let site = setup.start();
        for as_of in [SECOND, THIRD, "2026-11-25"] {
            publish_and_wait(&site, as_of);
            assert_eq!(site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).status, 201);
        }
        wait_until("what is not kept is gone", || metric(&site, "estehqaq_snapshots_retiring") == 0.0);
        wait_until("it is in memory", || metric(&site, "estehqaq_snapshot_resident_share") > 0.99);
        let info = format!("memory=\"{}\"", memory_mode.code());
        assert!(site.client.get("/metrics", &[]).text.contains(&info));
        let warmed = metric(&site, "estehqaq_swap_seconds_count{phase=\"warm\"}");
        assert_eq!(warmed, if memory_mode == MemoryMode::Mapped { 4.0 } else { 0.0 });
        // Two files of what serves and two of what is kept, or none at all.
        let expected = if memory_mode == MemoryMode::Mapped { 4 } else { 0 };
        assert_eq!(mapped_files(&site.path("snapshots")), expected);
    }
}

/// What was verified is what is answered from, even when the file is cut off under the service.
#[test]
fn a_resident_generation_survives_what_becomes_of_its_files() {
    let site = Site::usual();
    let ask =
        || site.client.ask(&site.keys.desk, &json!({"person_id": "5742616694"})).json()["status"].clone();
    let before = ask();
    let folder = site.path("snapshots").join(serving(&site));
    for file in ["index.bin", "records.bin"] {
        fs::set_permissions(folder.join(file), PermissionsExt::from_mode(0o640)).unwrap();
        File::options().write(true).open(folder.join(file)).unwrap().set_len(0).unwrap();
    }
    assert_eq!(ask(), before);
}

#[test]
fn with_a_public_key_only_signed_generations_are_taken() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut setup = Setup { snapshot: false, ..Setup::usual() };
    setup.settings.public_keys = vec![SigningKey::from_bytes(&[4; 32]).public(), key.public()];
    let site = setup.start();
    let unsigned = publish(&site.path("snapshots"), AS_OF);
    let refused = json!({"snapshot": unsigned, "cause": "signature"});
    wait_until("the unsigned one is refused", || ready(&site)["refused"] == refused);
    assert_eq!(ready(&site)["ready"], false);
    let signed = publish_signed(&site.path("snapshots"), SECOND, &key);
    wait_until("the signed one serves", || ready(&site)["snapshot"] == signed);
    let other = publish_signed(&site.path("snapshots"), THIRD, &SigningKey::from_bytes(&[5; 32]));
    let refused = json!({"snapshot": other, "cause": "signature"});
    wait_until("one with another's signature is refused", || ready(&site)["refused"] == refused);
    assert_eq!(serving(&site), signed);
    assert_eq!(metric(&site, "estehqaq_refused_swaps_total{cause=\"signature\"}"), 2.0);
}

/// Bytes that are as they were published, and a program that decides otherwise than its builder: as if one of the
/// two had a fault.
#[test]
fn a_generation_that_fails_its_self_test_is_refused() {
    let site = Site::usual();
    let first = serving(&site);
    let second = publish(&site.path("elsewhere"), SECOND);
    let from = site.path("elsewhere").join(&second);
    let text = fs::read_to_string(from.join("content.json")).unwrap();
    let at = text.find("\"reason\": \"active\"").unwrap();
    let wrong = format!("{}\"reason\": \"ended\"{}", &text[..at], &text[at + 18..]);
    let name = GenerationName::of_content(engine::Day::parse(SECOND).unwrap(), wrong.as_bytes()).to_string();
    let to = site.path("snapshots").join(&name);
    fs::create_dir(&to).unwrap();
    for file in ["index.bin", "records.bin"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    fs::write(to.join("content.json"), wrong).unwrap();
    set_current(&site, &name);
    let refused = json!({"snapshot": name, "cause": "self_test"});
    wait_until("it is refused", || ready(&site)["refused"] == refused);
    assert_eq!(serving(&site), first);
    assert_eq!(logged(&["kept the generation before", &name, "the self-test failed"]), 1);
}
