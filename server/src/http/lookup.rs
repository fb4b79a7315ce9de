//! `GET /v1/inquiries/{tracking_code}`: the answer again, from the ledger alone. The provider that asked gets
//! what it got; the desk also sees who asked, for whom and why, and each of its reads is itself an entry.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use ledger::{Act, Channel, Deed, Entry, FindError, Found, Outcome, TrackingCode};

use super::{Problem, State, auth, json_headers};
use crate::answer::{Answer, View};
use crate::metrics::Endpoint;
use crate::providers::{Caller, Scope};
use crate::texts::Code;

/// A provider or the desk asks what was answered.
pub(crate) async fn lookup(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let result = look_up(&request, &state).await;
    state.finish(&request, Endpoint::Lookup, result)
}

async fn look_up(request: &HttpRequest, state: &Data<State>) -> Result<HttpResponse, Problem> {
    let caller = auth::inquirer(request, state)?;
    let typed = request.match_info().get("tracking_code").unwrap_or_default();
    let tracking_code = TrackingCode::parse(typed).map_err(|_| Code::NotFound)?;
    let found = find(state, tracking_code).await?;
    let Found { ledger, sequence, entry, .. } = found;
    let view = view_for(&caller, &entry).ok_or(Code::NotFound)?;
    if view == View::Desk {
        let now = state.now()?;
        let deed = Deed::DeskRead { ledger, sequence, revealed: true };
        state.commit(Act { time_ms: now.unix_ms(), actor: caller.id, deed }).await?;
    }
    let answered_at = state.clock.at(entry.time_ms).ok_or_else(|| state.down())?;
    let mut response = HttpResponse::Ok();
    json_headers(&mut response, entry.language, "application/json");
    let tracking_code = Some(tracking_code);
    Ok(response.body(Answer { entry: &entry, tracking_code, answered_at, view }.to_json()))
}

/// Reads the entry on a thread that may wait for the disk.
async fn find(state: &Data<State>, tracking_code: TrackingCode) -> Result<Found, Problem> {
    let reader = state.clone();
    let found = web::block(move || reader.ledger.find(&tracking_code)).await.map_err(|_| state.down())?;
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Code::NotFound.into()),
        Err(FindError::OtherLedger { .. }) => Err(Code::OtherLedger.into()),
        Err(error) => {
            tracing::error!(%error, "a ledger entry cannot be read");
            Err(state.down())
        }
    }
}

/// What this caller may see of the entry, if anything. A mismatch's code was given to nobody; the desk can
/// have it only from the ledger itself.
fn view_for(caller: &Caller, entry: &Entry) -> Option<View> {
    if caller.scopes.contains(Scope::Desk) {
        return Some(View::Desk);
    }
    let asked = entry.channel == Channel::General && entry.provider == caller.id;
    (asked && entry.outcome != Outcome::MobileMismatch).then_some(View::Provider)
}
