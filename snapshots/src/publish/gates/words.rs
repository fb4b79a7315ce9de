//! The gates in words, for those who set their limits: what each compares, with which flag its limit is set, and
//! what that limit says. Judging is `gates`' work.

use crate::generation::gate::Gate;
use crate::publish::gates::GateLimits;

impl Gate {
    /// Those with a limit of their own, in the order in which they judge.
    pub const LIMITED: [Gate; 10] = [
        Gate::Rejected,
        Gate::Incomplete,
        Gate::Shared,
        Gate::MinPeople,
        Gate::People,
        Gate::Covered,
        Gate::Category,
        Gate::Relation,
        Gate::Area,
        Gate::AsOf,
    ];

    /// What it compares.
    pub fn compares(self) -> &'static str {
        match self {
            Gate::Rejected => "rejected rows, as a share of all rows of the extract",
            Gate::Incomplete => "people without a usable row, as a share of all people",
            Gate::Shared => "people who have one and the same entitlement, as a share of all people",
            Gate::MinPeople => "the number of people",
            Gate::People => "the number of people with that of the current generation",
            Gate::Covered => {
                "the share of people covered on the as-of date with that of the current generation on its own"
            }
            Gate::Category => "the people of each category with those of the current generation",
            Gate::Relation => "the people of each relation with those of the current generation",
            Gate::Area => {
                "the people of each leading three digits of the national ID with those of the current generation"
            }
            Gate::AsOf => "the as-of date with that of the current generation",
            Gate::Baseline => "whether the current generation can be read, to be compared with",
            Gate::RolledBack => "whether this very generation was rolled back before",
        }
    }

    /// The flag that sets its limit; none where only a reason helps.
    pub fn flag(self) -> Option<&'static str> {
        Some(match self {
            Gate::Rejected => "--max-rejected",
            Gate::Incomplete => "--max-incomplete",
            Gate::Shared => "--max-shared",
            Gate::MinPeople => "--min-people",
            Gate::People => "--max-people-change",
            Gate::Covered => "--max-covered-change",
            Gate::Category | Gate::Relation => "--max-group-change",
            Gate::Area => "--max-area-change",
            Gate::AsOf => "--allow-older",
            Gate::Baseline | Gate::RolledBack => return None,
        })
    }
}

impl GateLimits {
    /// What a gate allows, in words.
    pub fn allows(&self, gate: Gate) -> String {
        let share = |share: f64| format!("at most {} %", percent(share));
        let change = |share: f64| format!("a change of at most {} %", percent(share));
        match gate {
            Gate::Rejected => share(self.max_rejected),
            Gate::Incomplete => share(self.max_incomplete),
            Gate::Shared => share(self.max_shared),
            Gate::MinPeople => format!("at least {}", self.min_people),
            Gate::People => change(self.max_people_change),
            Gate::Covered => format!("a change of at most {} points", percent(self.max_covered_change)),
            Gate::Category | Gate::Relation => change(self.max_group_change),
            Gate::Area => {
                let change = change(self.max_area_change);
                format!("{change} where there are over {} people", self.area_people)
            }
            Gate::AsOf if self.allow_older => "any".to_owned(),
            Gate::AsOf => "not an older one".to_owned(),
            Gate::Baseline => "only where it can".to_owned(),
            Gate::RolledBack => "only what was not".to_owned(),
        }
    }
}

/// A share of 0 to 1 as a percentage, without the digits that binary fractions add.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

#[cfg(test)]
mod tests {
    use crate::generation::gate::Gate;
    use crate::publish::gates::GateLimits;

    #[test]
    fn codes_are_those_of_the_journal() {
        let all = Gate::LIMITED.into_iter().chain([Gate::Baseline, Gate::RolledBack]);
        for gate in all {
            assert_eq!(serde_json::to_string(&gate).unwrap(), format!("\"{}\"", gate.code()));
        }
    }

    #[test]
    fn limits_are_told_without_stray_digits() {
        let limits = GateLimits { max_rejected: 0.07, max_covered_change: 0.0029, ..GateLimits::default() };
        assert_eq!(limits.allows(Gate::Rejected), "at most 7 %");
        assert_eq!(limits.allows(Gate::Covered), "a change of at most 0.29 points");
        assert_eq!(limits.allows(Gate::Area), "a change of at most 10 % where there are over 1000 people");
        assert_eq!(limits.allows(Gate::AsOf), "not an older one");
    }
}
