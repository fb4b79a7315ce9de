//! Who is asking: the Bearer key of the `Authorization` header.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

use super::State;
use crate::providers::{Caller, Scope};
use crate::texts::Code;

/// The provider that sends a valid key with a scope for inquiries. A key for operations only may not ask.
pub(crate) fn inquirer(request: &HttpRequest, state: &State) -> Result<Caller, Code> {
    let caller = caller(request, state)?;
    if caller.scopes.may_inquire() { Ok(caller) } else { Err(Code::MissingScope) }
}

/// Who sends a valid key with this scope; others do not imply it.
pub(crate) fn with_scope(request: &HttpRequest, state: &State, scope: Scope) -> Result<Caller, Code> {
    let caller = caller(request, state)?;
    if caller.scopes.contains(scope) { Ok(caller) } else { Err(Code::MissingScope) }
}

fn caller(request: &HttpRequest, state: &State) -> Result<Caller, Code> {
    let key = bearer_key(request).ok_or(Code::Unauthorized)?;
    state.providers.authenticate(key).ok_or(Code::Unauthorized)
}

/// The scheme is case-insensitive (RFC 9110 section 11.1), the key is not.
fn bearer_key(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
