//! For the benches crate: what an inquiry costs without finding, deciding and the ledger. The same body is
//! read and parsed by the same code, and an answer of the same length goes out with the same headers.

use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, web};
use ledger::Language;

use super::{body, json_headers};
use crate::inquiry::read_general;

/// A covered, outpatient answer, as long as a real one.
const ANSWER: &str = concat!(
    r#"{"tracking_code":"0000000000000000","status":"covered","message":"حمایت درمانی دارد","notices":[],"#,
    r#""id_kind":"national","care":"outpatient","service_date":"2026-11-22","service_date_jalali":"1405/09/01","#,
    r#""answered_at":"2026-11-22T00:00:00.000+03:30","as_of":"2026-11-22","snapshot":"2026-11-22-000000000000"}"#
);

/// Adds `POST /baseline`, which answers every well-formed inquiry with the same covered answer.
pub fn baseline(config: &mut web::ServiceConfig) {
    config.route("/baseline", web::post().to(answer));
}

async fn answer(request: HttpRequest, payload: Payload) -> HttpResponse {
    let timeout = std::time::Duration::from_secs(5);
    let Ok(body) = body::read_json(&request, payload, timeout).await else {
        return HttpResponse::BadRequest().finish();
    };
    if read_general(&body, |_| true).is_err() {
        return HttpResponse::BadRequest().finish();
    }
    let mut response = HttpResponse::Created();
    json_headers(&mut response, Language::Persian, "application/json");
    response.insert_header((LOCATION, HeaderValue::from_static("/v1/inquiries/0000000000000000")));
    response.body(ANSWER)
}
