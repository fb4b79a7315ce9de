//! The HTTP face: which path leads where, and what all handlers share. A handler reads as a list of checks,
//! each of which may end it with a [`Problem`].

mod admin;
mod auth;
mod baseline;
mod body;
mod desk;
mod health;
mod inquiries;
mod keyed;
mod lookup;
mod problem;
mod state;

pub(crate) use admin::{Admin, configure as configure_admin};
pub use baseline::baseline;
pub(crate) use problem::Problem;
pub(crate) use state::State;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Resource, guard, web};
use ledger::Language;

use crate::metrics::Endpoint;
use crate::texts::Code;

/// Adds the service's routes, and problem documents for every other path, to an application.
pub(crate) fn configure(config: &mut web::ServiceConfig, state: web::Data<State>) {
    config
        .app_data(state)
        .service(only("/v1/inquiries", "POST", web::post().to(inquiries::general)))
        .service(only("/v1/personal-inquiries", "POST", web::post().to(inquiries::personal)))
        .service(only("/v1/inquiries/{tracking_code}", "GET, HEAD", get_or_head().to(lookup::lookup)))
        .service(only("/v1/desk/search", "POST", web::post().to(desk::search)))
        .service(only("/livez", "GET, HEAD", get_or_head().to(health::livez)))
        .service(only("/readyz", "GET, HEAD", get_or_head().to(health::readyz)))
        .service(only("/metrics", "GET, HEAD", get_or_head().to(health::metrics)))
        .default_service(web::to(unknown_path));
}

/// A path that knows these methods, the last of which the route serves.
fn only(path: &str, allow: &'static str, route: actix_web::Route) -> Resource {
    let refuse = move |request: HttpRequest, state: web::Data<State>| async move {
        state.finish(&request, Endpoint::Other, Err(Problem::method_not_allowed(allow)))
    };
    web::resource(path).route(route).default_service(web::to(refuse))
}

fn get_or_head() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn unknown_path(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    state.finish(&request, Endpoint::Other, Err(Code::NotFound.into()))
}

/// Says that the answer is the first one's again.
const IDEMPOTENT_REPLAY: (&str, HeaderValue) = ("Idempotent-Replay", HeaderValue::from_static("true"));

/// Marks an answer as JSON in this language that nobody may store.
fn json_headers(response: &mut HttpResponseBuilder, language: Language, content_type: &'static str) {
    response
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)))
        .insert_header((CONTENT_LANGUAGE, HeaderValue::from_static(language.code())))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
}
