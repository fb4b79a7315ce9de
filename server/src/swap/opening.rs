//! Opening a generation on a thread of its own, off the request path and of low priority: read, verify, warm, check,
//! test. Tells how long each took.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use engine::{MemoryMode, MobileKey, OpenStep};
use snapshots::{Generation, GenerationName, PublicKey};

use super::refusal::{Cause, Refusal, Sight};
use super::self_test;
use crate::clock::Clock;
use crate::watch::{Look, Waker};

/// The lowest there is: beside a busy request thread it gets one part in seventy of a core, beside an idle one all
/// of it.
const NICE_LOWEST: i32 = 19;

/// What opening a generation takes, apart from its name.
pub(crate) struct Source {
    pub(crate) snapshots_dir: PathBuf,
    pub(crate) mobile_keys: Vec<MobileKey>,
    /// Of which one must have signed; none where nothing need be signed.
    pub(crate) public_keys: Vec<PublicKey>,
    pub(crate) memory_mode: MemoryMode,
    pub(crate) clock: Clock,
    /// How old a generation may be for today to be believed beside it.
    pub(crate) as_of_age_days_max: u16,
}

/// A part of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Phase {
    /// `content.json`.
    Read = 0,
    /// Every byte.
    Verify = 1,
    /// Pages of mapped files.
    Warm = 2,
    /// Headers, bounds, records.
    Check = 3,
    /// Known decisions.
    SelfTest = 4,
    /// From which moment new requests get the new generation.
    Swap = 5,
}

impl Phase {
    pub(crate) const ALL: [(Phase, &'static str); 6] = [
        (Phase::Read, "read"),
        (Phase::Verify, "verify"),
        (Phase::Warm, "warm"),
        (Phase::Check, "check"),
        (Phase::SelfTest, "self_test"),
        (Phase::Swap, "swap"),
    ];
}

/// How long each phase took; none where there was none.
pub(crate) type PhaseTimes = [Option<Duration>; Phase::ALL.len()];

/// A generation that may serve.
pub(crate) struct Opened {
    pub(crate) generation: Arc<Generation>,
    pub(crate) times: PhaseTimes,
}

/// An opening under way.
pub(crate) struct Opening {
    pub(crate) name: GenerationName,
    /// What was there when it began.
    pub(crate) sight: Sight,
    result: Receiver<Result<Opened, Refusal>>,
}

impl Opening {
    /// Begins; `waker` is told at the end. With `urgent` it takes what processor it can get: nothing serves yet.
    pub(crate) fn start(
        source: &Arc<Source>,
        name: GenerationName,
        urgent: bool,
        waker: &Waker,
    ) -> io::Result<Opening> {
        let sight = Sight::of(&source.snapshots_dir, Some(&name));
        let (send, result) = channel();
        let (source, waker) = (source.clone(), waker.clone());
        let run = move || {
            let told_at_the_end = TellAtEnd(waker);
            if !urgent {
                give_way();
            }
            let _ = send.send(open(&source, &name)); // Nobody waits any more: the service stops.
            drop(send);
            drop(told_at_the_end);
        };
        thread::Builder::new().name("verify".to_owned()).spawn(run)?;
        Ok(Opening { name, sight, result })
    }

    /// What came of it, once it is done.
    pub(crate) fn result(&self) -> Option<Result<Opened, Refusal>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Refusal {
                cause: Cause::Defect,
                message: format!(
                    "opening generation {} panicked; this is a defect of the program, report it",
                    self.name
                ),
            })),
        }
    }
}

/// Also when the thread panics.
struct TellAtEnd(Waker);

impl Drop for TellAtEnd {
    fn drop(&mut self) {
        self.0.look(Look::Told);
    }
}

/// Lowers the priority of this thread alone: to Linux, "this process" here means the calling thread.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE_LOWEST) {
        tracing::warn!(%error, "the verifying thread keeps its priority");
    }
}

fn open(source: &Source, name: &GenerationName) -> Result<Opened, Refusal> {
    let mut watch = Stopwatch::start(Phase::Read);
    let on_step = &mut |step| {
        watch.enter(match step {
            OpenStep::Verify => Phase::Verify,
            OpenStep::Warm => Phase::Warm,
            OpenStep::Check => Phase::Check,
        });
    };
    let dir = &source.snapshots_dir;
    let (keys, public_keys) = (&source.mobile_keys, &source.public_keys);
    let generation =
        snapshots::open_generation_in(dir, name, keys, public_keys, source.memory_mode, on_step)?;
    watch.enter(Phase::SelfTest);
    self_test::run(&generation)?;
    Ok(Opened { generation: Arc::new(generation), times: watch.stop() })
}

/// Adds up the time of each phase.
struct Stopwatch {
    phase: Phase,
    since: Instant,
    times: PhaseTimes,
}

impl Stopwatch {
    fn start(phase: Phase) -> Stopwatch {
        Stopwatch { phase, since: Instant::now(), times: PhaseTimes::default() }
    }

    fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        *self.times[self.phase as usize].get_or_insert_default() += now - self.since;
        (self.phase, self.since) = (phase, now);
    }

    fn stop(mut self) -> PhaseTimes {
        self.enter(self.phase);
        self.times
    }
}
