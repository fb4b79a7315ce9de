//! A second reading of what the generator writes, made for these tests alone: it takes nothing from the
//! generator and nothing from the extract reader, so that a shared mistake cannot cancel out.

use std::collections::HashMap;

use engine::{
    Branch, Category, Day, Entitlement, EntitlementRecord, IdKind, Insurer, Mobile, MobileKey, PersonId,
    Relation, nineteenth_birthday,
};

pub(super) const COLUMNS: &str = "id_kind,person_id,category,relation,birth_date,coverage_start,coverage_end,\
student_until,document_due,principal_id,other_insurer,mobile,branch";

/// A row as it stands; the generator quotes nothing.
pub(super) struct Row<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) category: &'a str,
    pub(super) relation: &'a str,
    pub(super) birth: &'a str,
    pub(super) start: &'a str,
    pub(super) end: &'a str,
    pub(super) student_until: &'a str,
    pub(super) document_due: &'a str,
    pub(super) principal: &'a str,
    pub(super) insurer: &'a str,
    pub(super) mobile: &'a str,
    pub(super) branch: &'a str,
}

/// Cuts an extract into rows.
pub(super) fn rows(extract: &str) -> Vec<Row<'_>> {
    let mut lines = extract.lines();
    assert_eq!(lines.next(), Some(COLUMNS));
    lines.map(row).collect()
}

fn row(line: &str) -> Row<'_> {
    let cells: Vec<&str> = line.split(',').collect();
    let [kind, id, category, relation, birth, start, end, rest @ ..] = &cells[..] else { panic!("{line}") };
    let [student_until, document_due, principal, insurer, mobile, branch] = rest else { panic!("{line}") };
    Row {
        kind,
        id,
        category,
        relation,
        birth,
        start,
        end,
        student_until,
        document_due,
        principal,
        insurer,
        mobile,
        branch,
    }
}

/// A date cell; empty is none.
pub(super) fn day(cell: &str) -> Option<Day> {
    (!cell.is_empty()).then(|| Day::parse(cell).unwrap_or_else(|error| panic!("{cell:?}: {error}")))
}

/// Whether the ten digits make a national ID, in the words of the rule.
pub(super) fn is_national(id: &str) -> bool {
    let digits: Vec<u32> = id.chars().filter_map(|digit| digit.to_digit(10)).collect();
    if id.len() != 10 || digits.len() != 10 {
        return false;
    }
    let ten_equal = digits.windows(2).all(|pair| pair[0] == pair[1]);
    let serial_zero = digits[3..9].iter().all(|&digit| digit == 0);
    let weighted: u32 = digits[..9].iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
    let remainder = weighted % 11;
    let control = if remainder < 2 { remainder } else { 11 - remainder };
    !ten_equal && !serial_zero && digits[9] == control
}

/// Whether a mobile cell holds a number, in the words of the rule.
pub(super) fn is_mobile(cell: &str) -> bool {
    let ascii: String = cell
        .chars()
        .filter(|mark| !matches!(mark, ' ' | '-'))
        .map(|mark| match mark as u32 {
            code @ 0x6f0..=0x6f9 => char::from(b'0' + (code - 0x6f0) as u8),
            _ => mark,
        })
        .collect();
    let number = ["+98", "0098", "98", "0"].iter().find_map(|prefix| ascii.strip_prefix(prefix));
    let number = number.unwrap_or(&ascii);
    number.len() == 10 && number.starts_with('9') && number.bytes().all(|digit| digit.is_ascii_digit())
}

impl Row<'_> {
    /// Holds this row against every rule of the extract; true when its mobile cell earns the one warning that
    /// the generator allows itself.
    pub(super) fn check(&self, as_of: Day) -> bool {
        let numeric = |cell: &str, lengths: std::ops::RangeInclusive<usize>| {
            lengths.contains(&cell.len()) && cell.bytes().all(|digit| digit.is_ascii_digit())
        };
        match self.kind {
            "N" => assert!(is_national(self.id), "a national ID is not valid"),
            kind => assert!(kind == "F" && numeric(self.id, 8..=16), "a foreign ID is not valid"),
        }
        assert!(["insured", "pensioner"].contains(&self.category));
        let relations = ["self", "spouse", "son", "daughter", "father", "mother"];
        assert!(relations.contains(&self.relation));
        let birth = day(self.birth).expect("every row has a birth date");
        let start = day(self.start).expect("every row has a start");
        assert!(birth < as_of);
        assert!(day(self.end).is_none_or(|end| start <= end));
        assert!(self.student_until.is_empty() || self.relation == "son");
        assert!(self.document_due.is_empty() || self.relation == "daughter");
        let _ = (day(self.student_until), day(self.document_due));
        match self.relation {
            "self" => assert_eq!(self.principal, ""),
            _ => assert!(numeric(self.principal, 8..=16)),
        }
        assert!(["", "IHIO", "AFMSO", "IKRF", "OTHER"].contains(&self.insurer));
        assert!(self.branch.is_empty() || (1..=9999).contains(&self.branch.parse::<u16>().unwrap()));
        !self.mobile.is_empty() && !is_mobile(self.mobile)
    }

    fn record(&self, person: PersonId, key: &MobileKey) -> EntitlementRecord {
        let birth = day(self.birth).expect("every row has a birth date");
        let mobile = Mobile::parse(self.mobile).unwrap_or_default();
        EntitlementRecord::pack(&Entitlement {
            category: Category::from_code(self.category).unwrap(),
            relation: Relation::from_code(self.relation).unwrap(),
            start: day(self.start).expect("every row has a start"),
            end: day(self.end),
            turns_19: nineteenth_birthday(birth),
            student_until: day(self.student_until),
            document_due: day(self.document_due),
            other_insurer: Insurer::from_code(self.insurer),
            branch: self.branch.parse().ok().and_then(Branch::new),
            mobile: mobile.map(|mobile| key.fingerprint(person, &mobile)),
        })
    }
}

/// Everybody's entitlements, without any of the machinery of a snapshot.
pub(super) fn people(extract: &str, key: &MobileKey) -> HashMap<PersonId, Vec<EntitlementRecord>> {
    let mut people: HashMap<PersonId, Vec<EntitlementRecord>> = HashMap::new();
    for row in rows(extract) {
        let kind = if row.kind == "F" { IdKind::Foreign } else { IdKind::National };
        let person = PersonId::parse(kind, row.id).expect("the generator writes valid IDs");
        people.entry(person).or_default().push(row.record(person, key));
    }
    people
}
