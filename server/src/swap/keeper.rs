//! The state machine of the swap: which generation serves, which one before it is kept for a rollback, which is being
//! opened, and which was refused. A refused one never replaces one that serves.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{INDEX_FILE, MemoryMode, RECORDS_FILE};
use snapshots::{Generation, GenerationName};

use super::memory::{Held, Memory, Room};
use super::opening::{Opened, Opening, Phase, PhaseTimes, Source};
use super::pages;
use super::refusal::{Cause, Refusal, Sight};
use super::standby::Standby;
use super::status::{NextPublication, Refused, RollbackReadiness, RollbackStatus, Status};
use crate::clock::plausible;
use crate::served::Served;
use crate::watch::{Look, Waker};

/// How often it is looked which pages are in memory: it takes milliseconds for each gigabyte.
const LOOK_AT_PAGES: Duration = Duration::from_secs(10);

/// Follows `CURRENT`.
pub(crate) struct Keeper {
    served: Arc<Served>,
    source: Arc<Source>,
    memory: Memory,
    opening: Option<Opening>,
    refused: Option<Remembered>,
    /// The generation before, verified and in memory, until the next publication.
    previous: Option<Arc<Generation>>,
    standby: Standby,
    /// No longer served; each goes when its last request is done.
    retiring: Vec<Arc<Generation>>,
    pages: Option<PagesSeen>,
    looks: u64,
}

/// A refusal, and what there was to refuse.
struct Remembered {
    refused: Refused,
    sight: Sight,
}

struct PagesSeen {
    generation: GenerationName,
    at: Instant,
    resident_share: Option<f64>,
}

impl Keeper {
    pub(crate) fn new(served: Arc<Served>, source: Source, memory: Memory) -> Keeper {
        Keeper {
            served,
            source: Arc::new(source),
            memory,
            opening: None,
            refused: None,
            previous: None,
            standby: Standby::default(),
            retiring: Vec::new(),
            pages: None,
            looks: 0,
        }
    }

    /// One look at `CURRENT` and at what is under way.
    pub(crate) fn look(&mut self, why: Look, waker: &Waker) {
        self.let_go();
        let current = snapshots::read_current(&self.source.snapshots_dir);
        let wanted = current.as_ref().ok().copied();
        self.take_opened(wanted);
        match current {
            Ok(name) => {
                self.follow(name, why == Look::Asked, waker);
                self.stand_by(name, waker);
            }
            Err(error) => {
                let sight = Sight::of(&self.source.snapshots_dir, None);
                self.refuse(None, error.into(), sight);
            }
        }
        if self.room().is_pressed() {
            self.give_up_previous("memory runs short");
        }
        self.tell();
    }

    fn follow(&mut self, name: GenerationName, asked: bool, waker: &Waker) {
        if self.served.name() == Some(name) {
            self.refused = None;
        } else if let Some(previous) = self.previous.take_if(|previous| previous.name == name) {
            self.swap_in(previous, PhaseTimes::default());
        } else if self.opening.is_none() && (asked || !self.is_refused(name)) {
            self.open(name, waker);
        }
    }

    /// Whether this generation was refused and nothing changed since. Of memory, what has to change is that there
    /// is enough.
    fn is_refused(&self, name: GenerationName) -> bool {
        let Some(Remembered { refused, sight }) = &self.refused else { return false };
        if refused.generation != Some(name) {
            return false;
        }
        let changed = Sight::of(&self.source.snapshots_dir, Some(&name)) != *sight;
        let has_room = || self.room_without_previous().fits(self.len_bytes(name));
        let may_try = changed || refused.refusal.cause == Cause::Memory && has_room();
        !may_try
    }

