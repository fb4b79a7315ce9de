//! From wire to checked for the admin endpoints: which generation, and why. All faulty fields are reported at once.

use snapshots::GenerationName;

use crate::inquiry::{Refused, known_fields, noted, optional};
use crate::texts::Code;
use crate::wire::Object;

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
    let fields = known_fields(body, &["generation", "accept"])?;
    let mut faults = Vec::new();
    let generation = check_generation(&fields, "generation").and_then(|name| name.ok_or(Code::Required));
    let generation = noted(&mut faults, "generation", generation);
    let accept = noted(&mut faults, "accept", check_reason(&fields, "accept"));
    match (generation, accept) {
        (Some(generation), Some(accept)) => Ok(Activate { generation, accept }),
        _ => Err(Refused::Fields(faults)),
    }
}

/// Reads the body of `rollback`.
pub(crate) fn read_rollback(body: &[u8]) -> Result<RollBack, Refused> {
    let fields = known_fields(body, &["to", "why"])?;
    let mut faults = Vec::new();
    let to = noted(&mut faults, "to", check_generation(&fields, "to"));
    let why = noted(&mut faults, "why", check_reason(&fields, "why"));
    match (to, why) {
        (Some(to), Some(why)) => Ok(RollBack { to, why }),
        _ => Err(Refused::Fields(faults)),
    }
}

fn check_generation(fields: &Object<'_>, field: &'static str) -> Result<Option<GenerationName>, Code> {
    let name = optional(fields, field)?.map(|name| name.parse().map_err(|_| Code::BadGeneration));
    name.transpose()
}

/// A text that is not blank.
fn check_reason(fields: &Object<'_>, field: &'static str) -> Result<Option<String>, Code> {
    let fits = |text: &&str| !text.trim().is_empty() && text.chars().count() <= REASON_LEN_MAX;
    match optional(fields, field)? {
        Some(text) if fits(&text) => Ok(Some(text.to_owned())),
        Some(_) => Err(Code::BadReason),
        None => Ok(None),
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
        check_faults(read_activate(br#"{"5742616694": 1, "generation": 1}"#), "?:unknown_field");
        let twice = format!(r#"{{"generation": "{NAME}", "generation": "{NAME}"}}"#);
        assert_eq!(read_activate(twice.as_bytes()), Err(Refused::Malformed), "a repeated name");
        assert_eq!(read_rollback(b"[]"), Err(Refused::Malformed));
        assert_eq!(read_rollback(b""), Err(Refused::Malformed));
    }
}
