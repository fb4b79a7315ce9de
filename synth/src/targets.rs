//! A sample of inquiries with the answers that they must get, spread evenly over the population.
//!
//! Target by target a place in the order of people falls due; half of them take whoever stands there, the
//! other half wait for the next person of a wanted kind, kind after kind, so that rare archetypes appear even
//! in small samples. Nothing is kept of people who were not chosen. The expected answers come from `answers`.

use std::io::{self, Write};

use super::answers::{Answer, Reason, Until, answers};
use super::calendar::Calendar;
use super::draw::Draw;
use super::family::Person;
use super::ids::{IdDigits, Registry};
use super::mobiles::{self, Mobile, Spelling};
use super::plan::Kind;
use super::request::{Expected, General, Notices, Personal, PersonalAnswer, Request, Target};
use super::rows::{DateStyle, write_date};

/// What a target is an example of: an archetype, or something about the request itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Example {
    Archetype(Kind),
    /// Somebody with open-ended cover, asked about for inpatient care.
    Inpatient,
    /// Somebody whom another base insurer has too, asked about for inpatient care.
    OtherInsurer,
    /// A known person and a number that is not theirs.
    MobileMismatch,
    /// A known person without a readable number.
    MobileUnregistered,
    /// A valid ID that nobody holds.
    Unknown,
}

const SPECIAL: [Example; 5] = [
    Example::Inpatient,
    Example::OtherInsurer,
    Example::MobileMismatch,
    Example::MobileUnregistered,
    Example::Unknown,
];
/// Kinds of targets.
const EXAMPLES: usize = Kind::ALL.len() + SPECIAL.len();

impl Example {
    fn from_index(index: usize) -> Self {
        match Kind::ALL.get(index) {
            Some(&kind) => Example::Archetype(kind),
            None => SPECIAL[index - Kind::ALL.len()],
        }
    }

    fn index(self) -> usize {
        match self {
            Example::Archetype(kind) => kind as usize,
            Example::Inpatient => Kind::ALL.len(),
            Example::OtherInsurer => Kind::ALL.len() + 1,
            Example::MobileMismatch => Kind::ALL.len() + 2,
            Example::MobileUnregistered => Kind::ALL.len() + 3,
            Example::Unknown => Kind::ALL.len() + 4,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Example::Archetype(kind) => kind.code(),
            Example::Inpatient => "inpatient",
            Example::OtherInsurer => "other_insurer",
            Example::MobileMismatch => "mobile_mismatch",
            Example::MobileUnregistered => "mobile_unregistered",
            Example::Unknown => "unknown",
        }
    }
}

/// The codes that a target's `kind` may have, archetypes first.
pub fn target_kinds() -> impl Iterator<Item = &'static str> {
    (0..EXAMPLES).map(|index| Example::from_index(index).code())
}

/// Chooses people as they pass and writes their targets.
pub(super) struct Sampler<'a, W> {
    out: W,
    draw: Draw,
    calendar: &'a Calendar,
    as_of: i32,
    people: u64,
    count: u64,
    /// Targets whose turn has come.
    due: u64,
    wanted: [u32; EXAMPLES],
    waiting: u64,
    /// The kind that the next waiting target wants.
    next_wish: usize,
    seen: [bool; EXAMPLES],
    /// Scratch space for one text.
    text: Vec<u8>,
}

impl<'a, W: Write> Sampler<'a, W> {
    pub(super) fn new(
        out: W,
        draw: Draw,
        calendar: &'a Calendar,
        as_of: i32,
        people: u64,
        count: u64,
    ) -> Self {
        Sampler {
            out,
            draw,
            calendar,
            as_of,
            people,
            count,
            due: 0,
            wanted: [0; EXAMPLES],
            waiting: 0,
            next_wish: 0,
            seen: [false; EXAMPLES],
            text: Vec::new(),
        }
    }