    fn open(&mut self, name: GenerationName, waker: &Waker) {
        let len_bytes = self.len_bytes(name);
        if !self.room().fits(len_bytes) {
            if !self.room_without_previous().fits(len_bytes) {
                return self.refuse_for_memory(name, len_bytes);
            }
            self.give_up_previous("its memory is needed for the generation to come");
            self.let_go();
        }
        let urgent = self.served.load().is_none();
        match Opening::start(&self.source, name, urgent, waker) {
            Ok(opening) => self.opening = Some(opening),
            Err(error) => {
                let message = format!("cannot start a thread: {error}; look at the limits of this process");
                let sight = Sight::of(&self.source.snapshots_dir, Some(&name));
                self.refuse(Some(name), Refusal { cause: Cause::Unreadable, message }, sight);
            }
        }
    }

    /// Swaps in what was opened, if it is still wanted.
    fn take_opened(&mut self, wanted: Option<GenerationName>) {
        let Some(result) = self.opening.as_ref().and_then(Opening::result) else { return };
        let Some(opening) = self.opening.take() else { return };
        let (name, sight) = (opening.name, opening.sight);
        match result {
            Ok(Opened { generation, times }) if wanted == Some(name) => match self.doubt(name) {
                None => self.swap_in(generation, times),
                Some(refusal) => {
                    self.retiring.push(generation);
                    self.refuse(Some(name), refusal, sight);
                }
            },
            Ok(opened) if self.standby.target == Some(name) => {
                tracing::info!(generation = %name, "in memory for a rollback");
                self.retiring.extend(self.previous.replace(opened.generation));
            }
            Ok(opened) => self.retiring.push(opened.generation),
            Err(refusal) if wanted == Some(name) => self.refuse(Some(name), refusal, sight),
            Err(refusal) => {
                tracing::warn!(generation = %name, error = refusal.message, "cannot be opened for a rollback");
                self.standby.refused = Some((name, sight));
            }
        }
    }

    /// Why a generation is not taken up for its as-of date. Where the clock fits neither, it is the clock that is wrong,
    /// and inquiries wait for that.
    fn doubt(&self, name: GenerationName) -> Option<Refusal> {
        let today = self.source.clock.now()?.day();
        let judge = |name: GenerationName| plausible(today, name.as_of(), self.source.as_of_age_days_max);
        let fault = judge(name).err()?;
        judge(self.served.name()?).ok()?;
        let message = format!(
            "generation {name} cannot be right today ({}), and the one that serves can: {}; build it with its own \
             --as-of, or publish another one",
            today.iso(),
            fault.code()
        );
        Some(Refusal { cause: Cause::AsOf, message })
    }

    fn swap_in(&mut self, generation: Arc<Generation>, mut times: PhaseTimes) {
        let (name, people) = (generation.name, generation.content.people);
        let began = Instant::now();
        let before = self.served.swap(generation);
        times[Phase::Swap as usize] = Some(began.elapsed());
        self.served.counts.count_swap(&times);
        let ms =
            |phase: Phase| times[phase as usize].map(|time| (time.as_secs_f64() * 100_000.0).round() / 100.0);
        tracing::info!(
            generation = %name,
            people,
            verify_ms = ms(Phase::Verify),
            check_ms = ms(Phase::Check),
            swap_ms = ms(Phase::Swap),
            "serving a new generation"
        );
        self.refused = None;
        self.retiring.extend(self.previous.take());
        self.previous = before;
    }

    /// Opens the generation that a rollback would lead to, where it is not in memory yet: after a start, and after a
    /// rollback. Nothing is given up for it but one that no rollback leads to.
    fn stand_by(&mut self, current: GenerationName, waker: &Waker) {
        self.standby.look(&self.source.snapshots_dir, current);
        if self.served.name() != Some(current) || self.opening.is_some() {
            return;
        }
        let kept = self.previous.as_ref().map(|previous| previous.name);
        let Some(target) = self.standby.target.filter(|&target| kept != Some(target)) else { return };
        let room = if kept.is_some() { self.room_without_previous() } else { self.room() };
        self.standby.memory_short = !room.fits(self.len_bytes(target));
        if self.standby.memory_short || self.standby.is_refused(&self.source.snapshots_dir, target) {
            return;
        }
        self.retiring.extend(self.previous.take());
        self.let_go();
        match Opening::start(&self.source, target, false, waker) {
            Ok(opening) => self.opening = Some(opening),
            Err(error) => tracing::warn!(%error, "cannot start a thread to open the generation before"),
        }
    }

