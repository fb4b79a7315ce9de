//! Deciding what was found, and a whole inquiry without HTTP and ledger: parse the ID, find, decide.

#![allow(missing_docs, reason = "criterion's macros make items without docs")]

use std::fs;
use std::hint::black_box;

use benches::{Population, Random, SCALES, as_of};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::{Care, IdKind, Mobile, Person, PersonId, decide};
use serde_json::Value;

const INQUIRIES: usize = 1024;

struct Inquiry {
    kind: IdKind,
    id: String,
    mobile: String,
    care: Care,
}

/// The targets of a population, in an order without pattern.
fn inquiries(population: &Population) -> Vec<Inquiry> {
    let text = fs::read_to_string(population.targets()).expect("the targets are there");
    let mut inquiries: Vec<_> = text.lines().map(inquiry).collect();
    let mut random = Random(11);
    inquiries.sort_by_cached_key(|_| random.next_u64());
    inquiries
}

fn inquiry(line: &str) -> Inquiry {
    let target: Value = serde_json::from_str(line).expect("a target is JSON");
    let text = |member: &str| target["request"][member].as_str().unwrap_or_default().to_owned();
    Inquiry {
        kind: IdKind::from_code(&text("id_kind")).expect("a target has an ID kind"),
        id: text("person_id"),
        mobile: text("mobile"),
        care: Care::from_code(&text("care")).expect("a target has a kind of care"),
    }
}

fn decisions(criterion: &mut Criterion) {
    for scale in SCALES {
        let population = Population::of(scale);
        let generation = population.open();
        let snapshot = &generation.snapshot;
        let inquiries = inquiries(&population);
        let found: Vec<(Person<'_>, Care)> = inquiries
            .iter()
            .filter_map(|inquiry| Some((PersonId::parse(inquiry.kind, &inquiry.id).ok()?, inquiry.care)))
            .map(|(person, care)| (snapshot.find(person), care))
            .collect();
        let mut group = criterion.benchmark_group(format!("inquiry/{}", scale.name));
        group.throughput(Throughput::Elements(INQUIRIES as u64));
        group.bench_function("decide", |bencher| {
            let mut rounds = found.chunks_exact(INQUIRIES).cycle();
            bencher.iter(|| {
                for (person, care) in rounds.next().expect("there are several rounds") {
                    black_box(decide(*person, as_of(), *care));
                }
            });
        });
        group.bench_function("general", |bencher| {
            let mut rounds = inquiries.chunks_exact(INQUIRIES).cycle();
            bencher.iter(|| {
                for Inquiry { kind, id, care, .. } in rounds.next().expect("there are several rounds") {
                    let person = PersonId::parse(*kind, id).expect("targets have valid IDs");
                    black_box(decide(snapshot.find(person), as_of(), *care));
                }
            });
        });
        group.bench_function("personal", |bencher| {
            let mut rounds = inquiries.chunks_exact(INQUIRIES).cycle();
            bencher.iter(|| {
                for Inquiry { kind, id, mobile, .. } in rounds.next().expect("there are several rounds") {
                    let person = PersonId::parse(*kind, id).expect("targets have valid IDs");
                    let found = snapshot.find(person);
                    if let Ok(Some(mobile)) = Mobile::parse(mobile) {
                        black_box(found.carries(generation.mobile_key.fingerprint(person, &mobile)));
                    }
                    black_box(decide(found, as_of(), Care::Outpatient));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
