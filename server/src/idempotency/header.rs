//! The `Idempotency-Key` header as draft-ietf-httpapi-idempotency-key-header-07 has it: one string of structured
//! fields (RFC 9651 section 3.3.3). Many clients send the text without the quotes, which is taken as the same key.

use actix_web::http::header::HeaderMap;

use crate::texts::Code;

/// The header's name, as faults in it are reported.
pub(crate) const FIELD: &str = "Idempotency-Key";
/// Bytes of a key at most.
const LEN_MAX: usize = 255;

/// What a client calls a request, the same each time it sends it: 1 to 255 visible ASCII characters.
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key that a request brings, if it brings one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Code> {
        let mut values = headers.get_all(FIELD);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Code::BadIdempotencyKey);
        }
        let key = value.to_str().ok().and_then(IdempotencyKey::parse);
        key.map(Some).ok_or(Code::BadIdempotencyKey)
    }

    fn parse(value: &str) -> Option<IdempotencyKey> {
        let value = value.trim_matches([' ', '\t']);
        let text = match value.strip_prefix('"') {
            Some(rest) => unquoted(rest)?,
            // What would end or part a value of structured fields is no key without quotes.
            None => (!value.contains(['"', '\\', ',', ';'])).then(|| value.to_owned())?,
        };
        let is_key = (1..=LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then_some(IdempotencyKey(text))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of a string whose opening quote is taken off; none when it does not end with its closing one.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut rest = rest.chars();
    loop {
        match rest.next()? {
            '"' => return rest.next().is_none().then_some(text),
            '\\' => text.push(rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::IdempotencyKey;
    use crate::texts::Code;

    fn read(values: &[&str]) -> Result<Option<String>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static("idempotency-key"), value);
        }
        IdempotencyKey::of(&headers).map(|key| key.map(|key| key.as_str().to_owned()))
    }

    #[track_caller]
    fn check(value: &str, key: &str) {
        assert_eq!(read(&[value]), Ok(Some(key.to_owned())), "{value}");
    }

    #[test]
    fn a_string_of_structured_fields_or_the_bare_text() {
        assert_eq!(read(&[]), Ok(None));
        check("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324");
        check("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324");
        check(" \t\"a\" ", "a");
        check(r#""a\"b\\c,;""#, r#"a"b\c,;"#);
        check("YWJj+/8=:~", "YWJj+/8=:~");
        check(&"k".repeat(255), &"k".repeat(255));
    }

    #[test]
    fn anything_else_is_a_fault() {
        for value in [
            "",
            " ",
            "\"\"",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\";p=1",
            "\"a\\b\"",
            "\"a\\",
            "a b",
            "\"a b\"",
            "a,b",
            "a;b",
            "a\\b",
            "\"\u{e9}\"",
            "\u{6f1}",
        ] {
            assert_eq!(read(&[value]), Err(Code::BadIdempotencyKey), "{value}");
        }
        assert_eq!(read(&[&"k".repeat(256)]), Err(Code::BadIdempotencyKey));
        assert_eq!(read(&["a", "a"]), Err(Code::BadIdempotencyKey), "two of them");
    }
}
