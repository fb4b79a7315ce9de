//! The admin endpoints, on a listener of their own: what serves, what is on disk, activate, rollback. For keys with
//! the scope `ops` only. Whatever they change is changed on disk first, as the commands do, and then taken up by this
//! server like any other change of `CURRENT`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use snapshots::{GateLimits, GenerationName, Listed, PublishOptions, Store, StoreError};

use super::{Problem, State, auth, body, get_or_head, only};
use crate::admin_request::{read_activate, read_rollback};
use crate::metrics::Endpoint;
use crate::providers::{Caller, Scope};
use crate::swap::{RollbackReadiness, Status};
use crate::texts::Code;
use crate::watch::{Look, Waker};

/// How long an answer waits for the generation to serve. Opening goes on all the same.
const WAIT_FOR_SERVING: Duration = Duration::from_secs(20);
const LOOK_WHETHER_SERVING: Duration = Duration::from_millis(10);

/// What the endpoints work with.
pub(crate) struct Admin {
    pub(crate) snapshots_dir: PathBuf,
    pub(crate) waker: Waker,
    pub(crate) gate_limits: GateLimits,
}

/// Adds the endpoints to an application of their own.
pub(crate) fn configure(config: &mut web::ServiceConfig, state: Data<State>, admin: Data<Admin>) {
    config
        .app_data(state)
        .app_data(admin)
        .service(only("/v1/generations", "GET, HEAD", get_or_head().to(list)))
        .service(only("/v1/generations/current", "GET, HEAD", get_or_head().to(current)))
        .service(only("/v1/generations/activate", "POST", web::post().to(activate)))
        .service(only("/v1/generations/rollback", "POST", web::post().to(rollback)))
        .default_service(web::to(super::unknown_path));
}

async fn current(request: HttpRequest, state: Data<State>, admin: Data<Admin>) -> HttpResponse {
    let result = operator(&request, &state).map_err(Problem::from);
    let result = result.map(|_| json(StatusCode::OK, &Current::of(&state, &admin)));
    state.finish(&request, Endpoint::Admin, result)
}

async fn list(request: HttpRequest, state: Data<State>, admin: Data<Admin>) -> HttpResponse {
    let result = try_list(&request, &state, &admin).await;
    state.finish(&request, Endpoint::Admin, result)
}

async fn activate(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
    admin: Data<Admin>,
) -> HttpResponse {
    let result = try_activate(&request, payload, &state, &admin).await;
    state.finish(&request, Endpoint::Admin, result)
}

async fn rollback(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
    admin: Data<Admin>,
) -> HttpResponse {
    let result = try_rollback(&request, payload, &state, &admin).await;
    state.finish(&request, Endpoint::Admin, result)
}

fn operator(request: &HttpRequest, state: &State) -> Result<Caller, Code> {
    auth::with_scope(request, state, Scope::Ops)
}

async fn try_list(request: &HttpRequest, state: &State, admin: &Admin) -> Result<HttpResponse, Problem> {
    let caller = operator(request, state)?;
    let listed = admin.on_disk(&caller, |store| store.list()).await?;
    let serving = state.served.name();
    let at_once = ready_for_rollback(&state.served.status());
    let generations = listed.into_iter().map(|listed| {
        let (serving, kept) = (serving == Some(listed.generation), at_once == Some(listed.generation));
        ListedHere { listed, serving, in_memory: serving || kept }
    });
    Ok(json(StatusCode::OK, &Generations { generations: generations.collect() }))
}

async fn try_activate(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    admin: &Admin,
) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await;
    let caller = operator(request, state)?;
    let asked = read_activate(&body?)?;
    let name = asked.generation;
    let limits = admin.gate_limits.clone();
    let options = PublishOptions { limits, accept: asked.accept, signing_key: None };
    let published = admin.on_disk(&caller, move |store| store.publish(&name, &options)).await?;
    admin.taken_up(state, name, published.before).await
}

async fn try_rollback(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    admin: &Admin,
) -> Result<HttpResponse, Problem> {
    let body = body::read_json(request, payload, state.body_timeout).await;
    let caller = operator(request, state)?;
    let asked = read_rollback(&body?)?;
    let rolled_back = admin.on_disk(&caller, move |store| store.rollback(asked.to, asked.why)).await?;
    admin.taken_up(state, rolled_back.to, Some(rolled_back.generation)).await
}

