//! Inquiries that come with an idempotency key. The first one's entry is the truth: a repeated request gets its code
//! and its answer, another request under the same key is a conflict, and of twins one writes and all get its answer.
//!
//! The key counts from when its entry is queued, and nothing takes it back: the entry may reach the disk though its
//! client is gone. Whoever comes meanwhile waits for that entry. Only a failed disk leaves a key with an entry that
//! never arrives, and then nothing is answered until a restart, which reads the keys from the ledger anew.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Data};
use ledger::{Asker, Channel, Entry, Given, Idempotency, Keyed, Month, Pending, Question, TrackingCode};

use super::{Problem, State};
use crate::clock::Moment;
use crate::idempotency::{FIELD, IdempotencyKey, Place, SPAN_MS};
use crate::inquiry::{Fault, Refused};
use crate::texts::Code;

/// How often a request looks whether the entry of its twin is on stable storage. Twins are rare: a look costs less
/// than a place among those that the commit thread wakes.
const LOOK_AT_TWIN: Duration = Duration::from_millis(1);

/// An inquiry and its key.
pub(super) struct KeyedInquiry {
    pub(super) asker: Asker,
    pub(super) key: IdempotencyKey,
    pub(super) question: Question,
}

/// An entry on stable storage, for whoever asked.
pub(super) struct Answered {
    pub(super) given: Given,
    /// Whether it is that of an earlier request under the same key.
    pub(super) is_replay: bool,
}

impl Answered {
    /// This request's own entry.
    pub(super) fn now(entry: Entry, tracking_code: TrackingCode) -> Answered {
        Answered { given: Given { entry, tracking_code }, is_replay: false }
    }
}

/// A key that is held.
struct Held {
    key: [u8; 10],
    place: Place,
}

/// What the entry at a key's place tells of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The same request.
    Same,
    /// Another one under the same key.
    Other,
    /// The entry's day is over: the key is free.
    Over,
    /// Somebody else's: two keys have one digest.
    Foreign,
}

impl KeyedInquiry {
    /// The first answer under this key, if there was one within a day.
    pub(super) async fn first(&self, state: &Data<State>, now: Moment) -> Result<Option<Answered>, Problem> {
        match self.held(state, now) {
            Some(held) => self.replay(state, &held, now).await,
            None => Ok(None),
        }
    }

    /// Writes the entry, unless a twin was first, and waits for whichever it is to be on stable storage.
    pub(super) async fn commit(
        &self,
        state: &Data<State>,
        entry: Entry,
        now: Moment,
    ) -> Result<Answered, Problem> {
        let idempotency = Some(self.digests(state, Month::at(entry.time_ms)));
        let entry = Entry { idempotency, ..entry };
        loop {
            match self.claim(state, &entry, now)? {
                Ok(pending) => {
                    let receipt = pending.await.map_err(|error| state.not_written(error))?;
                    return Ok(Answered::now(entry, receipt.tracking_code));
                }
                Err(held) => {
                    if let Some(answered) = self.replay(state, &held, now).await? {
                        return Ok(answered);
                    }
                }
            }
        }
    }

    /// Queues the entry and holds the key, unless the key is held.
    fn claim(&self, state: &State, entry: &Entry, now: Moment) -> Result<Result<Pending, Held>, Problem> {
        let keys = &state.keys;
        let _turn = keys.turn(self.key.as_str());
        if let Some(held) = self.held(state, now) {
            return Ok(Err(held));
        }
        let room = keys.room(self.channel(), now.unix_ms()).map_err(Problem::unavailable)?;
        let pending = state.ledger.append(entry.clone()).map_err(|error| state.not_written(error))?;
        let key = entry.idempotency.map(|Idempotency { key, .. }| key).expect("set by the caller");
        let (ledger, sequence) = (state.ledger.number(), pending.sequence());
        let keyed = Keyed { ledger, sequence, time_ms: entry.time_ms, channel: entry.channel, key };
        keys.hold(room, &keyed);
        Ok(Ok(pending))
    }

    /// Where the entry of this key is, if it is held.
    fn held(&self, state: &State, now: Moment) -> Option<Held> {
        let mut months = state.keys.months(now.unix_ms());
        months.find_map(|month| {
            let Idempotency { key, .. } = self.digests(state, month);
            Some(Held { key, place: state.keys.place(self.channel(), key)? })
        })
    }

