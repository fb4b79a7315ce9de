//! Counts of changes from one generation to another: for all people, and for the groups they belong to.

use std::collections::BTreeMap;

use engine::{EntitlementRecord, Person};
use serde::Serialize;

/// The group of people without a usable row, who have neither category nor relation.
const INCOMPLETE: &str = "incomplete";

/// A figure of both generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Both {
    /// Before.
    pub from: u64,
    /// After.
    pub to: u64,
}

/// What became of a person. The first that fits counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the generation after knows them.
    Appeared,
    /// Only the generation before knows them.
    Vanished,
    /// Not covered before, covered after.
    GainedCover,
    /// Covered before, not covered after.
    LostCover,
    /// The same status with a later end date, open-ended being the latest.
    EndLater,
    /// The same status with an earlier end date, or with none where there was one.
    EndEarlier,
    /// The same answer, from other entries: another reason, branch, insurer, mobile number or start.
    StoredOtherwise,
}

impl Change {
    /// The word for it.
    pub fn code(self) -> &'static str {
        match self {
            Change::Appeared => "appeared",
            Change::Vanished => "vanished",
            Change::GainedCover => "gained_cover",
            Change::LostCover => "lost_cover",
            Change::EndLater => "end_later",
            Change::EndEarlier => "end_earlier",
            Change::StoredOtherwise => "stored_otherwise",
        }
    }
}

/// People by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// See [`Change::Appeared`].
    pub appeared: u64,
    /// See [`Change::Vanished`].
    pub vanished: u64,
    /// See [`Change::GainedCover`].
    pub gained_cover: u64,
    /// See [`Change::LostCover`].
    pub lost_cover: u64,
    /// See [`Change::EndLater`].
    pub end_later: u64,
    /// See [`Change::EndEarlier`].
    pub end_earlier: u64,
    /// See [`Change::StoredOtherwise`].
    pub stored_otherwise: u64,
}

impl Changes {
    /// How many people a change befell.
    pub fn of(&mut self, change: Change) -> &mut u64 {
        match change {
            Change::Appeared => &mut self.appeared,
            Change::Vanished => &mut self.vanished,
            Change::GainedCover => &mut self.gained_cover,
            Change::LostCover => &mut self.lost_cover,
            Change::EndLater => &mut self.end_later,
            Change::EndEarlier => &mut self.end_earlier,
            Change::StoredOtherwise => &mut self.stored_otherwise,
        }
    }

    pub(crate) fn append(&mut self, next: &Changes) {
        self.appeared += next.appeared;
        self.vanished += next.vanished;
        self.gained_cover += next.gained_cover;
        self.lost_cover += next.lost_cover;
        self.end_later += next.end_later;
        self.end_earlier += next.end_earlier;
        self.stored_otherwise += next.stored_otherwise;
    }
}

/// A group of people, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How many it has.
    pub people: Both,
    /// What became of them.
    #[serde(flatten)]
    pub changes: Changes,
}

/// Groups by their code; `incomplete` are those without a usable row.
pub type GroupChanges = BTreeMap<String, Group>;

/// Which trait of an entitlement makes the groups.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trait {
    Category,
    Relation,
}

/// Changes by group, while they are counted.
#[derive(Debug)]
pub(crate) struct Groups {
    by: Trait,
    changes: BTreeMap<&'static str, Changes>,
}

impl Groups {
    pub(crate) fn new(by: Trait) -> Groups {
        Groups { by, changes: BTreeMap::new() }
    }

    /// Counts a person once in each group that either side has for them.
    pub(crate) fn add(&mut self, change: Change, sides: [Person<'_>; 2]) {
        let of = |by: Trait, side: usize, place: usize| match sides[side] {
            Person::Unknown => None,
            Person::Incomplete => (place == 0).then_some(INCOMPLETE),
            Person::Entitled(records) => records.get(place).map(|record| code(by, record)),
        };
        let by = self.by;
        let codes = |sides: std::ops::Range<usize>| {
            sides.flat_map(move |side| (0..).map_while(move |place| of(by, side, place)))
        };
        for (place, code) in codes(0..2).enumerate() {
            if codes(0..2).take(place).all(|before| before != code) {
                *self.changes.entry(code).or_default().of(change) += 1;
            }
        }
    }

    pub(crate) fn append(&mut self, next: &Groups) {
        for (code, changes) in &next.changes {
            self.changes.entry(code).or_default().append(changes);
        }
    }

    /// With the people of each group as both generations counted them.
    pub(crate) fn with_people(
        self,
        from: &BTreeMap<String, u64>,
        to: &BTreeMap<String, u64>,
        incomplete: Both,
    ) -> GroupChanges {
        let mut groups = GroupChanges::new();
        from.iter().for_each(|(code, count)| groups.entry(code.clone()).or_default().people.from = *count);
        to.iter().for_each(|(code, count)| groups.entry(code.clone()).or_default().people.to = *count);
        if incomplete != Both::default() {
            groups.entry(INCOMPLETE.to_owned()).or_default().people = incomplete;
        }
        for (code, changes) in self.changes {
            groups.entry(code.to_owned()).or_default().changes = changes;
        }
        groups
    }
}

fn code(by: Trait, record: &EntitlementRecord) -> &'static str {
    record.unpack().map_or("other", |entitlement| match by {
        Trait::Category => entitlement.category.code(),
        Trait::Relation => entitlement.relation.code(),
    })
}
