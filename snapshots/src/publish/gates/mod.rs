//! The gates between build and publish: what the large outages of such systems came from is bad data, and most
//! of it shows in a few figures. A refusal says which gate, by how much, and what to do.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use engine::Day;

use crate::generation::content::Content;
use crate::generation::gate::{Gate, GateOutcome};
use crate::generation::name::GenerationName;

/// What a generation may be like to be published. Shares are 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct GateLimits {
    /// Rejected rows of all rows.
    pub max_rejected: f64,
    /// Incomplete people of all people.
    pub max_incomplete: f64,
    /// People who share one stored entitlement, of all people.
    pub max_shared: f64,
    /// People, at least.
    pub min_people: u64,
    /// Change of the number of people against the current generation.
    pub max_people_change: f64,
    /// Change of the share of people covered on the as-of date, 0.01 being a point.
    pub max_covered_change: f64,
    /// Change of the people of each category and each relation.
    pub max_group_change: f64,
    /// Change of the people whose national IDs share their first three digits.
    pub max_area_change: f64,
    /// Such areas are compared where the current generation or the new one has more people than this.
    pub area_people: u64,
    /// Whether the as-of date may be older than the current generation's.
    pub allow_older: bool,
}

impl Default for GateLimits {
    fn default() -> GateLimits {
        GateLimits {
            max_rejected: 0.005,
            max_incomplete: 0.005,
            max_shared: 0.5,
            min_people: 1,
            max_people_change: 0.02,
            max_covered_change: 0.01,
            max_group_change: 0.05,
            max_area_change: 0.10,
            area_people: 1000,
            allow_older: false,
        }
    }
}

/// The generation that a new one is compared with.
pub(crate) enum Baseline {
    /// Nothing is current yet, or the very same generation is.
    None,
    Content(GenerationName, Box<Content>),
    Unreadable(GenerationName, String),
}

/// Judges a generation. Gates over many groups report their worst one.
pub(crate) fn judge(limits: &GateLimits, content: &Content, baseline: &Baseline) -> Vec<GateOutcome> {
    let mut outcomes = absolute(limits, content).to_vec();
    match baseline {
        Baseline::None => {}
        Baseline::Content(name, current) => outcomes.extend(relative(limits, content, name, current)),
        Baseline::Unreadable(name, fault) => outcomes.push(outcome(
            Gate::Baseline,
            false,
            format!("nothing can be compared with the current generation {name}: {fault}"),
            "look at the counts that the build printed, then publish it with --accept",
        )),
    }
    outcomes
}

fn outcome(gate: Gate, passed: bool, found: String, advice: &str) -> GateOutcome {
    let advice = (!passed).then(|| advice.to_owned());
    GateOutcome { gate, passed, value: None, limit: None, found, advice }
}

fn absolute(limits: &GateLimits, content: &Content) -> [GateOutcome; 4] {
    let Content { rows, rejected, people, incomplete, .. } = *content;
    let shared = content.statistics.shared_entitlement;
    let known = people + incomplete;
    [
        at_most(
            Gate::Rejected,
            format!("{rejected} of {rows} rows were rejected"),
            (rejected, rows, limits.max_rejected),
            "mend the rejected rows, or allow more with --max-rejected",
        ),
        at_most(
            Gate::Incomplete,
            format!("{incomplete} of {known} people are incomplete"),
            (incomplete, known, limits.max_incomplete),
            "mend the rejected rows, or allow more with --max-incomplete",
        ),
        // What one person alone has is shared by nobody.
        at_most(
            Gate::Shared,
            format!("{shared} of {people} people have the very same entitlement"),
            (if shared > 1 { shared } else { 0 }, people, limits.max_shared),
            "look for a constant column in the extract, or allow more with --max-shared",
        ),
        outcome(
            Gate::MinPeople,
            people >= limits.min_people,
            format!("there are {people} people, where at least {} are expected", limits.min_people),
            "check that the export was complete, or lower --min-people",
        )
        .measured(people as f64, limits.min_people as f64),
    ]
}

/// A share of a whole against its limit. An empty whole has no share.
fn at_most(gate: Gate, what: String, (part, whole, max): (u64, u64, f64), advice: &str) -> GateOutcome {
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let found = format!("{what}, a share of {share:.4} where at most {max} is allowed");
    outcome(gate, share <= max, found, advice).measured(share, max)
}

