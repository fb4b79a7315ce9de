//! Families: a principal and those who depend on them, with IDs, ages, cover and mobile numbers that fit
//! together. One family at a time is in memory.

use super::draw::Draw;
use super::ids::{IdDigits, Registry};
use super::mobiles::{self, Mobile};
use super::plan::{
    ADULT_DAYS_MAX, ADULT_DAYS_MIN, AGE_DAYS_MIN, Kind, MINOR_DAYS_MAX, OF_ADULT_SONS, OF_ANYBODY,
    OF_DAUGHTERS_WITH_DUE_DATE, OF_MINOR_SONS, Plan, Planner,
};

/// Days of a year, near enough for ages.
const YEAR: i32 = 365;
/// Families of foreign nationals, per mille.
const FOREIGN_PERMILLE: u32 = 40;
/// Parents are at least this much older than their children.
const GENERATION_DAYS: i32 = 18 * YEAR;
/// Insurance branches (شعبه) in use.
const BRANCHES: u32 = 1_100;

/// A member's place in the family.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Principal,
    Spouse,
    Son,
    Daughter,
    Father,
    Mother,
}

impl Relation {
    pub(super) fn code(self) -> &'static str {
        match self {
            Relation::Principal => "self",
            Relation::Spouse => "spouse",
            Relation::Son => "son",
            Relation::Daughter => "daughter",
            Relation::Father => "father",
            Relation::Mother => "mother",
        }
    }
}

/// What differs between two entitlements of one person, beside the dates.
#[derive(Clone, Copy)]
pub(super) struct Office {
    /// 0 is none.
    pub(super) branch: u16,
    pub(super) other_insurer: Option<&'static str>,
}

/// One person with all that their rows need.
#[derive(Clone, Copy)]
pub(super) struct Person {
    pub(super) id: IdDigits,
    pub(super) principal: IdDigits,
    pub(super) relation: Relation,
    pub(super) pensioner: bool,
    pub(super) mobile: Mobile,
    pub(super) office: Office,
    /// Of the entitlement of their own, when there is one.
    pub(super) own_office: Office,
    pub(super) plan: Plan,
}

impl Person {
    /// Whether any entitlement names another base insurer.
    pub(super) fn has_other_insurer(&self) -> bool {
        let own = self.plan.second.and(self.own_office.other_insurer);
        self.office.other_insurer.or(own).is_some()
    }
}

/// Makes families, one after the other.
pub(super) struct Families<'a> {
    pub(super) draw: Draw,
    pub(super) registry: Registry,
    pub(super) planner: Planner<'a>,
}

/// What the members of a family share.
struct Home {
    principal: IdDigits,
    foreign: bool,
    place: u16,
    pensioner: bool,
    branch: u16,
    mobile: Mobile,
    /// Age of the principal in days.
    age: i32,
}

