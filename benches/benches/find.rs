//! Finding a person: the FST index, hits and misses, beside a hash map and a binary search over the same keys.

#![allow(missing_docs, reason = "criterion's macros make items without docs")]

use std::hint::black_box;

use benches::{Population, Random, SCALES};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::{IdKind, PersonId};
use hashbrown::HashMap;

/// Look-ups per measured round, so that the clock does not count.
const LOOKUPS: usize = 1024;

fn find(criterion: &mut Criterion) {
    for scale in SCALES {
        let population = Population::of(scale);
        let snapshot = population.open().snapshot;
        let ids = population.national_ids();
        let map: HashMap<u32, u32> = ids.iter().copied().zip(0..).collect();
        let mut random = Random(7);
        let hits: Vec<u32> = (0..1 << 20).map(|_| random.pick(&ids)).collect();
        let misses: Vec<u32> = hits.iter().map(|id| id ^ 1).filter(|id| !map.contains_key(id)).collect();
        let mut group = criterion.benchmark_group(format!("find/{}", scale.name));
        group.throughput(Throughput::Elements(LOOKUPS as u64));
        for (what, wanted) in [("hit", &hits), ("miss", &misses)] {
            let mut rounds = wanted.chunks_exact(LOOKUPS).cycle();
            let mut next = || rounds.next().expect("there are more than a round of them");
            let persons = |nine: &u32| PersonId::from_u64(IdKind::National, u64::from(*nine));
            group.bench_function(format!("fst/{what}"), |bencher| {
                bencher.iter(|| {
                    next().iter().filter_map(persons).for_each(|person| {
                        black_box(snapshot.find(person));
                    });
                });
            });
            group.bench_function(format!("hashbrown/{what}"), |bencher| {
                bencher.iter(|| {
                    next().iter().for_each(|nine| {
                        black_box(map.get(nine));
                    })
                });
            });
            group.bench_function(format!("binary-search/{what}"), |bencher| {
                bencher.iter(|| {
                    next().iter().for_each(|nine| {
                        let _ = black_box(ids.binary_search(nine));
                    })
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, find);
criterion_main!(benches);
