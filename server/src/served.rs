//! The generation that answers are made from, and its change for a newly published one. Requests load it
//! once; opening and verifying happens on a thread of its own. A refused generation never replaces one that
//! serves; with none yet the service says so and keeps looking.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use engine::MobileKey;
use snapshots::{Generation, GenerationName};

/// After how long a refused generation is tried again although nothing changed: what refused it may have been
/// the disk, not the generation.
const RETRY: Duration = Duration::from_secs(60);

/// The serving generation.
pub(crate) struct Served {
    generation: ArcSwapOption<Generation>,
}

impl Served {
    pub(crate) fn new() -> Served {
        Served { generation: ArcSwapOption::empty() }
    }

    /// The generation for one request, if one is in.
    pub(crate) fn load(&self) -> Guard<Option<Arc<Generation>>> {
        self.generation.load()
    }
}

/// Looks at `CURRENT` and swaps in what it names.
pub(crate) struct Watch {
    served: Arc<Served>,
    snapshots_dir: PathBuf,
    keys: Vec<MobileKey>,
    refused: Option<Refused>,
    /// The generation before, kept until the next look: the last request that uses it is done by then, and
    /// unmapping it falls to this thread.
    retired: Option<Arc<Generation>>,
}

struct Refused {
    name: Option<GenerationName>,
    message: String,
    at: Instant,
}

impl Watch {
    pub(crate) fn new(served: Arc<Served>, snapshots_dir: PathBuf, keys: Vec<MobileKey>) -> Watch {
        Watch { served, snapshots_dir, keys, refused: None, retired: None }
    }

    /// One look. `urgent` tries a refused generation again at once.
    pub(crate) fn look(&mut self, urgent: bool) {
        self.retired = None;
        match snapshots::read_current(&self.snapshots_dir) {
            Ok(name) if self.is_serving(&name) => self.refused = None,
            Ok(name) if self.is_waiting(&name) && !urgent => {}
            Ok(name) => self.open(name),
            Err(error) => self.refuse(None, error.to_string()),
        }
    }

    fn is_serving(&self, name: &GenerationName) -> bool {
        self.served.load().as_ref().is_some_and(|generation| generation.name == *name)
    }

    fn is_waiting(&self, name: &GenerationName) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|refused| refused.name.as_ref() == Some(name) && refused.at.elapsed() < RETRY)
    }

    fn open(&mut self, name: GenerationName) {
        let began = Instant::now();
        match snapshots::open_generation(&self.snapshots_dir, &name, &self.keys) {
            Ok(generation) => {
                let people = generation.content.people;
                let opened_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.retired = self.served.generation.swap(Some(Arc::new(generation)));
                self.refused = None;
                tracing::info!(generation = %name, people, opened_ms, "serving a new generation");
            }
            Err(error) => self.refuse(Some(name), error.to_string()),
        }
    }

    /// Logs a refusal once for each generation and message.
    fn refuse(&mut self, name: Option<GenerationName>, message: String) {
        let known =
            self.refused.as_ref().is_some_and(|refused| refused.name == name && refused.message == message);
        if !known {
            let serving = self.served.load().as_ref().map(|generation| generation.name.to_string());
            let wanted = name.as_ref().map(GenerationName::to_string);
            match serving {
                Some(serving) => {
                    tracing::error!(wanted, error = message, serving, "kept the generation before")
                }
                None => tracing::error!(wanted, error = message, "no generation to serve: answering 503"),
            }
        }
        self.refused = Some(Refused { name, message, at: Instant::now() });
    }
}
