//! Writes people as rows of the extract into byte buffers, without an allocation per row.

use super::calendar::Calendar;
use super::draw::Draw;
use super::family::{Office, Person, Relation};
use super::mobiles::{self, Mobile};
use super::plan::Cover;

/// The header row.
pub(super) const HEADER: &[u8] =
    b"id_kind,person_id,category,relation,birth_date,coverage_start,coverage_end,\
student_until,document_due,principal_id,other_insurer,mobile,branch\n";

/// How the dates of a row are written; one clerk writes one way.
#[derive(Clone, Copy)]
pub(super) enum DateStyle {
    /// `1405/09/01`
    Jalali,
    /// `1405/9/1`
    JalaliShort,
    /// `14050901`
    JalaliCompact,
    /// `۱۴۰۵/۰۹/۰۱`
    JalaliPersian,
    /// `2026-11-22`
    Iso,
}

const STYLES: [(u32, DateStyle); 5] = [
    (960, DateStyle::Jalali),
    (12, DateStyle::JalaliShort),
    (8, DateStyle::JalaliCompact),
    (5, DateStyle::JalaliPersian),
    (15, DateStyle::Iso),
];

/// Cells that are no mobile number: a landline and cut numbers.
const UNREADABLE: [&[u8]; 3] = [b"02188776655", b"0912", b"0912 345"];

/// Writes rows; its draws are the population's own.
pub(super) struct RowWriter<'a> {
    pub(super) calendar: &'a Calendar,
}

impl RowWriter<'_> {
    /// The row by which the person stands in their family.
    pub(super) fn write_first(&self, out: &mut Vec<u8>, person: &Person, draw: &mut Draw) {
        let principal = (person.relation != Relation::Principal).then(|| person.principal.as_bytes());
        let category = if person.pensioner { "pensioner" } else { "insured" };
        self.write(
            out,
            person,
            draw,
            category,
            person.relation,
            &person.plan.in_family(),
            principal,
            person.office,
        );
    }

    /// The row of the entitlement that the person has of their own beside that.
    pub(super) fn write_own(&self, out: &mut Vec<u8>, person: &Person, cover: &Cover, draw: &mut Draw) {
        self.write(out, person, draw, "insured", Relation::Principal, cover, None, person.own_office);
    }

    #[expect(clippy::too_many_arguments, reason = "what differs between the two kinds of rows, in one place")]
    fn write(
        &self,
        out: &mut Vec<u8>,
        person: &Person,
        draw: &mut Draw,
        category: &str,
        relation: Relation,
        cover: &Cover,
        principal: Option<&[u8]>,
        office: Office,
    ) {
        let style = draw.weighted(&STYLES);
        let plan = &person.plan;
        out.extend_from_slice(if person.id.is_foreign() { b"F," } else { b"N," });
        cell(out, person.id.as_bytes());
        cell(out, category.as_bytes());
        cell(out, relation.code().as_bytes());
        self.date_cell(out, Some(plan.birth), style);
        self.date_cell(out, Some(cover.start), style);
        self.date_cell(out, cover.end, style);
        self.date_cell(out, plan.student_until.filter(|_| relation == Relation::Son), style);
        self.date_cell(out, plan.document_due.filter(|_| relation == Relation::Daughter), style);
        cell(out, principal.unwrap_or_default());
        cell(out, office.other_insurer.unwrap_or_default().as_bytes());
        match person.mobile {
            Mobile::None => {}
            Mobile::Unreadable => out.extend_from_slice(UNREADABLE[draw.below(3) as usize]),
            Mobile::Number(number) => mobiles::write(out, number, draw.weighted(&mobiles::IN_EXTRACT)),
        }
        out.push(b',');
        small_number(out, office.branch);
        out.push(b'\n');
    }

    fn date_cell(&self, out: &mut Vec<u8>, day: Option<i32>, style: DateStyle) {
        if let Some(day) = day {
            write_date(out, self.calendar, day, style);
        }
        out.push(b',');
    }
}

/// Writes a day in this style.
pub(super) fn write_date(out: &mut Vec<u8>, calendar: &Calendar, day: i32, style: DateStyle) {
    let jalali = calendar.jalali(day);
    match style {
        DateStyle::Jalali => out.extend_from_slice(jalali),
        DateStyle::Iso => out.extend_from_slice(calendar.iso(day)),
        DateStyle::JalaliPersian => mobiles::write_persian(out, jalali),
        DateStyle::JalaliCompact => out.extend(jalali.iter().filter(|&&byte| byte != b'/')),
        DateStyle::JalaliShort => {
            let mut parts = jalali.split(|&byte| byte == b'/');
            out.extend_from_slice(parts.next().unwrap_or_default());
            for part in parts {
                out.push(b'/');
                out.extend_from_slice(part.strip_prefix(b"0").unwrap_or(part));
            }
        }
    }
}

fn cell(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(b',');
}

/// Writes 1 to 9999; nothing for 0.
fn small_number(out: &mut Vec<u8>, number: u16) {
    let mut divisor = 1000;
    while divisor > 0 {
        if number >= divisor {
            out.push(b'0' + (number / divisor % 10) as u8);
        }
        divisor /= 10;
    }
}