    /// The answer of the entry at a place; none when the key is free by now.
    async fn replay(
        &self,
        state: &Data<State>,
        held: &Held,
        now: Moment,
    ) -> Result<Option<Answered>, Problem> {
        let Some(given) = read(state, held.place).await? else {
            tracing::error!("an idempotency key has no entry; run `estehqaq ledger verify`");
            return Err(state.down());
        };
        let digests = self.digests(state, Month::at(given.entry.time_ms));
        let counts = &state.keys.counts;
        match self.verdict(&given.entry, held.key, digests, now.unix_ms()) {
            Verdict::Same => {
                counts.replays.fetch_add(1, Ordering::Relaxed);
                Ok(Some(Answered { given, is_replay: true }))
            }
            Verdict::Other => {
                counts.conflicts.fetch_add(1, Ordering::Relaxed);
                Err(Problem::of_fields(vec![fault(Code::IdempotencyConflict)]))
            }
            Verdict::Over => {
                state.keys.forget(self.channel(), held.key, held.place, given.entry.time_ms);
                Ok(None)
            }
            Verdict::Foreign => {
                tracing::error!("two idempotency keys have one digest; the later one is refused for a day");
                Err(state.down())
            }
        }
    }

    /// Holds the request against an entry, not only against its digests: those are short.
    fn verdict(&self, entry: &Entry, key: [u8; 10], digests: Idempotency, now_ms: u64) -> Verdict {
        if entry.time_ms.saturating_add(SPAN_MS) <= now_ms {
            return Verdict::Over;
        }
        let stood_under = entry.idempotency.filter(|first| first.key == key && first.key == digests.key);
        let same_asker = entry.channel == self.channel()
            && match self.asker {
                Asker::Provider(provider) => entry.provider == provider,
                Asker::Holder { person, .. } => entry.person.person().is_none_or(|asked| asked == person),
            };
        let Some(first) = stood_under.filter(|_| same_asker) else { return Verdict::Foreign };
        let Question { person, care, service_day } = self.question;
        let same = first.request == digests.request
            && entry.person.person().is_none_or(|asked| asked == person)
            && entry.care == care
            && service_day.is_none_or(|day| entry.service_day == day);
        if same { Verdict::Same } else { Verdict::Other }
    }

    fn digests(&self, state: &State, month: Month) -> Idempotency {
        state.ledger.idempotency(month, &self.asker, self.key.as_str(), &self.question)
    }

    fn channel(&self) -> Channel {
        match self.asker {
            Asker::Provider(_) => Channel::General,
            Asker::Holder { .. } => Channel::Personal,
        }
    }
}

/// The key that a request brings, if it brings one; a faulty one is reported with the body's other faults.
pub(super) fn key_of<T>(
    request: &HttpRequest,
    checked: &Result<T, Refused>,
) -> Result<Option<IdempotencyKey>, Problem> {
    IdempotencyKey::of(request.headers()).map_err(|code| match checked {
        Err(Refused::Fields(faults)) if faults.iter().all(|fault| fault.code != Code::UnknownField) => {
            Problem::of_fields(faults.iter().cloned().chain([fault(code)]).collect())
        }
        Err(refused) => refused.clone().into(),
        Ok(_) => Problem::of_fields(vec![fault(code)]),
    })
}

fn fault(code: Code) -> Fault {
    Fault { field: FIELD.into(), code }
}

/// Reads the entry at a place once it is on stable storage, on a thread that may wait for the disk.
async fn read(state: &Data<State>, place: Place) -> Result<Option<Given>, Problem> {
    let (ledger, sequence) = (place.ledger(), place.sequence());
    while ledger == state.ledger.number() && sequence > state.ledger.durable_sequence() {
        // What is durable comes before a failure: it is looked at again.
        if state.ledger.has_failed() && sequence > state.ledger.durable_sequence() {
            return Err(state.down());
        }
        tokio::time::sleep(LOOK_AT_TWIN).await;
    }
    let reader = state.clone();
    let given = web::block(move || reader.ledger.given(ledger, sequence)).await.map_err(|_| state.down())?;
    given.map_err(|error| {
        tracing::error!(%error, "a ledger entry cannot be read");
        state.down()
    })
}
