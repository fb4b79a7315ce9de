//! Errors as RFC 9457 problem documents: a stable code, texts of the catalogue, and never anything that the
//! client sent.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use ledger::Language;
use serde::Serialize;

use super::{IDEMPOTENT_REPLAY, json_headers};
use crate::inquiry::{Fault, Refused};
use crate::texts::Code;

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    faults: Vec<Fault>,
    retry_after_s: Option<u16>,
    allow: Option<&'static str>,
    /// The answer to a repeated request.
    is_replay: bool,
    /// What exactly happened; for operators only, since it names files.
    reason: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    code: &'static str,
    message: &'static str,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        Problem { code, faults: Vec::new(), retry_after_s: None, allow: None, is_replay: false, reason: None }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        match refused {
            Refused::Malformed => Code::MalformedJson.into(),
            Refused::Fields(faults) => Problem::of_fields(faults),
        }
    }
}

impl Problem {
    /// Faulty fields; the first one's code is the problem's.
    pub(crate) fn of_fields(faults: Vec<Fault>) -> Problem {
        let code = faults.first().map_or(Code::MalformedJson, |fault| fault.code);
        Problem { faults, ..code.into() }
    }

    /// The service cannot answer now.
    pub(crate) fn unavailable(retry_after_s: u16) -> Problem {
        Problem { retry_after_s: Some(retry_after_s), ..Code::Unavailable.into() }
    }

    /// The path is known, the method is not.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Problem {
        Problem { allow: Some(allow), ..Code::MethodNotAllowed.into() }
    }

    /// The same as the answer to a repeated request.
    pub(crate) fn replayed(self, is_replay: bool) -> Problem {
        Problem { is_replay, ..self }
    }

    /// The same with what exactly happened. The admin endpoints alone may tell.
    pub(crate) fn because(self, reason: String) -> Problem {
        Problem { reason: Some(reason), ..self }
    }

    /// The problem document.
    pub(crate) fn to_response(&self, language: Language) -> HttpResponse {
        let status =
            StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        json_headers(&mut response, language, "application/problem+json");
        self.put_headers(&mut response);
        response.body(serde_json::to_vec(&self.document(language)).expect("texts and codes are always JSON"))
    }

    fn put_headers(&self, response: &mut HttpResponseBuilder) {
        if self.code == Code::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if self.is_replay {
            response.insert_header(IDEMPOTENT_REPLAY);
        }
        if let Some(methods) = self.allow {
            response.insert_header((ALLOW, HeaderValue::from_static(methods)));
        }
    }

    fn document(&self, language: Language) -> Document<'_> {
        let errors = self.faults.iter().map(|fault| FieldError {
            field: &fault.field,
            code: fault.code.code(),
            message: fault.code.detail().of(language),
        });
        Document {
            r#type: format!("urn:estehqaq:problem:{}", self.code.code()),
            title: self.code.title().of(language),
            status: self.code.http_status(),
            detail: self.code.detail().of(language),
            code: self.code.code(),
            reason: self.reason.as_deref(),
            errors: errors.collect(),
        }
    }
}
