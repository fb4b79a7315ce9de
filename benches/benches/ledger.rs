//! Appending to the ledger on a real disk: one at a time, and in bursts that share their sync; and what a
//! tracking code costs.

#![allow(missing_docs, reason = "criterion's macros make items without docs")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use benches::as_of;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::{Care, IdKind, Notices, PersonId, Reason};
use ledger::{
    Channel, Entry, Language, Ledger, LedgerKeys, LedgerReader, Month, Options, Outcome, Pending, ProviderId,
    RULES_VERSION, RealDisk,
};

const BURSTS: [u64; 3] = [1, 64, 1024];

fn entry() -> Entry {
    Entry {
        time_ms: 1_795_305_600_000,
        channel: Channel::General,
        provider: ProviderId::parse("bench").expect("a provider ID"),
        person: PersonId::parse(IdKind::National, "0499370899").expect("the contract's example").into(),
        care: Care::Outpatient,
        service_day: as_of(),
        language: Language::Persian,
        outcome: Outcome::Covered,
        reason: Reason::Active,
        notices: Notices::default(),
        end: None,
        open_ended: true,
        generation: [1; 6],
        as_of: as_of(),
        decided_by: None,
        rules_version: RULES_VERSION,
        idempotency: None,
    }
}

fn keys() -> Arc<LedgerKeys> {
    Arc::new(
        LedgerKeys::new(1, &[1; 32], 1, &[2; 32])
            .with_month(Month::parse("2026-11").expect("a month"), &[3; 32]),
    )
}

/// Beside the other bench data, so that it is not on a memory file system.
fn folder() -> tempfile::TempDir {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    tempfile::tempdir_in(target).expect("the target folder can be written")
}

fn append(criterion: &mut Criterion) {
    let folder = folder();
    let disk = RealDisk::create(folder.path()).expect("the folder can be written");
    let ledger = Ledger::open_or_init(&disk, 1, keys(), Options::default()).expect("an empty folder");
    let mut group = criterion.benchmark_group("ledger/append");
    for burst in BURSTS {
        group.throughput(Throughput::Elements(burst));
        group.bench_function(BenchmarkId::from_parameter(burst), |bencher| {
            bencher.iter(|| {
                let appended: Vec<Pending> =
                    (0..burst).map(|_| ledger.append(entry()).expect("the queue has room")).collect();
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
    Ledger::init(&disk, 1, &keys()).expect("an empty folder");
    let reader = LedgerReader::open(&disk, keys()).expect("it was just made");
    let mut sequence = 0;
    criterion.bench_function("ledger/tracking-code", |bencher| {
        bencher.iter(|| {
            sequence += 1;
            black_box(reader.tracking_code(1, sequence))
        });
    });
}

criterion_group!(benches, append, tracking_code);
criterion_main!(benches);
