//! How a gate judged a generation, as `publication.json` and the journal hold it. Judging is the business of
//! `publish::gates`.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Which gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Rejected rows.
    Rejected,
    /// Incomplete people.
    Incomplete,
    /// One entitlement for very many people.
    Shared,
    /// Too few people at all.
    MinPeople,
    /// Another number of people.
    People,
    /// Another share covered.
    Covered,
    /// A category grew or shrank.
    Category,
    /// A relation grew or shrank.
    Relation,
    /// An area of the ID space grew or shrank.
    Area,
    /// An older as-of date.
    AsOf,
    /// The current generation's figures cannot be read, so that nothing can be compared with them.
    Baseline,
    /// It was rolled back before.
    RolledBack,
}

impl Gate {
    /// The word for it.
    pub fn code(self) -> &'static str {
        match self {
            Gate::Rejected => "rejected",
            Gate::Incomplete => "incomplete",
            Gate::Shared => "shared",
            Gate::MinPeople => "min_people",
            Gate::People => "people",
            Gate::Covered => "covered",
            Gate::Category => "category",
            Gate::Relation => "relation",
            Gate::Area => "area",
            Gate::AsOf => "as_of",
            Gate::Baseline => "baseline",
            Gate::RolledBack => "rolled_back",
        }
    }

    /// Whether its limit is the least that is allowed, not the most.
    pub(crate) fn is_least(self) -> bool {
        matches!(self, Gate::MinPeople | Gate::AsOf)
    }
}

/// How one gate judged a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// Which.
    pub gate: Gate,
    /// Whether it lets the generation through.
    pub passed: bool,
    /// The figure it went by: a share of 0 to 1, a number of people, or days after the current as-of date. None
    /// where there is no figure, such as growth from nobody to some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What the figure was held against; none where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What was found and what is allowed.
    pub found: String,
    /// What to do when it does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How one gate judged a publication, in figures alone: the journal's line has no room for sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateFigures {
    /// Which.
    pub gate: Gate,
    /// Whether it let the generation through.
    pub passed: bool,
    /// The figure it went by, as in [`GateOutcome`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What the figure was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

impl From<&GateOutcome> for GateFigures {
    fn from(outcome: &GateOutcome) -> GateFigures {
        let GateOutcome { gate, passed, value, limit, .. } = *outcome;
        GateFigures { gate, passed, value, limit }
    }
}

impl fmt::Display for GateOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)?;
        self.advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
    }
}

impl GateOutcome {
    /// How far the figure is on the good side of its limit; below zero it is beyond it.
    pub fn room(&self) -> Option<f64> {
        let (value, limit) = (self.value?, self.limit?);
        Some(if self.gate.is_least() { value - limit } else { limit - value })
    }

    pub(crate) fn measured(mut self, value: f64, limit: f64) -> GateOutcome {
        self.value = value.is_finite().then_some(value);
        self.limit = Some(limit);
        self
    }

    /// The same for somebody who can be told where the rejected rows are listed.
    pub(crate) fn with_rejects(mut self, path: &Path) -> GateOutcome {
        let listed = format!("mend the rows listed in {}", path.display());
        self.advice = self.advice.map(|advice| advice.replace("mend the rejected rows", &listed));
        self
    }
}