impl Families<'_> {
    /// Fills `family` with the next one, cut to at most `limit` people.
    pub(super) fn next_into(&mut self, family: &mut Vec<Person>, limit: u64) {
        family.clear();
        let home = self.principal(family);
        let married = home.age > 20 * YEAR && self.draw.permille(720);
        let mut members = [(0, Relation::Spouse); 12];
        let mut count = 0;
        let mut add = |members: &mut [(i32, Relation)], relation, age| {
            members[count] = (age, relation);
            count += 1;
        };
        if married {
            let age = home.age - self.draw.between(-6 * YEAR, 9 * YEAR);
            add(&mut members, Relation::Spouse, age.max(19 * YEAR));
        }
        for _ in 0..self.children(married) {
            let (relation, age) = self.child(home.age - GENERATION_DAYS);
            add(&mut members, relation, age);
        }
        for relation in [Relation::Father, Relation::Mother] {
            if home.age < 60 * YEAR && self.draw.permille(45) {
                let age = home.age + self.draw.between(GENERATION_DAYS, 35 * YEAR);
                add(&mut members, relation, age);
            }
        }
        let room = usize::try_from(limit.saturating_sub(1)).unwrap_or(usize::MAX).min(count);
        for &(age, relation) in &members[..room] {
            let person = self.member(&home, relation, age);
            family.push(person);
        }
    }

    fn principal(&mut self, family: &mut Vec<Person>) -> Home {
        let pensioner = self.draw.permille(190);
        let (youngest, oldest) = if pensioner { (48, 92) } else { (19, 66) };
        // The mean of two draws: more people in the middle of their working life than at its ends.
        let ages = (self.age(youngest, oldest), self.age(youngest, oldest));
        let foreign = self.draw.permille(FOREIGN_PERMILLE);
        let place = self.registry.place(&mut self.draw);
        let branch = if self.draw.permille(50) { 0 } else { 1 + self.draw.below(BRANCHES) as u16 };
        let mobile = self.mobile(960);
        let id = self.issue(foreign, place);
        let age = (ages.0 + ages.1) / 2;
        let home = Home { principal: id, foreign, place, pensioner, branch, mobile, age };
        let kind = self.draw.weighted(&OF_ANYBODY);
        let plan = self.planner.plan(&mut self.draw, kind, age);
        let person = self.person(&home, id, Relation::Principal, plan, mobile);
        family.push(person);
        home
    }

    fn member(&mut self, home: &Home, relation: Relation, age: i32) -> Person {
        let place = match relation {
            Relation::Son | Relation::Daughter if self.draw.permille(850) => home.place,
            Relation::Spouse if self.draw.permille(600) => home.place,
            _ if self.draw.permille(500) => home.place,
            _ => self.registry.place(&mut self.draw),
        };
        let id = self.issue(home.foreign, place);
        let plan = self.member_plan(relation, age);
        let own = match relation {
            Relation::Spouse => 850,
            Relation::Father | Relation::Mother => 600,
            _ if age > 16 * YEAR => 550,
            _ => 0,
        };
        let mobile = if self.draw.permille(own) { self.mobile(960) } else { home.mobile };
        self.person(home, id, relation, plan, mobile)
    }

    fn member_plan(&mut self, relation: Relation, age: i32) -> Plan {
        let (draw, planner) = (&mut self.draw, &self.planner);
        match relation {
            Relation::Son if age > MINOR_DAYS_MAX => {
                let kind = draw.weighted(&OF_ADULT_SONS);
                planner.plan_adult_son(draw, kind, age)
            }
            Relation::Son => {
                let kind = draw.weighted(&OF_MINOR_SONS);
                planner.plan_minor_son(draw, kind, age)
            }
            // Sixteen years and more: the identity document is asked for at 18.
            Relation::Daughter if age > 16 * YEAR && draw.permille(350) => {
                let kind = draw.weighted(&OF_DAUGHTERS_WITH_DUE_DATE);
                planner.plan(draw, kind, age)
            }
            _ => {
                let kind = match draw.weighted(&OF_ANYBODY) {
                    // A child has no second entitlement, and no cover before birth.
                    Kind::Adjoining
                    | Kind::Overlapping
                    | Kind::GapCovered
                    | Kind::GapNow
                    | Kind::BothLapsed
                        if age < 18 * YEAR =>
                    {
                        Kind::CoveredOpen
                    }
                    kind => kind,
                };
                planner.plan(draw, kind, age)
            }
        }
    }

    fn person(
        &mut self,
        home: &Home,
        id: IdDigits,
        relation: Relation,
        plan: Plan,
        mobile: Mobile,
    ) -> Person {
        let office = Office { branch: home.branch, other_insurer: self.other_insurer() };
        let own_office = match plan.second {
            None => office,
            Some(_) => {
                let branch = 1 + self.draw.below(BRANCHES) as u16;
                Office { branch, other_insurer: self.other_insurer() }
            }
        };
        let (principal, pensioner) = (home.principal, home.pensioner);
        Person { id, principal, relation, pensioner, mobile, office, own_office, plan }
    }

    fn issue(&mut self, foreign: bool, place: u16) -> IdDigits {
        match foreign {
            true => self.registry.issue_foreign(&mut self.draw),
            false => self.registry.issue_national(place),
        }
    }

    fn children(&mut self, married: bool) -> u32 {
        match married {
            true => self.draw.weighted(&[(27, 0), (27, 1), (29, 2), (11, 3), (4, 4), (1, 5), (1, 6)]),
            false => self.draw.weighted(&[(90, 0), (7, 1), (3, 2)]),
        }
    }

    /// A child of at most this age: sons are minors or have turned 19 by a margin.
    fn child(&mut self, oldest: i32) -> (Relation, i32) {
        let oldest = oldest.max(AGE_DAYS_MIN);
        if self.draw.permille(480) {
            return (Relation::Daughter, self.draw.between(AGE_DAYS_MIN, oldest.min(38 * YEAR)));
        }
        let adult = oldest >= ADULT_DAYS_MAX && self.draw.permille(450);
        let age = match adult {
            true => self.draw.between(ADULT_DAYS_MIN, ADULT_DAYS_MAX),
            false => self.draw.between(AGE_DAYS_MIN, oldest.min(MINOR_DAYS_MAX)),
        };
        (Relation::Son, age)
    }

    fn age(&mut self, youngest: i32, oldest: i32) -> i32 {
        self.draw.between(youngest * YEAR, oldest * YEAR)
    }

    /// A number of their own, `share` times in a thousand; a very few were never readable.
    fn mobile(&mut self, share: u32) -> Mobile {
        if !self.draw.permille(share) {
            return Mobile::None;
        }
        match self.draw.below(2000) {
            0 => Mobile::Unreadable,
            _ => Mobile::Number(mobiles::number(&mut self.draw)),
        }
    }

    fn other_insurer(&mut self) -> Option<&'static str> {
        if !self.draw.permille(35) {
            return None;
        }
        Some(self.draw.weighted(&[(50, "IHIO"), (22, "AFMSO"), (18, "IKRF"), (10, "OTHER")]))
    }
}
