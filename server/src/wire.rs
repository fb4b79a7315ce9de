//! JSON of a request, read but not judged: which of the known fields are there, as what, and which names are
//! unknown. Strings are borrowed from the body. Nothing here has a `Debug`: the texts are personal data.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The fields of all requests, in the order in which faults in them are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Field {
    /// The ID asked about.
    PersonId = 0,
    /// Which space the ID belongs to.
    IdKind = 1,
    /// The number under which this person may ask; personal inquiries only.
    Mobile = 2,
    /// The day asked about.
    ServiceDate = 3,
    /// Outpatient or inpatient; general inquiries only.
    Care = 4,
    /// The first day of a search.
    From = 5,
    /// The last day of a search.
    To = 6,
    /// Inquiries on a page of a search.
    Limit = 7,
    /// Where the page before ended.
    Cursor = 8,
}

/// How many fields there are.
const FIELDS: usize = 9;

impl Field {
    /// The name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::PersonId => "person_id",
            Field::IdKind => "id_kind",
            Field::Mobile => "mobile",
            Field::ServiceDate => "service_date",
            Field::Care => "care",
            Field::From => "from",
            Field::To => "to",
            Field::Limit => "limit",
            Field::Cursor => "cursor",
        }
    }
}

/// Which request a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `POST /v1/inquiries`.
    General,
    /// `POST /v1/personal-inquiries`.
    Personal,
    /// `POST /v1/desk/search`.
    DeskSearch,
}

impl Form {
    fn field(self, name: &str) -> Option<Field> {
        let own: &[Field] = match self {
            Form::General => &[Field::PersonId, Field::IdKind, Field::ServiceDate, Field::Care],
            Form::Personal => &[Field::PersonId, Field::IdKind, Field::Mobile, Field::ServiceDate],
            Form::DeskSearch => {
                &[Field::PersonId, Field::IdKind, Field::From, Field::To, Field::Limit, Field::Cursor]
            }
        };
        own.iter().copied().find(|field| field.name() == name)
    }
}

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

/// A well-formed request.
pub(crate) struct Fields<'a> {
    values: [Value<'a>; FIELDS],
    unknown: Vec<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    /// The value of a field.
    pub(crate) fn value(&self, field: Field) -> &Value<'a> {
        &self.values[field as usize]
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

/// Reads a body.
pub(crate) fn read(body: &[u8], form: Form) -> Result<Fields<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut fields = form.deserialize(&mut deserializer).map_err(|_| Malformed)?;
    deserializer.end().map_err(|_| Malformed)?;
    let named = fields.unknown.len();
    fields.unknown.sort_unstable();
    fields.unknown.dedup();
    if fields.unknown.len() == named { Ok(fields) } else { Err(Malformed) }
}

impl<'de> DeserializeSeed<'de> for Form {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Form {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields { values: Default::default(), unknown: Vec::new() };
        let mut seen = [false; FIELDS];
        while let Some(name) = map.next_key_seed(TextSeed)? {
            let Some(field) = self.field(&name) else {
                map.next_value::<IgnoredAny>()?;
                fields.unknown.push(name);
                continue;
            };
            if std::mem::replace(&mut seen[field as usize], true) {
                return Err(A::Error::custom("repeated name"));
            }
            fields.values[field as usize] = map.next_value_seed(ValueSeed)?;
        }
        Ok(fields)
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
    use super::{Field, Form, Value, read};

    #[track_caller]
    fn check_malformed(body: &[u8]) {
        assert!(read(body, Form::General).is_err(), "{}", String::from_utf8_lossy(body));
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
        check_malformed("\u{FEFF}{}".as_bytes());
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
        let fields = read(body, Form::General).ok().unwrap();
        assert!(matches!(fields.value(Field::PersonId), Value::Text(text) if text == "ab"));
        assert!(matches!(fields.value(Field::IdKind), Value::Absent));
        assert!(matches!(fields.value(Field::ServiceDate), Value::Wrong));
        assert!(matches!(fields.value(Field::Care), Value::Wrong));
        assert!(matches!(fields.value(Field::Mobile), Value::Absent));
        let limit = read(br#"{"limit":7}"#, Form::DeskSearch).ok().unwrap();
        assert!(matches!(limit.value(Field::Limit), Value::Number(7)));
        for value in ["-1", "1.5", "true", "123456789012345678901234567890"] {
            let body = format!("{{\"care\":{value}}}");
            assert!(matches!(
                read(body.as_bytes(), Form::General).ok().unwrap().value(Field::Care),
                Value::Wrong
            ));
        }
    }

    #[test]
    fn each_form_has_its_own_fields() {
        let body = br#"{"mobile":"1","care":"2","z":{"deep":[1]},"a":null}"#;
        let unknown = |form| read(body, form).ok().unwrap().unknown().join(" ");
        assert_eq!(unknown(Form::General), "a mobile z");
        assert_eq!(unknown(Form::Personal), "a care z");
        assert_eq!(unknown(Form::DeskSearch), "a care mobile z");
    }
}