    /// Offers the person who stands at `index`; every person is offered once, in order.
    pub(super) fn offer(&mut self, index: u64, person: &Person, registry: &Registry) -> io::Result<()> {
        while self.due < self.count && self.position(self.due) <= index {
            self.due += 1;
            if self.due.is_multiple_of(2) {
                self.wish(registry)?;
            } else {
                self.write_anyone(person, registry)?;
            }
        }
        if self.waiting > 0 {
            self.grant(person)?;
            // Towards the end whoever comes is taken, so that the sample is as large as was asked for.
            while self.waiting > self.people - index - 1 {
                self.waiting -= 1;
                self.write_anyone(person, registry)?;
            }
        }
        Ok(())
    }

    /// Writes what is still in the buffer and gives the number of targets.
    pub(super) fn finish(mut self) -> io::Result<(W, u64)> {
        self.out.flush()?;
        Ok((self.out, self.due))
    }

    /// The middle of the target's share of the population.
    fn position(&self, target: u64) -> u64 {
        let twice = (2 * u128::from(target) + 1) * u128::from(self.people);
        (twice / (2 * u128::from(self.count))) as u64
    }

    fn wish(&mut self, registry: &Registry) -> io::Result<()> {
        let example = Example::from_index(self.next_wish);
        self.next_wish = (self.next_wish + 1) % EXAMPLES;
        if example == Example::Unknown {
            return self.write_unknown(registry);
        }
        self.wanted[example.index()] += 1;
        self.waiting += 1;
        Ok(())
    }

    /// Uses this person for one of the wanted kinds, if they fit any.
    fn grant(&mut self, person: &Person) -> io::Result<()> {
        let registered = matches!(person.mobile, Mobile::Number(_));
        let candidates = [
            (registered, Example::Archetype(person.plan.kind)),
            (!registered, Example::MobileUnregistered),
            (registered && person.has_other_insurer(), Example::OtherInsurer),
            (registered && is_plainly_covered(person), Example::Inpatient),
            (registered, Example::MobileMismatch),
        ];
        for (fits, example) in candidates {
            if fits && self.wanted[example.index()] > 0 {
                self.wanted[example.index()] -= 1;
                self.waiting -= 1;
                return self.write_known(person, example);
            }
        }
        Ok(())
    }

    fn write_anyone(&mut self, person: &Person, registry: &Registry) -> io::Result<()> {
        if self.draw.permille(40) {
            return self.write_unknown(registry);
        }
        let example = match person.mobile {
            Mobile::Number(_) if self.draw.permille(120) => Example::MobileMismatch,
            Mobile::Number(_) if self.draw.permille(80) && person.has_other_insurer() => {
                Example::OtherInsurer
            }
            Mobile::Number(_) if self.draw.permille(80) && is_plainly_covered(person) => Example::Inpatient,
            Mobile::Number(_) => Example::Archetype(person.plan.kind),
            Mobile::None | Mobile::Unreadable => Example::MobileUnregistered,
        };
        self.write_known(person, example)
    }

