//! The lines of a targets file: what is asked and what must be answered. Their form is that of the
//! inquiries beside the sample extract, with one more field, `kind`.

use serde::{Serialize, Serializer};

/// One line.
#[derive(Serialize)]
pub(super) struct Target {
    pub(super) request: Request,
    pub(super) expected: Expected,
    /// What this line is an example of; see `target_kinds`.
    pub(super) kind: &'static str,
}

/// Feeds both endpoints: drop `mobile` for the general one, `care` for the personal one.
#[derive(Serialize)]
pub(super) struct Request {
    pub(super) person_id: String,
    pub(super) id_kind: &'static str,
    pub(super) care: &'static str,
    pub(super) mobile: String,
    pub(super) service_date: String,
}

#[derive(Serialize)]
pub(super) struct Expected {
    pub(super) general: General,
    pub(super) personal: Personal,
}

#[derive(Serialize)]
pub(super) struct General {
    pub(super) status: &'static str,
    pub(super) notices: Notices,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Personal {
    Refused(&'static str),
    Answered(PersonalAnswer),
}

#[derive(Serialize)]
pub(super) struct PersonalAnswer {
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) end_date: Option<String>,
    pub(super) open_ended: bool,
    pub(super) notices: Notices,
}

/// The notices that must be there, as codes in alphabetical order.
#[derive(Clone, Copy, Default)]
pub(super) struct Notices {
    pub(super) not_covered: bool,
    pub(super) other_insurer: bool,
    pub(super) inpatient: bool,
    pub(super) existing_rules: bool,
}

impl Serialize for Notices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let codes = [
            (self.not_covered, "objection_line"),
            (self.other_insurer, "other_base_insurer"),
            (self.inpatient, "overlap_check_required"),
            (self.existing_rules, "serve_under_existing_rules"),
        ];
        serializer.collect_seq(codes.iter().filter(|(present, _)| *present).map(|(_, code)| code))
    }
}
