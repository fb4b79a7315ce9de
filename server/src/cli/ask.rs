//! `ask`: one decision from the current generation, for operators. Leaves no ledger entry.

use clap::Args;
use engine::{Care, Day, IdKind, Notice, PersonId, decide};
use serde::Serialize;
use snapshots::open_current_keyless;

use super::options::{self, CommandError, SnapshotsDir};
use super::output;
use crate::clock::plausible;
use crate::settings::AS_OF_AGE_DAYS_MAX;

#[derive(Args)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// The person's ID
    #[arg(long, value_name = "ID")]
    person_id: String,
    /// national or foreign
    #[arg(long, value_name = "KIND", default_value = "national", value_parser = options::id_kind)]
    id_kind: IdKind,
    /// Today in Tehran if not given
    #[arg(long, value_name = "DATE", value_parser = options::day)]
    service_date: Option<Day>,
    /// outpatient or inpatient
    #[arg(long, value_name = "CARE", default_value = "outpatient", value_parser = care)]
    care: Care,
}

fn care(text: &str) -> Result<Care, String> {
    Care::from_code(text).ok_or_else(|| "give outpatient or inpatient".to_owned())
}

/// The decision, as it is printed.
#[derive(Serialize)]
struct Answer {
    status: &'static str,
    reason: &'static str,
    notices: Vec<&'static str>,
    end_date: Option<String>,
    end_date_jalali: Option<String>,
    open_ended: bool,
    service_date: String,
    service_date_jalali: String,
    id_kind: &'static str,
    care: &'static str,
    snapshot: String,
}

pub(super) fn run(args: &AskArgs) -> Result<(), CommandError> {
    let person = PersonId::parse(args.id_kind, &args.person_id)
        .map_err(|error| CommandError::Usage(format!("--person-id: {error}")))?;
    let day = options::day_or_today(args.service_date)?;
    let generation = open_current_keyless(&args.snapshots.dir)?;
    if args.service_date.is_none() {
        let believed = plausible(day, generation.name.as_of(), AS_OF_AGE_DAYS_MAX);
        believed
            .map_err(|fault| CommandError::failed(format!("{}; or give --service-date", fault.message())))?;
    }
    let decision = decide(generation.snapshot.find(person), day, args.care);
    output::json(&Answer {
        status: decision.status().code(),
        reason: decision.reason.code(),
        notices: decision.notices.iter().map(Notice::code).collect(),
        end_date: decision.end.map(|end| end.iso().to_string()),
        end_date_jalali: decision.end.map(|end| end.jalali_text().to_string()),
        open_ended: decision.open_ended,
        service_date: day.iso().to_string(),
        service_date_jalali: day.jalali_text().to_string(),
        id_kind: args.id_kind.code(),
        care: args.care.code(),
        snapshot: generation.name.to_string(),
    })
}