fn relative(
    limits: &GateLimits,
    content: &Content,
    name: &GenerationName,
    current: &Content,
) -> Vec<GateOutcome> {
    let (new, old) = (&content.statistics, &current.statistics);
    let within = |gate, what: &str, counts, max, flag: &str| {
        let advice = format!("check the export, or allow more with {flag}, or accept this one with --accept");
        worst_change(gate, what, name, counts, max, &advice)
    };
    let areas = groups(&old.leading_digits, &new.leading_digits)
        .filter(|(_, before, after)| *before.max(after) > limits.area_people);
    vec![
        within(
            Gate::People,
            "people",
            vec![("".into(), current.people, content.people)],
            limits.max_people_change,
            "--max-people-change",
        ),
        covered(limits, content, name, current),
        within(
            Gate::Category,
            "people of category ",
            groups(&old.categories, &new.categories).collect(),
            limits.max_group_change,
            "--max-group-change",
        ),
        within(
            Gate::Relation,
            "people of relation ",
            groups(&old.relations, &new.relations).collect(),
            limits.max_group_change,
            "--max-group-change",
        ),
        within(
            Gate::Area,
            "people with national IDs from ",
            areas.collect(),
            limits.max_area_change,
            "--max-area-change",
        ),
        as_of(limits, content, name, current),
    ]
}

/// Name, count before and count after of each group of either side.
fn groups<'a>(
    old: &'a BTreeMap<String, u64>,
    new: &'a BTreeMap<String, u64>,
) -> impl Iterator<Item = (String, u64, u64)> + 'a {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let count = |counts: &BTreeMap<String, u64>, name| counts.get(name).copied().unwrap_or(0);
    names.into_iter().map(move |name| (name.clone(), count(old, name), count(new, name)))
}

fn worst_change(
    gate: Gate,
    what: &str,
    baseline: &GenerationName,
    groups: Vec<(String, u64, u64)>,
    max: f64,
    advice: &str,
) -> GateOutcome {
    // From none to some is beyond any limit.
    let change = |before: u64, after: u64| match (before, after) {
        (0, 0) => 0.0,
        (0, _) => f64::INFINITY,
        _ => after.abs_diff(before) as f64 / before as f64,
    };
    let worst = groups
        .iter()
        .map(|(name, before, after)| (change(*before, *after), name, *before, *after))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((share, name, before, after)) = worst else {
        return outcome(gate, true, format!("no {} to compare with {baseline}", what.trim_end()), advice)
            .measured(0.0, max);
    };
    let sign = if after < before { "-" } else { "+" };
    let most = if groups.len() > 1 { ", the largest change" } else { "" };
    let found = format!(
        "{what}{name}: {after} after {before} in {baseline}, a change of {sign}{share:.4}{most}, where at most \
         {max} is allowed"
    );
    outcome(gate, share <= max, found.replace("people: ", "there are people: "), advice).measured(share, max)
}

fn covered(limits: &GateLimits, content: &Content, name: &GenerationName, current: &Content) -> GateOutcome {
    let counts = |content: &Content| (content.statistics.covered, content.people + content.incomplete);
    let share = |(covered, known): (u64, u64)| if known == 0 { 0.0 } else { covered as f64 / known as f64 };
    let (before, after) = (share(counts(current)), share(counts(content)));
    // The difference of two shares is a little off, and would refuse a change of just the limit: one of the whole
    // numbers over the common denominator is not.
    let (difference, whole) = share_difference(counts(current), counts(content));
    let change = difference / whole;
    let found = format!(
        "a share of {after:.4} is covered on the as-of date after {before:.4} in {name}, a change of \
         {change:.4} where at most {} is allowed",
        limits.max_covered_change
    );
    let advice = "check the dates of cover in the extract, or allow more with --max-covered-change, or accept \
                  this one with --accept";
    let max = limits.max_covered_change;
    outcome(Gate::Covered, difference <= max * whole, found, advice).measured(change, max)
}

/// By how much two shares differ, as a part of what comes after it. A share of nobody is none.
fn share_difference(before: (u64, u64), after: (u64, u64)) -> (f64, f64) {
    let whole = |(_, known): (u64, u64)| u128::from(known.max(1));
    let (a, b) = (u128::from(before.0) * whole(after), u128::from(after.0) * whole(before));
    (a.abs_diff(b) as f64, (whole(before) * whole(after)) as f64)
}

fn as_of(limits: &GateLimits, content: &Content, name: &GenerationName, current: &Content) -> GateOutcome {
    // ISO dates sort as they are written.
    let passed = limits.allow_older || content.as_of >= current.as_of;
    let found = format!("it is as of {} after {} in {name}", content.as_of, current.as_of);
    let advice = "give the newest extract with its --as-of; to go back use `snapshot rollback`, or allow it with \
                  --allow-older";
    let judged = outcome(Gate::AsOf, passed, found, advice);
    let day = |content: &Content| Day::parse(&content.as_of).ok().map(|day| f64::from(day.number()));
    match (day(content), day(current)) {
        (Some(after), Some(before)) if !limits.allow_older => judged.measured(after - before, 0.0),
        _ => judged,
    }
}

/// The refusal of one that was rolled back before.
pub(crate) fn rolled_back(why: Option<&str>) -> GateOutcome {
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    outcome(
        Gate::RolledBack,
        false,
        format!("this very generation was rolled back before{why}"),
        "build from a mended extract; to publish it all the same give the reason with --accept",
    )
}
