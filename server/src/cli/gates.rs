//! The limits of the gates between build and publish, as they are given: the same names as flags, in the environment
//! and in the TOML file of `serve`, for all commands that judge.

use std::str::FromStr;

use clap::Args;
use serde::Deserialize;
use snapshots::GateLimits;
use thiserror::Error;

/// What is not given falls to the next source, then to the default.
#[derive(Args, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GateSettings {
    /// Largest share of rejected rows [default: 0.005]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_REJECTED")]
    max_rejected: Option<Share>,
    /// Largest share of incomplete people [default: 0.005, or --max-rejected if that is more]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_INCOMPLETE")]
    max_incomplete: Option<Share>,
    /// Largest share of people with one and the same entitlement, 0.05 at least [default: 0.5]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_SHARED")]
    max_shared: Option<Share<SHARED_PERCENT_MIN>>,
    /// People, at least [default: 1]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_MIN_PEOPLE")]
    min_people: Option<u64>,
    /// Largest change of the number of people against the current generation [default: 0.02]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_PEOPLE_CHANGE")]
    max_people_change: Option<Share>,
    /// Largest change of the share of people covered on the as-of date; 0.01 is a point [default: 0.01]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_COVERED_CHANGE")]
    max_covered_change: Option<Share>,
    /// Largest change of the people of each category and relation [default: 0.05]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_GROUP_CHANGE")]
    max_group_change: Option<Share>,
    /// Largest change of the people of an area, whose IDs share their first three digits [default: 0.1]
    #[arg(long, value_name = "SHARE", env = "ESTEHQAQ_MAX_AREA_CHANGE")]
    max_area_change: Option<Share>,
    /// Areas are compared where there are more people than this, before or now [default: 1000]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_AREA_PEOPLE")]
    area_people: Option<u64>,
    /// Allow an as-of date older than the current generation's [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          env = "ESTEHQAQ_ALLOW_OLDER")]
    allow_older: Option<bool>,
}

impl GateSettings {
    /// What is not given here is taken from `lower`.
    pub(super) fn over(self, lower: GateSettings) -> GateSettings {
        GateSettings {
            max_rejected: self.max_rejected.or(lower.max_rejected),
            max_incomplete: self.max_incomplete.or(lower.max_incomplete),
            max_shared: self.max_shared.or(lower.max_shared),
            min_people: self.min_people.or(lower.min_people),
            max_people_change: self.max_people_change.or(lower.max_people_change),
            max_covered_change: self.max_covered_change.or(lower.max_covered_change),
            max_group_change: self.max_group_change.or(lower.max_group_change),
            max_area_change: self.max_area_change.or(lower.max_area_change),
            area_people: self.area_people.or(lower.area_people),
            allow_older: self.allow_older.or(lower.allow_older),
        }
    }

    pub(super) fn limits(&self) -> GateLimits {
        let usual = GateLimits::default();
        let or = |given: Option<Share>, usual: f64| given.map_or(usual, |share| share.0);
        let max_rejected = or(self.max_rejected, usual.max_rejected);
        GateLimits {
            max_rejected,
            // Whoever lets more rows be rejected does not want to be refused for the people of those.
            max_incomplete: or(self.max_incomplete, usual.max_incomplete.max(max_rejected)),
            max_shared: self.max_shared.map_or(usual.max_shared, |share| share.0),
            min_people: self.min_people.unwrap_or(usual.min_people),
            max_people_change: or(self.max_people_change, usual.max_people_change),
            max_covered_change: or(self.max_covered_change, usual.max_covered_change),
            max_group_change: or(self.max_group_change, usual.max_group_change),
            max_area_change: or(self.max_area_change, usual.max_area_change),
            area_people: self.area_people.unwrap_or(usual.area_people),
            allow_older: self.allow_older.unwrap_or(usual.allow_older),
        }
    }
}

/// An entitlement that fewer people share is not counted.
const SHARED_PERCENT_MIN: u8 = 5;

/// A part of a whole: so many percent at least, 1 at most.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Share<const PERCENT_MIN: u8 = 0>(f64);

/// The text or number is no part of a whole, or too small a part.
#[derive(Debug, Error)]
#[error("give a number from {} to 1", f64::from(*.0) / 100.0)]
struct NoShare(u8);

impl<const PERCENT_MIN: u8> TryFrom<f64> for Share<PERCENT_MIN> {
    type Error = NoShare;

    fn try_from(share: f64) -> Result<Share<PERCENT_MIN>, NoShare> {
        let min = f64::from(PERCENT_MIN) / 100.0;
        if (min..=1.0).contains(&share) { Ok(Share(share)) } else { Err(NoShare(PERCENT_MIN)) }
    }
}

impl<const PERCENT_MIN: u8> FromStr for Share<PERCENT_MIN> {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Share<PERCENT_MIN>, NoShare> {
        text.parse::<f64>().map_err(|_| NoShare(PERCENT_MIN))?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};
    use snapshots::{Gate, GateLimits};

    use super::GateSettings;

    #[test]
    fn what_is_given_lies_over_what_stands_below() {
        let below = "max_rejected = 0.1\nmin_people = 7\nallow_older = true\narea_people = 5\n";
        let below: GateSettings = toml::from_str(below).unwrap();
        let given: GateSettings = toml::from_str("max_rejected = 0.2\nallow_older = false\n").unwrap();
        let limits = given.over(below).limits();
        assert_eq!((limits.max_rejected, limits.max_incomplete), (0.2, 0.2));
        assert_eq!((limits.min_people, limits.area_people, limits.allow_older), (7, 5, false));
        for wrong in [
            "max_shared = 1.5",
            "max_shared = 0.04",
            "max_rejected = -0.1",
            "max_people = 1",
            "min_people = -1",
        ] {
            assert!(toml::from_str::<GateSettings>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_help_tells_the_defaults_and_each_gate_has_its_flag_and_variable() {
        let command = GateSettings::augment_args(Command::new("judge"));
        let argument = |flag: &str| {
            let id = flag.trim_start_matches("--").replace('-', "_");
            let found = command.get_arguments().find(|argument| argument.get_id() == id.as_str());
            found.unwrap_or_else(|| panic!("{flag} is no flag")).clone()
        };
        let usual = GateLimits::default();
        for (flag, default) in [
            ("--max-rejected", usual.max_rejected.to_string()),
            ("--max-incomplete", usual.max_incomplete.to_string()),
            ("--max-shared", usual.max_shared.to_string()),
            ("--min-people", usual.min_people.to_string()),
            ("--max-people-change", usual.max_people_change.to_string()),
            ("--max-covered-change", usual.max_covered_change.to_string()),
            ("--max-group-change", usual.max_group_change.to_string()),
            ("--max-area-change", usual.max_area_change.to_string()),
            ("--area-people", usual.area_people.to_string()),
            ("--allow-older", usual.allow_older.to_string()),
        ] {
            let help = argument(flag).get_help().unwrap().to_string();
            assert!(help.contains(&format!("[default: {default}")), "{flag}: {help}");
            let variable = format!("ESTEHQAQ_{}", flag[2..].to_uppercase().replace('-', "_"));
            assert_eq!(argument(flag).get_env().unwrap(), variable.as_str());
        }
        assert_eq!(GateSettings::default().limits(), usual);
        Gate::LIMITED.iter().for_each(|gate| drop(argument(gate.flag().unwrap())));
    }
}