    fn write_known(&mut self, person: &Person, example: Example) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.seen[example.index()], true);
        let known = answers(&person.plan, self.as_of);
        // The first target of a kind is written plainly and for the as-of date: it is what a demo shows.
        let other_day = !first && self.draw.permille(300);
        let answer = if other_day { known[self.draw.below(known.len() as u32) as usize] } else { known[0] };
        let inpatient = match example {
            Example::Inpatient | Example::OtherInsurer => true,
            _ => !first && self.draw.permille(200),
        };
        let own = match person.mobile {
            Mobile::Number(number) => Some(number),
            Mobile::None | Mobile::Unreadable => None,
        };
        let (asked, matches) = match (own, example) {
            (Some(number), Example::MobileMismatch) => (mobiles::another(number, &mut self.draw), false),
            (Some(number), _) => (number, true),
            (None, _) => (mobiles::number(&mut self.draw), false),
        };
        let target = Target {
            request: self.request(person.id, inpatient, asked, answer.day, first),
            expected: self.expected(&answer, inpatient, person.has_other_insurer(), matches),
            kind: example.code(),
        };
        self.write(&target)
    }

    fn write_unknown(&mut self, registry: &Registry) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.seen[Example::Unknown.index()], true);
        let id = match !first && self.draw.permille(100) {
            true => registry.never_issued_foreign(&mut self.draw),
            false => registry.never_issued_national(&mut self.draw),
        };
        let inpatient = !first && self.draw.permille(200);
        let mobile = mobiles::number(&mut self.draw);
        let other_day = !first && self.draw.permille(300);
        let day = if other_day { self.as_of - self.draw.between(1, 365) } else { self.as_of };
        let notices = Notices { inpatient, not_covered: true, ..Notices::default() };
        let target = Target {
            request: self.request(id, inpatient, mobile, day, first),
            expected: Expected {
                general: General { status: "not_covered", notices },
                personal: Personal::Refused("mobile_mismatch"),
            },
            kind: Example::Unknown.code(),
        };
        self.write(&target)
    }

    fn request(&mut self, id: IdDigits, inpatient: bool, mobile: u32, day: i32, plain: bool) -> Request {
        let id_kind = if id.is_foreign() { "foreign" } else { "national" };
        let care = if inpatient { "inpatient" } else { "outpatient" };
        let person_id = self.id_text(id, plain);
        let spelling = if plain { Spelling::Plain } else { self.draw.weighted(&mobiles::IN_REQUESTS) };
        let mobile = self.text_of(|text, _| mobiles::write(text, mobile, spelling));
        let style = match plain {
            true => DateStyle::Iso,
            false => self.draw.weighted(&[
                (450, DateStyle::Iso),
                (450, DateStyle::Jalali),
                (40, DateStyle::JalaliShort),
                (60, DateStyle::JalaliPersian),
            ]),
        };
        let service_date = self.text_of(|text, calendar| write_date(text, calendar, day, style));
        Request { person_id, id_kind, care, mobile, service_date }
    }

    /// The ID as somebody types it: sometimes without leading zeros, sometimes with other digits.
    fn id_text(&mut self, id: IdDigits, plain: bool) -> String {
        let mut digits = id.as_bytes().to_vec();
        let zeros = digits.iter().take(2).take_while(|&&digit| digit == b'0').count();
        if !plain && !id.is_foreign() && self.draw.permille(500) {
            digits.drain(..zeros);
        }
        match if plain { 0 } else { self.draw.below(100) } {
            0..88 => self.text_of(|text, _| text.extend_from_slice(&digits)),
            88..95 => self.text_of(|text, _| mobiles::write_persian(text, &digits)),
            _ => self.text_of(|text, _| mobiles::write_arabic_indic(text, &digits)),
        }
    }

    fn text_of(&mut self, write: impl FnOnce(&mut Vec<u8>, &Calendar)) -> String {
        self.text.clear();
        write(&mut self.text, self.calendar);
        String::from_utf8_lossy(&self.text).into_owned()
    }

    fn expected(&self, answer: &Answer, inpatient: bool, other_insurer: bool, matches: bool) -> Expected {
        let covered = answer.reason == Reason::Active;
        let status = if covered { "covered" } else { "not_covered" };
        let existing_rules = matches!(answer.reason, Reason::CertificateMissing | Reason::DocumentMissing);
        let notices = Notices {
            not_covered: !covered,
            existing_rules,
            inpatient,
            other_insurer: inpatient && other_insurer,
        };
        let personal = match matches {
            false => Personal::Refused("mobile_mismatch"),
            true => Personal::Answered(PersonalAnswer {
                status,
                reason: answer.reason.code(),
                end_date: match answer.until {
                    Until::Day(day) => Some(String::from_utf8_lossy(self.calendar.iso(day)).into_owned()),
                    Until::Open | Until::Never => None,
                },
                open_ended: answer.until == Until::Open,
                // A personal inquiry is always for outpatient care.
                notices: Notices { inpatient: false, other_insurer: false, ..notices },
            }),
        };
        Expected { general: General { status, notices }, personal }
    }

    fn write(&mut self, target: &Target) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, target)?;
        self.out.write_all(b"\n")
    }
}

/// Covered without an end and without anything else to say about it.
fn is_plainly_covered(person: &Person) -> bool {
    person.plan.kind == Kind::CoveredOpen && !person.has_other_insurer()
}
