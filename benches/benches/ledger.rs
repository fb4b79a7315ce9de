//! Appending to the ledger on a real disk: one at a time, and in bursts that share their sync; and what a
//! tracking code and the parts of an entry cost.

#![allow(missing_docs, reason = "criterion's macros make items without docs")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use benches::{entry, ledger_keys};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ledger::{Ledger, LedgerReader, Options, Pending, RealDisk};

const BURSTS: [u64; 3] = [1, 64, 1024];

/// Beside the other bench data, so that it is not on a memory file system.
fn folder() -> tempfile::TempDir {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    tempfile::tempdir_in(target).expect("the target folder can be written")
}

fn append(criterion: &mut Criterion) {
    let folder = folder();
    let disk = RealDisk::create(folder.path()).expect("the folder can be written");
    // Without the pause between syncs, which an entry that comes alone would be measured by.
    let options = Options { sync_interval_max: Duration::ZERO, ..Options::default() };
    let ledger = Ledger::open_or_init(&disk, 1, Arc::new(ledger_keys()), options).expect("an empty folder");
    let mut group = criterion.benchmark_group("ledger/append");
    for burst in BURSTS {
        group.throughput(Throughput::Elements(burst));
        group.bench_function(BenchmarkId::from_parameter(burst), |bencher| {
            bencher.iter(|| {
                let appended: Vec<Pending> =
                    (0..burst).map(|_| ledger.append(entry(1)).expect("the queue has room")).collect();
                appended.into_iter().for_each(|pending| {
                    pending.wait().expect("the disk works");
                });
            });
        });
    }
    group.finish();
    ledger.close().expect("the disk works");
}

fn tracking_code(criterion: &mut Criterion) {
    let folder = folder();
    let disk = RealDisk::create(folder.path()).expect("the folder can be written");
    Ledger::init(&disk, 1, &ledger_keys()).expect("an empty folder");
    let reader = LedgerReader::open(&disk, Arc::new(ledger_keys())).expect("it was just made");
    let mut sequence = 0;
    criterion.bench_function("ledger/tracking-code", |bencher| {
        bencher.iter(|| {
            sequence += 1;
            black_box(reader.tracking_code(1, sequence))
        });
    });
}

/// What the chain and the encryption cost of an entry: the same primitives over as many bytes as ledger/FORMAT.md
/// says. The writer itself cannot be had without them.
fn entry_parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger/entry");
    let (key, before, slot) = ([1; 32], [2; 16], [3; 124]);
    group.bench_function("tag", |bencher| {
        bencher.iter(|| {
            let mut hasher = blake3::Hasher::new_keyed(black_box(&key));
            hasher.update(black_box(&before)).update(black_box(&slot));
            hasher.finalize()
        });
    });
    let cipher = Aes256::new(&Array::from(key));
    group.bench_function("person", |bencher| {
        bencher.iter(|| {
            let mut blocks = black_box([Array::from([4; 16]), Array::from([5; 16])]);
            cipher.encrypt_blocks(&mut blocks);
            blocks
        });
    });
    group.bench_function("digest", |bencher| {
        let slots = vec![6; 144 * 64];
        let mut hasher = blake3::Hasher::new();
        bencher.iter(|| hasher.update(black_box(&slots)).count());
    });
    group.finish();
}

criterion_group!(benches, append, tracking_code, entry_parts);
criterion_main!(benches);
