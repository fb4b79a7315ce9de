//! What `snapshot inspect` tells of a generation: where it stands, what it holds, how it was judged when it was
//! built and how it would be judged now. Plain figures; how they were read is `store`'s business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::generation::content::{Content, MobileKeyName};
use crate::generation::gate::{Gate, GateOutcome};
use crate::generation::name::GenerationName;
use crate::generation::publication::Publication;
use crate::publish::gates::GateLimits;
use crate::publish::journal::JournalLine;
use crate::publish::states::{Listed, State};

/// All that is known of a generation without opening its binary files.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Which.
    pub generation: GenerationName,
    /// Where it stands.
    pub state: State,
    /// Whether `CURRENT` names it.
    pub current: bool,
    /// When it came to stand there; none where no journal tells.
    pub since: Option<Timestamp>,
    /// Who brought it there.
    pub by: Option<String>,
    /// Why, where somebody said so.
    pub why: Option<String>,
    /// The day for which the extract was made.
    pub as_of: String,
    /// What was counted.
    pub counts: InspectedCounts,
    /// People of each category.
    pub categories: BTreeMap<String, u64>,
    /// People of each relation.
    pub relations: BTreeMap<String, u64>,
    /// Warnings of accepted rows by code.
    pub warnings: BTreeMap<String, u64>,
    /// The key of its mobile fingerprints.
    pub mobile_key: MobileKeyName,
    /// Its files.
    pub files: Vec<InspectedFile>,
    /// The signatures over two of them.
    pub signatures: Vec<InspectedSignature>,
    /// How it was built and from what, and how it was judged then or when gates were overridden last.
    pub publication: Publication,
    /// The list of its rejected rows, where it is still there.
    pub rejects_path: Option<PathBuf>,
    /// The lines of the journal that are about it.
    pub journal: Vec<JournalLine>,
    /// The current generation that the gates compare it with; none where there is no other.
    pub compared_with: Option<GenerationName>,
    /// How each gate judges it now.
    pub gates: Vec<GateReport>,
    /// What can be done with it.
    pub next: String,
}

/// What was counted in a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InspectedCounts {
    /// Rows of the extract.
    pub rows: u64,
    /// Rows whose person or days of cover cannot be known.
    pub rejected: u64,
    /// Rows that repeat a stored entitlement.
    pub duplicates: u64,
    /// People with at least one entitlement.
    pub people: u64,
    /// People known by an ID but without a usable row.
    pub incomplete: u64,
    /// Different entitlements of all people.
    pub entitlements: u64,
    /// People covered on the as-of date.
    pub covered: u64,
}

/// A file of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InspectedFile {
    /// Its name.
    pub name: String,
    /// Bytes on disk; none where it is missing.
    pub length: Option<u64>,
    /// Bytes that `content.json` lists for it; none for a file that it does not list.
    pub listed_length: Option<u64>,
    /// BLAKE3: as listed, or that of the bytes where it is not listed.
    pub blake3: Option<String>,
    /// Whether it is there, with the length that is listed.
    pub whole: bool,
}

/// The signature of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InspectedSignature {
    /// The file that is signed.
    pub file: &'static str,
    /// How it stands.
    pub state: SignatureState,
    /// The id of the key, where there is a signature.
    pub key: Option<String>,
}

/// How a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// There is none.
    Absent,
    /// There is one; no public key was given to check it with.
    Present,
    /// It was made over these bytes with a key that was given.
    Valid,
    /// It was made with a key that was not given.
    OtherKey,
    /// It was made over other bytes.
    Wrong,
    /// It is no signature.
    Damaged,
}

impl SignatureState {
    /// In words.
    pub fn told(self) -> &'static str {
        match self {
            SignatureState::Absent => "not signed",
            SignatureState::Present => "signed, not checked: give --public-key",
            SignatureState::Valid => "signed, and the signature is valid",
            SignatureState::OtherKey => "signed with another key than those of --public-key",
            SignatureState::Wrong => "the signature does not fit the bytes",
            SignatureState::Damaged => "the signature file is damaged",
        }
    }
}

/// One gate: what it compares, what it allows, and how it judges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateReport {
    /// Which.
    pub gate: Gate,
    /// What it compares.
    pub compares: &'static str,
    /// The flag that sets its limit.
    pub flag: Option<&'static str>,
    /// What it allows unless it is set otherwise.
    pub default: String,
    /// What it allows with the settings given.
    pub setting: String,
    /// How it judges; none where there is nothing to compare with.
    pub outcome: Option<GateOutcome>,
    /// How far the figure is on the good side of its limit; below zero it is beyond it.
    pub room: Option<f64>,
}

