//! What the benches share: seeded populations at named scales, kept under the target folder so that a second
//! run measures at once.

use std::fs;
use std::path::{Path, PathBuf};

use engine::{Care, Day, IdKind, MobileKey, Notices, PersonId, Reason};
use ledger::{Channel, Entry, Language, LedgerKeys, Month, Outcome, ProviderId, RULES_VERSION};
use snapshots::{BuildOptions, Generation, build, open_current};
use synth::{SynthOptions, TargetsOptions, synthesize};

/// Another seed makes other people; results are comparable under one seed only.
pub const SEED: u64 = 1405;
const TARGETS: u64 = 10_000;

/// A named number of people.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// As it stands in results.
    pub name: &'static str,
    /// People.
    pub people: u64,
}

/// The scales of all benches.
pub const SCALES: [Scale; 2] =
    [Scale { name: "1M", people: 1_000_000 }, Scale { name: "10M", people: 10_000_000 }];

/// A population on disk: its extract, its targets and its snapshots folder.
pub struct Population {
    dir: PathBuf,
}

impl Population {
    /// Makes the population of that scale, or finds it where an earlier run left it.
    ///
    /// # Panics
    /// When the disk refuses: there is nothing to measure then.
    pub fn of(scale: Scale) -> Population {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-data");
        let dir = target.join(format!("{}-{SEED}-{}", scale.people, env!("CARGO_PKG_VERSION")));
        let population = Population { dir };
        if open_current(&population.snapshots(), &[mobile_key()]).is_err() {
            population.make(scale.people);
        }
        population
    }

    /// The extract.
    pub fn extract(&self) -> PathBuf {
        self.dir.join("extract.csv")
    }

    /// Inquiries with their expected answers.
    pub fn targets(&self) -> PathBuf {
        self.dir.join("targets.ndjson")
    }

    /// The snapshots folder; one generation is current.
    pub fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// The current generation.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn open(&self) -> Generation {
        open_current(&self.snapshots(), &[mobile_key()]).expect("the population was just made or checked")
    }

    /// The nine-digit numbers of all people with a national ID, ascending.
    ///
    /// # Panics
    /// When the extract cannot be read.
    pub fn national_ids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.extract()).expect("the extract is there");
        let mut ids: Vec<u32> = text.lines().skip(1).filter_map(national_id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn make(&self, people: u64) {
        fs::create_dir_all(&self.dir).expect("the target folder can be written");
        let targets = TargetsOptions { path: self.targets(), count: TARGETS };
        let (out, as_of) = (self.extract(), as_of().iso().to_string().parse().expect("a day"));
        let options = SynthOptions { people, seed: SEED, as_of, out, targets: Some(targets) };
        synthesize(&options, &|_| {}).expect("the target folder can be written");
        build_into(&self.extract(), &self.snapshots());
    }
}

/// Entry number so and so of a ledger to be measured; no two neighbours are about the same person.
///
/// # Panics
/// Never: all it is made of is valid.
pub fn entry(number: u64) -> Entry {
    let person = PersonId::from_u64(IdKind::National, 499_370_000 + number % 600_000 + 1);
    Entry {
        time_ms: 1_795_305_600_000 + number / 10,
        channel: Channel::General,
        provider: ProviderId::parse("bench").expect("a provider ID"),
        person: person.expect("nine digits").into(),
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

/// The keys of ledgers to be measured.
///
/// # Panics
/// Never: the month is one.
pub fn ledger_keys() -> LedgerKeys {
    let month = Month::parse("2026-11").expect("a month");
    LedgerKeys::new(1, &[1; 32], 1, &[2; 32]).with_month(month, &[3; 32])
}

/// Builds an extract of a population into a snapshots folder.
///
/// # Panics
/// When it is refused.
pub fn build_into(extract: &Path, snapshots: &Path) {
    build_as_of(extract, snapshots, as_of());
}

/// The same as of another day; the generation's name.
///
/// # Panics
/// When it is refused.
pub fn build_as_of(extract: &Path, snapshots: &Path, as_of: Day) -> String {
    let mobile_key = &mobile_key();
    let mut options = BuildOptions::new(extract, snapshots, mobile_key, as_of);
    // One population as of several days: cover ends for more of them with each.
    options.accept = Some("a bench".to_owned());
    build(&options).expect("a synthetic extract has no rejects").generation
}

/// The day for which the populations are made.
///
/// # Panics
/// Never: the date is valid.
pub fn as_of() -> Day {
    Day::from_gregorian(2026, 11, 22).expect("a day in range")
}

/// The key of the populations' fingerprints.
pub fn mobile_key() -> MobileKey {
    MobileKey::new(1, [1; 32])
}

/// The first two columns of a synthetic row are ID kind and ID.
fn national_id(row: &str) -> Option<u32> {
    let id = row.strip_prefix("N,")?.split(',').next()?;
    let id = PersonId::parse(IdKind::National, id).ok()?;
    u32::try_from(id.to_u64()).ok()
}

/// Numbers without pattern, the same in each run: SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[(self.next_u64() % among.len() as u64) as usize]
    }
}