    fn refuse_for_memory(&mut self, name: GenerationName, len_bytes: u64) {
        let (needed_bytes, left_bytes) = self.room().needed_and_left(len_bytes);
        let message = format!(
            "generation {name} needs {} MiB with what is kept free beside it, and {} MiB of memory are left; give \
             this server more memory, or raise --generations-memory-mib if it is set",
            needed_bytes.div_ceil(1 << 20),
            left_bytes >> 20
        );
        let sight = Sight::of(&self.source.snapshots_dir, Some(&name));
        self.refuse(Some(name), Refusal { cause: Cause::Memory, message }, sight);
    }

    /// Counts and logs a refusal once for each generation, cause and state of its files.
    fn refuse(&mut self, generation: Option<GenerationName>, refusal: Refusal, sight: Sight) {
        let known = self.refused.as_ref().is_some_and(|known| {
            known.sight == sight && known.refused.generation == generation && known.refused.refusal == refusal
        });
        if !known {
            self.served.counts.count_refusal(refusal.cause);
            let wanted = generation.map(|name| name.to_string());
            let (cause, error) = (refusal.cause.code(), &refusal.message);
            match self.served.name() {
                Some(serving) => {
                    tracing::error!(wanted, cause, error, %serving, "kept the generation before");
                }
                None => tracing::error!(wanted, cause, error, "no generation to serve: answering 503"),
            }
        }
        self.refused = Some(Remembered { refused: Refused { generation, refusal }, sight });
    }

    fn give_up_previous(&mut self, why: &str) {
        let Some(previous) = self.previous.take() else { return };
        tracing::warn!(generation = %previous.name, why, "gave up the generation before: a rollback must open it");
        self.standby.memory_short = true;
        self.retiring.push(previous);
    }

    /// Unmaps what nobody uses any more, here and not where a request ends. The serving one was exchanged before, so
    /// that nobody can take up what is counted once.
    fn let_go(&mut self) {
        self.retiring.retain(|generation| Arc::strong_count(generation) > 1);
    }

    /// The length of what is to be opened; nothing where it cannot be read, which the opening will tell.
    fn len_bytes(&self, name: GenerationName) -> u64 {
        let folder = self.source.snapshots_dir.join(name.to_string());
        let lens = [INDEX_FILE, RECORDS_FILE].map(|file| fs::metadata(folder.join(file)));
        lens.into_iter().flatten().map(|metadata| metadata.len()).sum()
    }

    fn room(&self) -> Room {
        let serving = self.served.load();
        let held = serving.iter().chain(&self.previous).chain(&self.retiring);
        let bytes: u64 = held.map(|generation| generation.snapshot.len_bytes()).sum();
        let mapped_bytes = if self.source.memory_mode == MemoryMode::Mapped { bytes } else { 0 };
        self.memory.room(Held { bytes, mapped_bytes })
    }

    fn room_without_previous(&self) -> Room {
        self.room().with(self.previous_bytes())
    }

    fn previous_bytes(&self) -> u64 {
        self.previous.as_ref().map_or(0, |previous| previous.snapshot.len_bytes())
    }

    fn tell(&mut self) {
        let serving_bytes = self.served.load().as_ref().map(|generation| generation.snapshot.len_bytes());
        let room = self.room();
        let resident_share = self.resident_share();
        self.looks += 1;
        self.served.set_status(Status {
            looks: self.looks,
            opening: self.opening.as_ref().map(|opening| opening.name),
            refused: self.refused.as_ref().map(|remembered| remembered.refused.clone()),
            rollback: self.rollback(),
            next: serving_bytes.map(|bytes| self.next_publication(room, bytes)),
            memory_left_bytes: room.bytes(),
            resident_share,
            retiring: self.retiring.len(),
        });
    }

