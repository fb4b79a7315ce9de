//! The one reader of JSON requests, for whichever endpoint: which of the request's fields are there, as what, and which
//! names are unknown. Judges nothing, and refuses repeated names. Strings are borrowed from the body. Nothing here has
//! a `Debug`: the texts are personal data.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Fields of a request at most.
const FIELDS_MAX: usize = 8;
/// What some editors put before a text in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The value of a known field.
#[derive(Clone, Default)]
pub(crate) enum Value<'a> {
    /// Not there, or null.
    #[default]
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// A whole number that is not negative.
    Number(u64),
    /// Anything else.
    Wrong,
}

/// A well-formed JSON object, read for the fields that its request has.
pub(crate) struct Object<'a> {
    names: &'static [&'static str],
    values: [Value<'a>; FIELDS_MAX],
    unknown: Vec<Cow<'a, str>>,
}

impl<'a> Object<'a> {
    /// Reads a body for fields of these names. A BOM before it is passed over.
    pub(crate) fn read(body: &'a [u8], names: &'static [&'static str]) -> Result<Object<'a>, Malformed> {
        let text = str::from_utf8(body.strip_prefix(BOM).unwrap_or(body)).map_err(|_| Malformed)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let mut object = ObjectSeed(names).deserialize(&mut deserializer).map_err(|_| Malformed)?;
        deserializer.end().map_err(|_| Malformed)?;
        let named = object.unknown.len();
        object.unknown.sort_unstable();
        object.unknown.dedup();
        if object.unknown.len() == named { Ok(object) } else { Err(Malformed) }
    }

    /// The value of a field, which must be one of those that the object was read for.
    pub(crate) fn value(&self, name: &'static str) -> &Value<'a> {
        let place = self.names.iter().position(|known| *known == name);
        &self.values[place.expect("a field that the request has")]
    }

    /// Names that this request does not have, each once, in alphabetical order.
    pub(crate) fn unknown(&self) -> &[Cow<'a, str>] {
        &self.unknown
    }
}

/// The body is not one well-formed JSON object without repeated names. Says no more: a parser's message may
/// quote the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

struct ObjectSeed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object { names: self.0, values: Default::default(), unknown: Vec::new() };
        let mut seen = [false; FIELDS_MAX];
        while let Some(name) = map.next_key_seed(TextSeed)? {
            let Some(place) = self.0.iter().position(|known| *known == name) else {
                map.next_value::<IgnoredAny>()?;
                object.unknown.push(name);
                continue;
            };
            if std::mem::replace(&mut seen[place], true) {
                return Err(A::Error::custom("repeated name"));
            }
            object.values[place] = map.next_value_seed(ValueSeed)?;
        }
        Ok(object)
    }
}

/// Borrows a string unless it holds escapes.
struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Any JSON value, of which only a string and a whole number are kept.
struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Absent)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Wrong)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Wrong)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::{Object, Value};

    const NAMES: &[&str] = &["person_id", "id_kind", "service_date", "care"];

    #[track_caller]
    fn check_malformed(body: &[u8]) {
        assert!(Object::read(body, NAMES).is_err(), "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn what_is_not_one_object_is_malformed() {
        for body in
            ["", " ", "{", "{]", "[]", "null", "1", "\"x\"", "{\"a\"}", "{\"a\":1,}", "{} {}", "{}x", "{a:1}"]
        {
            check_malformed(body.as_bytes());
        }
        check_malformed(b"{\"person_id\":\"\xFF\"}");
        check_malformed(b"{\"x\":\"\xC3\x28\"}");
        check_malformed(br#"{"person_id":"\ud800"}"#);
        check_malformed("\u{FEFF}\u{FEFF}{}".as_bytes());
        assert!(Object::read("\u{FEFF}{}".as_bytes(), NAMES).is_ok(), "a BOM is no part of the text");
    }

    #[test]
    fn a_repeated_name_is_malformed_known_or_not_escaped_or_not() {
        check_malformed(br#"{"care":null,"care":"outpatient"}"#);
        check_malformed(br#"{"care":"outpatient","c\u0061re":"outpatient"}"#);
        check_malformed(br#"{"x":1,"y":2,"x":3}"#);
    }

    #[test]
    fn values_are_absent_text_or_wrong() {
        let body = br#"{"person_id":"a\u0062","id_kind":null,"service_date":[1,{"a":2}],"care":{"b":[]}}"#;
        let object = Object::read(body, NAMES).ok().unwrap();
        assert!(matches!(object.value("person_id"), Value::Text(text) if text == "ab"));
        assert!(matches!(object.value("id_kind"), Value::Absent));
        assert!(matches!(object.value("service_date"), Value::Wrong));
        assert!(matches!(object.value("care"), Value::Wrong));
        let limit = Object::read(br#"{"limit":7}"#, &["limit"]).ok().unwrap();
        assert!(matches!(limit.value("limit"), Value::Number(7)));
        for value in ["-1", "1.5", "true", "123456789012345678901234567890"] {
            let body = format!("{{\"care\":{value}}}");
            let object = Object::read(body.as_bytes(), NAMES).ok().unwrap();
            assert!(matches!(object.value("care"), Value::Wrong));
        }
    }

    #[test]
    fn each_request_has_its_own_fields() {
        let body = br#"{"mobile":"1","care":"2","z":{"deep":[1]},"a":null}"#;
        let unknown = |names| Object::read(body, names).ok().unwrap().unknown().join(" ");
        assert_eq!(unknown(NAMES), "a mobile z");
        assert_eq!(unknown(&["mobile"]), "a care z");
        assert_eq!(unknown(&[]), "a care mobile z");
    }
}
