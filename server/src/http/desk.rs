//! `POST /v1/desk/search`: the desk finds what was asked and answered about a caller who has no tracking code. Each
//! search is itself an entry, on stable storage before the answer leaves. Nothing of the ID stands anywhere else.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use ledger::{Act, Cursor, Deed, Found, Outcome, SearchError, SearchPage};

use super::{Problem, State, auth, body};
use crate::answer::{Answer, DeskPage, View};
use crate::desk_request::{DeskSearch, read_desk_search};
use crate::metrics::Endpoint;
use crate::providers::Scope;

/// The desk looks a person up.
pub(crate) async fn search(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    let result = find(&request, payload, &state).await;
    state.finish(&request, Endpoint::DeskSearch, result)
}

async fn find(request: &HttpRequest, payload: Payload, state: &Data<State>) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await;
    let caller = auth::with_scope(request, state, Scope::Desk)?;
    let body = body?;
    let now = state.now()?;
    let cursor = |text: &str, person| Cursor::parse(text, person, state.ledger.keys()).ok();
    let asked = read_desk_search(&body, now.day(), cursor)?;
    let page = look(state, asked).await?;
    let response = answer(state, &asked, &page)?;
    let deed = Deed::DeskSearch {
        person: asked.person.into(),
        first_day: asked.first_day,
        last_day: asked.last_day,
        shown: page.found.len() as u64,
        skipped: page.skipped,
    };
    state.commit(Act { time_ms: now.unix_ms(), actor: caller.id, deed }).await?;
    Ok(response)
}

/// Searches on a thread that may wait for the disk, if not too many do already.
async fn look(state: &Data<State>, asked: DeskSearch) -> Result<SearchPage, Problem> {
    let admitted = Arc::clone(&state.desk_searches).try_acquire_owned().map_err(|_| state.busy())?;
    let searching = state.clone();
    let page = web::block(move || {
        // Given back when the search is over, even if the client has gone before.
        let _admitted = admitted;
        searching.ledger.search(&asked.search())
    });
    page.await.map_err(|_| state.down())?.map_err(|error| {
        match &error {
            SearchError::NotIndexed => tracing::warn!(%error, "a search of the desk was refused"),
            SearchError::Read(_) => tracing::error!(%error, "the ledger cannot be searched"),
        }
        state.down()
    })
}

fn answer(state: &State, asked: &DeskSearch, page: &SearchPage) -> Result<HttpResponse, Problem> {
    let inquiries = page.found.iter().map(|found| shown(state, found)).collect::<Result<_, _>>()?;
    let page = DeskPage {
        first_day: asked.first_day,
        last_day: asked.last_day,
        inquiries,
        next_cursor: page.next.as_deref(),
        segments_not_searchable: page.segments_not_searchable,
    };
    // In no one language: each inquiry has that of its own answer.
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(response.body(page.to_json()))
}

fn shown<'a>(state: &State, found: &'a Found) -> Result<Answer<'a>, Problem> {
    let entry = &found.entry;
    // A mismatch's code goes to nobody.
    let has_code = entry.outcome != Outcome::MobileMismatch;
    Ok(Answer {
        entry,
        tracking_code: has_code.then(|| state.ledger.code_given(found)),
        answered_at: state.clock.at(entry.time_ms).ok_or_else(|| state.down())?,
        view: View::Desk,
    })
}
