//! What an operator sends to the admin endpoints, read and checked.

use serde_json::{Map, Value};
use snapshots::GenerationName;

use crate::inquiry::{Fault, Refused};
use crate::texts::Code;

/// Characters of a reason at most: it stands in the journal for good.
const REASON_LEN_MAX: usize = 500;

/// Makes a generation current.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Activate {
    pub(crate) generation: GenerationName,
    /// Why gates that refuse are to be overridden.
    pub(crate) accept: Option<String>,
}

/// Goes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RollBack {
    /// None is the one before.
    pub(crate) to: Option<GenerationName>,
    pub(crate) why: Option<String>,
}

/// Reads the body of `activate`.
pub(crate) fn read_activate(body: &[u8]) -> Result<Activate, Refused> {
    let mut fields = Fields::read(body, &["generation", "accept"])?;
    let (generation, accept) = (fields.generation("generation"), fields.reason("accept"));
    match generation {
        Some(generation) => fields.unless_faulty(Activate { generation, accept }),
        None => Err(fields.missing("generation")),
    }
}

/// Reads the body of `rollback`.
pub(crate) fn read_rollback(body: &[u8]) -> Result<RollBack, Refused> {
    let mut fields = Fields::read(body, &["to", "why"])?;
    let (to, why) = (fields.generation("to"), fields.reason("why"));
    fields.unless_faulty(RollBack { to, why })
}

struct Fields {
    values: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Fields {
    fn read(body: &[u8], known: &[&'static str]) -> Result<Fields, Refused> {
        let values: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Refused::Malformed)?;
        let unknown = values.keys().filter(|name| !known.contains(&name.as_str()));
        let unknown =
            unknown.map(|name| Fault { field: name.chars().take(32).collect(), code: Code::UnknownField });
        let unknown: Vec<_> = unknown.take(50).collect();
        if unknown.is_empty() {
            Ok(Fields { values, faults: Vec::new() })
        } else {
            Err(Refused::Fields(unknown))
        }
    }

    fn generation(&mut self, field: &'static str) -> Option<GenerationName> {
        let text = self.text(field)?;
        let name = text.parse().ok();
        if name.is_none() {
            self.faults.push(Fault { field: field.into(), code: Code::BadGeneration });
        }
        name
    }

    /// A text that is not blank.
    fn reason(&mut self, field: &'static str) -> Option<String> {
        let text = self.text(field)?;
        let fits = !text.trim().is_empty() && text.chars().count() <= REASON_LEN_MAX;
        if !fits {
            self.faults.push(Fault { field: field.into(), code: Code::BadReason });
        }
        fits.then_some(text)
    }

    fn text(&mut self, field: &'static str) -> Option<String> {
        match self.values.remove(field)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => {
                self.faults.push(Fault { field: field.into(), code: Code::BadType });
                None
            }
        }
    }

    /// A field that has to be there, and is not, or is faulty.
    fn missing(mut self, field: &'static str) -> Refused {
        if !self.faults.iter().any(|fault| fault.field == field) {
            self.faults.insert(0, Fault { field: field.into(), code: Code::Required });
        }
        Refused::Fields(self.faults)
    }

    fn unless_faulty<T>(self, value: T) -> Result<T, Refused> {
        if self.faults.is_empty() { Ok(value) } else { Err(Refused::Fields(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Activate, RollBack, read_activate, read_rollback};
    use crate::inquiry::Refused;

    const NAME: &str = "2026-11-22-3fa9c1d2e4b5";

    #[track_caller]
    fn check_faults<T: std::fmt::Debug>(read: Result<T, Refused>, expected: &str) {
        let Err(Refused::Fields(faults)) = read else { panic!("{read:?}") };
        let told: Vec<_> =
            faults.iter().map(|fault| format!("{}:{}", fault.field, fault.code.code())).collect();
        assert_eq!(told.join(" "), expected);
    }

    #[test]
    fn what_operators_send_is_read() {
        let generation = NAME.parse().unwrap();
        let body = format!(r#"{{"generation": "{NAME}", "accept": "a holiday"}}"#);
        let accept = Some("a holiday".to_owned());
        assert_eq!(read_activate(body.as_bytes()), Ok(Activate { generation, accept }));
        assert_eq!(read_rollback(b"{}"), Ok(RollBack { to: None, why: None }));
        let body = format!(r#"{{"to": "{NAME}", "why": null}}"#);
        assert_eq!(read_rollback(body.as_bytes()), Ok(RollBack { to: Some(generation), why: None }));
    }

    #[test]
    fn faulty_fields_are_told_all_at_once() {
        check_faults(read_activate(b"{}"), "generation:required");
        check_faults(read_activate(br#"{"generation": null}"#), "generation:required");
        check_faults(
            read_activate(br#"{"generation": 7, "accept": " "}"#),
            "generation:bad_type accept:bad_reason",
        );
        check_faults(read_activate(br#"{"generation": "../x"}"#), "generation:bad_generation");
        check_faults(read_rollback(br#"{"to": "x", "why": []}"#), "to:bad_generation why:bad_type");
        check_faults(read_rollback(br#"{"force": true}"#), "force:unknown_field");
        let long = format!(r#"{{"why": "{}"}}"#, "x".repeat(501));
        check_faults(read_rollback(long.as_bytes()), "why:bad_reason");
        assert_eq!(read_rollback(b"[]"), Err(Refused::Malformed));
        assert_eq!(read_rollback(b""), Err(Refused::Malformed));
    }
}