impl GateReport {
    fn new(gate: Gate, limits: &GateLimits, outcome: Option<GateOutcome>) -> GateReport {
        GateReport {
            gate,
            compares: gate.compares(),
            flag: gate.flag(),
            default: GateLimits::default().allows(gate),
            setting: limits.allows(gate),
            room: outcome.as_ref().and_then(GateOutcome::room),
            outcome,
        }
    }

    /// Whether it refuses.
    pub fn refuses(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| !outcome.passed)
    }

    /// All of it in a sentence or two.
    pub fn sentence(&self) -> String {
        let mut text = format!("compares {}; allowed is {}", self.compares, self.setting);
        if self.setting != self.default {
            text += &format!(" instead of {}", self.default);
        }
        if let Some(flag) = self.flag {
            text += &format!(" ({flag})");
        }
        match &self.outcome {
            None => text += ". There is nothing to compare it with",
            Some(outcome) => {
                text += &format!(". Found: {}", outcome.found);
                text += &self.distance().map_or(String::new(), |distance| format!(": {distance}"));
                text += &outcome.advice.as_ref().map_or(String::new(), |advice| format!(". To do: {advice}"));
            }
        }
        text + "."
    }

    /// How far it is from its limit, in words.
    fn distance(&self) -> Option<String> {
        let room = self.room?;
        let size = match self.gate {
            Gate::MinPeople => format!("{} people", room.abs()),
            Gate::AsOf => format!("{} days", room.abs()),
            _ => format!("{:.4}", room.abs()),
        };
        Some(if room < 0.0 { format!("{size} beyond the limit") } else { format!("{size} to the limit") })
    }
}

/// Every gate with a limit, and of the others those that judged.
pub(crate) fn gate_reports(limits: &GateLimits, outcomes: Vec<GateOutcome>) -> Vec<GateReport> {
    let mut outcomes: BTreeMap<Gate, GateOutcome> =
        outcomes.into_iter().map(|outcome| (outcome.gate, outcome)).collect();
    let mut reports: Vec<_> =
        Gate::LIMITED.map(|gate| GateReport::new(gate, limits, outcomes.remove(&gate))).into();
    reports.extend(outcomes.into_iter().map(|(gate, outcome)| GateReport::new(gate, limits, Some(outcome))));
    reports
}

/// Where a generation stands, beside what else is on disk.
pub(crate) struct Standing<'a> {
    pub(crate) listed: &'a Listed,
    /// Whether any generation is current.
    pub(crate) any_current: bool,
    /// Where a rollback would lead, if that one is whole.
    pub(crate) rollback_target: Option<GenerationName>,
    /// Whether all its files are there, as long as they must be.
    pub(crate) whole: bool,
}

/// What can be done with a generation that stands there: nothing that would be refused.
pub(crate) fn next_step(dir: &Path, standing: &Standing<'_>, gates: &[GateReport]) -> String {
    let listed = standing.listed;
    let (name, at) = (listed.generation, format!("--snapshots {}", dir.display()));
    let refusing: Vec<_> = gates.iter().filter(|gate| gate.refuses()).map(|gate| gate.gate.code()).collect();
    let refusing = refusing.join(", ");
    match (listed.state, standing.rollback_target) {
        (State::Published, None) => {
            "it is the current one, and there is none before it that a rollback could lead to".to_owned()
        }
        (State::Published, Some(before)) => {
            format!("it is the current one; `estehqaq snapshot rollback {at}` goes back to {before}")
        }
        _ if !standing.whole => {
            "it is damaged, and cannot be published: move its folder away and build it again".to_owned()
        }
        (State::Retired, _) if standing.any_current => {
            format!("`estehqaq snapshot rollback {at} --to {name}` goes back to it")
        }
        _ if refusing.is_empty() => {
            format!("no gate refuses it; `estehqaq snapshot publish {at} {name}` publishes it")
        }
        _ => format!(
            "refused by {refusing}: mend the extract and build again; or, if it is right as it is, say why with \
             `estehqaq snapshot publish {at} {name} --accept REASON`"
        ),
    }
}

impl From<&Content> for InspectedCounts {
    fn from(content: &Content) -> InspectedCounts {
        InspectedCounts {
            rows: content.rows,
            rejected: content.rejected,
            duplicates: content.duplicates,
            people: content.people,
            incomplete: content.incomplete,
            entitlements: content.entitlements,
            covered: content.statistics.covered,
        }
    }
}