    fn rollback(&self) -> RollbackStatus {
        let kept = self.previous.as_ref().map(|previous| previous.name);
        let in_memory = [kept, self.served.name()];
        let generation = self.standby.target;
        let refused = self.standby.refused.as_ref().map(|(name, _)| *name);
        let readiness = match generation {
            None => RollbackReadiness::NothingBefore,
            Some(target) if in_memory.contains(&Some(target)) => RollbackReadiness::Ready,
            Some(_) if self.standby.memory_short => RollbackReadiness::MemoryShort,
            Some(target) if refused == Some(target) => RollbackReadiness::Refused,
            Some(_) => RollbackReadiness::NotYet,
        };
        RollbackStatus { generation, readiness }
    }

    fn next_publication(&self, room: Room, len_bytes: u64) -> NextPublication {
        if room.fits(len_bytes) {
            NextPublication::Fits
        } else if room.with(self.previous_bytes()).fits(len_bytes) {
            NextPublication::GivesUpPrevious
        } else {
            NextPublication::DoesNotFit
        }
    }

    fn resident_share(&mut self) -> Option<f64> {
        let serving = self.served.load();
        let generation = serving.as_ref()?;
        let fresh =
            |seen: &PagesSeen| seen.generation == generation.name && seen.at.elapsed() < LOOK_AT_PAGES;
        if !self.pages.as_ref().is_some_and(fresh) {
            let resident_share = pages::resident_share(&generation.snapshot.address_ranges());
            self.pages = Some(PagesSeen { generation: generation.name, at: Instant::now(), resident_share });
        }
        self.pages.as_ref()?.resident_share
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use engine::{Day, MemoryMode, MobileKey};
    use snapshots::BuildOptions;

    use super::{Keeper, Memory, Source};
    use crate::clock::Clock;
    use crate::served::Served;
    use crate::watch::{Look, Watcher};

    fn publish(snapshots: &Path, as_of: &str) {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshots/tests/data/extract/extract.csv");
        let (key, as_of) = (MobileKey::new(1, [7; 32]), Day::parse(as_of).unwrap());
        let mut options = BuildOptions::new(&data, snapshots, &key, as_of);
        options.accept = Some("the extract of the tests is messy on purpose".to_owned());
        snapshots::build(&options).unwrap();
    }

    #[test]
    fn what_a_request_still_uses_is_let_go_when_it_is_done_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let served = Arc::new(Served::default());
        let source = Source {
            snapshots_dir: dir.path().to_owned(),
            mobile_keys: vec![MobileKey::new(1, [7; 32])],
            public_keys: Vec::new(),
            memory_mode: MemoryMode::Mapped,
            clock: Clock::new(),
            as_of_age_days_max: u16::MAX,
        };
        let mut keeper = Keeper::new(served.clone(), source, Memory::new(None));
        let idle = Watcher::start("idle", Duration::from_secs(3600), |_, _| {}).unwrap();
        let mut serve = |as_of: &str| {
            publish(dir.path(), as_of);
            let began = Instant::now();
            while served.name().is_none_or(|name| name.as_of() != Day::parse(as_of).unwrap()) {
                keeper.look(Look::Due, idle.waker());
                assert!(began.elapsed() < Duration::from_secs(20));
            }
            keeper.look(Look::Due, idle.waker());
            served.status().retiring
        };
        assert_eq!(serve("2026-11-22"), 0);
        let request = served.load();
        let generation = Arc::downgrade(request.as_ref().unwrap());
        assert_eq!(serve("2026-11-23"), 0, "it is kept for a rollback");
        assert_eq!(serve("2026-11-24"), 1, "a request has it");
        assert_eq!(request.as_ref().unwrap().content.people, 3140);
        drop(request);
        assert!(generation.upgrade().is_some(), "it is not for the request to let it go");
        assert_eq!(serve("2026-11-25"), 0);
        assert!(generation.upgrade().is_none());
    }
}
