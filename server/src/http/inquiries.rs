//! `POST /v1/inquiries` and `POST /v1/personal-inquiries`: check, find, decide, write to the ledger, answer.

use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use engine::{Care, Decision, Person, PersonId, Status, Terms, decide};
use ledger::{Asker, Channel, Entry, Given, Language, Outcome, ProviderId, Question, RULES_VERSION};
use snapshots::Generation;

use super::keyed::{Answered, KeyedInquiry, key_of};
use super::{IDEMPOTENT_REPLAY, Problem, State, auth, body, json_headers};
use crate::answer::{Answer, View};
use crate::clock::Moment;
use crate::inquiry::{GeneralInquiry, PersonalInquiry, read_general, read_personal};
use crate::language::negotiate;
use crate::metrics::Endpoint;
use crate::texts::Code;

/// A provider asks.
pub(crate) async fn general(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    let result = ask_general(&request, payload, &state).await;
    state.finish(&request, Endpoint::Inquiries, result)
}

/// A person asks.
pub(crate) async fn personal(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    let result = ask_personal(&request, payload, &state).await;
    state.finish(&request, Endpoint::PersonalInquiries, result)
}

async fn ask_general(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await;
    let caller = auth::inquirer(request, state)?;
    let body = body?;
    let now = state.now()?;
    let checked = read_general(&body, |day| caller.may_ask_day(day, now.day()));
    let mut keyed = None;
    // The first answer stands, also where the day that it was about may not be asked for any more.
    if let Some(key) = key_of(request, &checked)?
        && let Ok(inquiry) = read_general(&body, |_| true)
    {
        let GeneralInquiry { person, care, service_day } = inquiry;
        let question = Question { person, care, service_day };
        let inquiry = KeyedInquiry { asker: Asker::Provider(caller.id), key, question };
        if let Some(answered) = inquiry.first(state, now).await? {
            return respond(state, &answered, View::Provider);
        }
        keyed = Some(inquiry);
    }
    let inquiry = checked?;
    if !caller.may_ask_care(inquiry.care) {
        return Err(Code::CareNotAllowed.into());
    }
    let asked = Asked {
        channel: Channel::General,
        provider: caller.id,
        person: inquiry.person,
        care: inquiry.care,
        service_day: inquiry.service_day.unwrap_or(now.day()),
        language: negotiate(request.headers()),
        now,
    };
    let entry = asked.decide(state, |_, _| true)?;
    let answered = commit(state, keyed, entry, now).await?;
    respond(state, &answered, View::Provider)
}

async fn ask_personal(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await?;
    let checked = read_personal(&body);
    let key = key_of(request, &checked)?;
    let inquiry = checked?;
    let now = state.now()?;
    let mut keyed = None;
    if let Some(key) = key {
        let PersonalInquiry { person, mobile, service_day } = &inquiry;
        // Under another number the same key is another one: whoever guesses a key learns nothing.
        let asker = Asker::Holder { person: *person, mobile_digest: mobile.digest() };
        let question = Question { person: *person, care: Care::Outpatient, service_day: *service_day };
        let inquiry = KeyedInquiry { asker, key, question };
        if let Some(answered) = inquiry.first(state, now).await? {
            return respond(state, &answered, View::Person);
        }
        keyed = Some(inquiry);
    }
    let asked = Asked {
        channel: Channel::Personal,
        provider: ProviderId::NONE,
        person: inquiry.person,
        care: Care::Outpatient,
        service_day: inquiry.service_day.unwrap_or(now.day()),
        language: negotiate(request.headers()),
        now,
    };
    // Whoever is asked for, known or not, the same is computed and written: neither the answer nor the time
    // it takes tells a stranger whether there is such a person.
    let entry = asked.decide(state, |generation, person| {
        person.carries(generation.mobile_key.fingerprint(inquiry.person, &inquiry.mobile))
    })?;
    let answered = commit(state, keyed, entry, now).await?;
    respond(state, &answered, View::Person)
}

/// Writes the entry, under the request's key if it came with one.
async fn commit(
    state: &Data<State>,
    keyed: Option<KeyedInquiry>,
    entry: Entry,
    now: Moment,
) -> Result<Answered, Problem> {
    match keyed {
        Some(keyed) => keyed.commit(state, entry, now).await,
        None => state.commit(entry.clone()).await.map(|tracking_code| Answered::now(entry, tracking_code)),
    }
}

/// A checked inquiry at its moment.
struct Asked {
    channel: Channel,
    provider: ProviderId,
    person: PersonId,
    care: Care,
    service_day: engine::Day,
    language: Language,
    now: Moment,
}

impl Asked {
    /// Finds and decides, all from one generation; `may_know` says whether the inquirer may have the result.
    fn decide(
        &self,
        state: &State,
        may_know: impl FnOnce(&Generation, Person<'_>) -> bool,
    ) -> Result<Entry, Problem> {
        let serving = state.served.load();
        let generation = serving.as_ref().ok_or_else(|| state.down())?;
        // Another one may serve since the moment was taken: today must be true beside the one that answers.
        state.today_beside(generation).map_err(|_| state.down())?;
        let person = generation.snapshot.find(self.person);
        let decision = decide(person, self.service_day, self.care);
        let outcome = match (may_know(generation, person), decision.status()) {
            (false, _) => Outcome::MobileMismatch,
            (true, Status::Covered) => Outcome::Covered,
            (true, Status::NotCovered) => Outcome::NotCovered,
        };
        let terms = match person {
            Person::Entitled(records) => decision.decided_by.and_then(|place| records.get(place)?.terms()),
            Person::Unknown | Person::Incomplete => None,
        };
        Ok(self.entry(&decision, terms, outcome, generation))
    }

    fn entry(
        &self,
        decision: &Decision,
        decided_by: Option<Terms>,
        outcome: Outcome,
        generation: &Generation,
    ) -> Entry {
        Entry {
            time_ms: self.now.unix_ms(),
            channel: self.channel,
            provider: self.provider,
            person: self.person.into(),
            care: self.care,
            service_day: self.service_day,
            language: self.language,
            outcome,
            reason: decision.reason,
            notices: decision.notices,
            end: decision.end,
            open_ended: decision.open_ended,
            generation: generation.name.digest(),
            as_of: generation.name.as_of(),
            decided_by,
            rules_version: RULES_VERSION,
            idempotency: None,
        }
    }
}

/// What the ledger says, in the view of whoever asked. Of a mismatch nobody gets the code.
fn respond(state: &State, answered: &Answered, view: View) -> Result<HttpResponse, Problem> {
    let Answered { given: Given { entry, tracking_code }, is_replay } = answered;
    if entry.outcome == Outcome::MobileMismatch {
        return Err(Problem::from(Code::MobileMismatch).replayed(*is_replay));
    }
    let answered_at = state.clock.at(entry.time_ms).ok_or_else(|| state.down())?;
    let mut response = if *is_replay { HttpResponse::Ok() } else { HttpResponse::Created() };
    json_headers(&mut response, entry.language, "application/json");
    let location = format!("/v1/inquiries/{tracking_code}");
    if let Ok(location) = HeaderValue::try_from(location) {
        response.insert_header((LOCATION, location));
    }
    if *is_replay {
        response.insert_header(IDEMPOTENT_REPLAY);
    }
    Ok(response.body(Answer { entry, tracking_code: Some(*tracking_code), answered_at, view }.to_json()))
}
