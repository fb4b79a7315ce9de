//! Opening a generation, with every byte verified, and building one from its extract, per row.

#![allow(missing_docs, reason = "criterion's macros make items without docs")]

use std::fs;
use std::time::{Duration, Instant};

use benches::{Population, SCALES, build_into, mobile_key};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use snapshots::open_current;

fn snapshot(criterion: &mut Criterion) {
    for scale in SCALES {
        let population = Population::of(scale);
        let content = population.open().content;
        let bytes: u64 = content.files.values().map(|file| file.length).sum();
        let mut group = criterion.benchmark_group(format!("snapshot/{}", scale.name));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function("open", |bencher| {
            bencher.iter(|| open_current(&population.snapshots(), &[mobile_key()]).map(drop));
        });
        group.throughput(Throughput::Elements(content.rows));
        group.bench_function("build", |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| time_build(&population)).sum());
        });
        group.finish();
    }
}

/// Builds into a new folder beside the population, so that it is on the same disk; clearing up does not count.
fn time_build(population: &Population) -> Duration {
    let folder = tempfile::tempdir_in(population.snapshots().parent().expect("it lies in a folder"));
    let folder = folder.expect("the target folder can be written");
    let start = Instant::now();
    build_into(&population.extract(), folder.path());
    let elapsed = start.elapsed();
    let generations = fs::read_dir(folder.path()).expect("it was just written").filter_map(Result::ok);
    for generation in generations {
        // A published folder is read-only; it has to be opened before it can be removed.
        let _ = fs::set_permissions(generation.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700));
    }
    elapsed
}

criterion_group!(benches, snapshot);
criterion_main!(benches);