impl Admin {
    /// Works on the store, on a thread that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let (dir, by) = (self.snapshots_dir.clone(), format!("admin:{}", caller.id.as_str()));
        let done = web::block(move || work(&Store::new(&dir, by))).await;
        done.map_err(|error| Problem::from(Code::Unavailable).because(error.to_string()))?.map_err(in_words)
    }

    /// Waits until this server serves what is current now, or says why it does not.
    async fn taken_up(
        &self,
        state: &State,
        generation: GenerationName,
        before: Option<GenerationName>,
    ) -> Result<HttpResponse, Problem> {
        let looks = state.served.status().looks;
        self.waker.look(Look::Asked);
        let began = Instant::now();
        loop {
            let serving = state.served.name() == Some(generation);
            if serving || began.elapsed() > WAIT_FOR_SERVING {
                let status = if serving { StatusCode::OK } else { StatusCode::ACCEPTED };
                return Ok(json(status, &TakenUp { generation, before, serving }));
            }
            // A look that was under way may have seen what was current before; the one after it did not.
            let status = state.served.status();
            let refused = status.refused.filter(|refused| refused.generation == Some(generation));
            if let Some(refused) = refused.filter(|_| status.looks > looks + 1 && status.opening.is_none()) {
                return Err(Problem::from(Code::GenerationRefused).because(refused.refusal.message));
            }
            tokio::time::sleep(LOOK_WHETHER_SERVING).await;
        }
    }
}

/// Operators see what the disk and the gates said.
fn in_words(error: StoreError) -> Problem {
    let code = match &error {
        StoreError::Unknown { .. } => Code::UnknownGeneration,
        StoreError::Io { .. } | StoreError::BuilderLocked { .. } | StoreError::Locked { .. } => {
            Code::Unavailable
        }
        _ => Code::GenerationRefused,
    };
    Problem::from(code).because(error.to_string())
}

fn ready_for_rollback(status: &Status) -> Option<GenerationName> {
    status.rollback.generation.filter(|_| status.rollback.readiness == RollbackReadiness::Ready)
}

fn json(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store"))).json(value)
}

#[derive(Serialize)]
struct TakenUp {
    generation: GenerationName,
    /// What was current before.
    before: Option<GenerationName>,
    /// Whether this server answers from it already.
    serving: bool,
}

#[derive(Serialize)]
struct Generations {
    generations: Vec<ListedHere>,
}

#[derive(Serialize)]
struct ListedHere {
    #[serde(flatten)]
    listed: Listed,
    serving: bool,
    in_memory: bool,
}

/// How things stand, for operators: with messages and paths.
#[derive(Serialize)]
struct Current {
    /// What `CURRENT` names, if it names anything.
    current: Option<GenerationName>,
    serving: Option<Serving>,
    opening: Option<GenerationName>,
    refused: Option<Refused>,
    rollback: Rollback,
    next_publication: Option<&'static str>,
    memory_left_bytes: Option<u64>,
    retiring: usize,
}

#[derive(Serialize)]
struct Serving {
    generation: GenerationName,
    as_of: String,
    as_of_age_s: Option<f64>,
    people: u64,
    incomplete: u64,
    entitlements: u64,
    bytes: u64,
    memory_mode: &'static str,
    resident_share: Option<f64>,
}

#[derive(Serialize)]
struct Refused {
    generation: Option<GenerationName>,
    cause: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Rollback {
    generation: Option<GenerationName>,
    at_once: bool,
    state: &'static str,
}

impl Current {
    fn of(state: &State, admin: &Admin) -> Current {
        let status = state.served.status();
        let refused = status.refused.map(|refused| Refused {
            generation: refused.generation,
            cause: refused.refusal.cause.code(),
            message: refused.refusal.message,
        });
        Current {
            current: snapshots::read_current(&admin.snapshots_dir).ok(),
            serving: Serving::of(state, status.resident_share),
            opening: status.opening,
            refused,
            rollback: Rollback {
                generation: status.rollback.generation,
                at_once: status.rollback.readiness == RollbackReadiness::Ready,
                state: status.rollback.readiness.code(),
            },
            next_publication: status.next.map(|next| next.code()),
            memory_left_bytes: status.memory_left_bytes,
            retiring: status.retiring,
        }
    }
}

impl Serving {
    fn of(state: &State, resident_share: Option<f64>) -> Option<Serving> {
        let serving = state.served.load();
        let generation = serving.as_ref()?;
        let name = generation.name;
        let age_s = state.clock.now().map(|now| now.seconds_since_start_of(name.as_of()));
        Some(Serving {
            generation: name,
            as_of: name.as_of().iso().to_string(),
            as_of_age_s: age_s,
            people: generation.content.people,
            incomplete: generation.content.incomplete,
            entitlements: generation.content.entitlements,
            bytes: generation.snapshot.len_bytes(),
            memory_mode: generation.snapshot.memory_mode().code(),
            resident_share,
        })
    }
}
