//! `POST /v1/inquiries` and `POST /v1/personal-inquiries`: check, find, decide, write to the ledger, answer.

use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use engine::{Care, Decision, Person, PersonId, Status, Terms, decide};
use ledger::{Channel, Entry, Language, Outcome, ProviderId, RULES_VERSION, TrackingCode};
use snapshots::Generation;

use super::{Problem, State, auth, body, json_headers};
use crate::answer::{Answer, View};
use crate::clock::Moment;
use crate::inquiry::{read_general, read_personal};
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
    state: &State,
) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await;
    let caller = auth::inquirer(request, state)?;
    let body = body?;
    let now = state.clock.now().ok_or_else(|| state.down())?;
    let inquiry = read_general(&body, |day| caller.may_ask_day(day, now.day()))?;
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
    let tracking_code = state.commit(entry.clone()).await?;
    Ok(created(&entry, tracking_code, now, View::Provider))
}

async fn ask_personal(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await?;
    let inquiry = read_personal(&body)?;
    let now = state.clock.now().ok_or_else(|| state.down())?;
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
    let tracking_code = state.commit(entry.clone()).await?;
    if entry.outcome == Outcome::MobileMismatch {
        return Err(Code::MobileMismatch.into());
    }
    Ok(created(&entry, tracking_code, now, View::Person))
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

fn created(entry: &Entry, tracking_code: TrackingCode, answered_at: Moment, view: View) -> HttpResponse {
    let mut response = HttpResponse::Created();
    json_headers(&mut response, entry.language, "application/json");
    let location = format!("/v1/inquiries/{tracking_code}");
    if let Ok(location) = HeaderValue::try_from(location) {
        response.insert_header((LOCATION, location));
    }
    response.body(Answer { entry, tracking_code: Some(tracking_code), answered_at, view }.to_json())
}
