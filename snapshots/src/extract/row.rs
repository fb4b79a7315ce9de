//! Checks one row: the first reject rule that matches wins, everything else is a warning (PRODUCT.md section
//! 2). Dirty data must not deny treatment: a row is rejected only where its person, or the days of its cover,
//! cannot be known.

use engine::{
    Branch, Category, DateError, Day, Entitlement, EntitlementRecord, IdKind, Insurer, Mobile, MobileKey,
    PersonId, PersonIdError, Relation, clean_cell, nineteenth_birthday,
};

use super::header::{Column, RowCells};

/// Why a row is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectRule {
    /// Not as many cells as the header.
    BadRow,
    /// Neither `N` nor `F`.
    BadIdKind,
    /// Not an ID of its kind.
    BadPersonId,
    /// The check digit is wrong.
    BadCheckDigit,
    /// Not a date.
    BadDate,
    /// A date outside the range.
    DateOutOfRange,
    /// Cover ends before it starts.
    EndBeforeStart,
}

impl RejectRule {
    /// The rule's stable code.
    pub fn code(self) -> &'static str {
        match self {
            RejectRule::BadRow => "bad_row",
            RejectRule::BadIdKind => "bad_id_kind",
            RejectRule::BadPersonId => PersonIdError::Malformed.code(),
            RejectRule::BadCheckDigit => PersonIdError::CheckDigit.code(),
            RejectRule::BadDate => DateError::BadDate.code(),
            RejectRule::DateOutOfRange => DateError::OutOfRange.code(),
            RejectRule::EndBeforeStart => "end_before_start",
        }
    }

    /// What helps to fix the row: what the column should hold. Holds no comma.
    pub(crate) fn help(self) -> &'static str {
        match self {
            RejectRule::BadRow => "as many cells as the header",
            RejectRule::BadIdKind => "N or F",
            RejectRule::BadPersonId => "N: 8 to 10 digits that can be an ID; F: 8 to 16 digits",
            RejectRule::BadCheckDigit => "the last digit does not fit the others",
            RejectRule::BadDate => "a real day as YYYY/M/D or YYYY-M-D or YYYYMMDD",
            RejectRule::DateOutOfRange => "a day within 1900-01-01..2079-06-05",
            RejectRule::EndBeforeStart => "not before coverage_start",
        }
    }
}

impl From<PersonIdError> for RejectRule {
    fn from(error: PersonIdError) -> RejectRule {
        match error {
            PersonIdError::Malformed => RejectRule::BadPersonId,
            PersonIdError::CheckDigit => RejectRule::BadCheckDigit,
        }
    }
}

impl From<DateError> for RejectRule {
    fn from(error: DateError) -> RejectRule {
        match error {
            DateError::BadDate => RejectRule::BadDate,
            DateError::OutOfRange => RejectRule::DateOutOfRange,
        }
    }
}

/// What was set right, or left out, in an accepted row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Stored as other.
    UnknownCategory,
    /// Stored as other.
    UnknownRelation,
    /// Stored as none.
    BadStudentUntil,
    /// Stored as none.
    BadDocumentDue,
    /// A dependant without a principal.
    MissingPrincipal,
    /// A principal that is not 8 to 16 digits.
    BadPrincipalId,
    /// Stored as OTHER.
    UnknownInsurer,
    /// Stored as none.
    BadMobile,
    /// Stored as none.
    BadBranch,
}

impl Warning {
    const ALL: [Warning; 9] = [
        Warning::UnknownCategory,
        Warning::UnknownRelation,
        Warning::BadStudentUntil,
        Warning::BadDocumentDue,
        Warning::MissingPrincipal,
        Warning::BadPrincipalId,
        Warning::UnknownInsurer,
        Warning::BadMobile,
        Warning::BadBranch,
    ];

    /// The rule's stable code.
    pub fn code(self) -> &'static str {
        match self {
            Warning::UnknownCategory => "unknown_category",
            Warning::UnknownRelation => "unknown_relation",
            Warning::BadStudentUntil => "bad_student_until",
            Warning::BadDocumentDue => "bad_document_due",
            Warning::MissingPrincipal => "missing_principal",
            Warning::BadPrincipalId => "bad_principal_id",
            Warning::UnknownInsurer => "unknown_insurer",
            Warning::BadMobile => "bad_mobile",
            Warning::BadBranch => "bad_branch",
        }
    }
}

/// How often each warning was given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WarningCounts([u64; Warning::ALL.len()]);

impl WarningCounts {
    fn add(&mut self, warning: Warning) {
        self.0[warning as usize] += 1;
    }

    /// Adds another's counts.
    pub(crate) fn merge(&mut self, other: &WarningCounts) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// Code and count of the warnings that were given.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = Warning::ALL.into_iter().zip(self.0);
        counted.filter(|&(_, count)| count > 0).map(|(warning, count)| (warning.code(), count))
    }
}

/// The outcome of one row.
#[derive(Debug)]
pub(crate) enum CheckedRow {
    Accepted {
        person: PersonId,
        record: EntitlementRecord,
    },
    /// With the person, where the ID passed all its checks.
    Rejected {
        rule: RejectRule,
        column: Option<Column>,
        person: Option<PersonId>,
    },
}

impl CheckedRow {
    /// A row that has not as many cells as the header.
    pub(crate) const BAD_ROW: CheckedRow =
        CheckedRow::Rejected { rule: RejectRule::BadRow, column: None, person: None };
}

/// Checks rows; fingerprints mobile numbers under one key.
pub(crate) struct RowChecker<'a> {
    mobile_key: &'a MobileKey,
    /// Of accepted rows only.
    warnings: WarningCounts,
}

/// A reject rule with the column at fault.
type Fault = (RejectRule, Column);

impl<'a> RowChecker<'a> {
    pub(crate) fn new(mobile_key: &'a MobileKey) -> RowChecker<'a> {
        RowChecker { mobile_key, warnings: WarningCounts::default() }
    }

    /// The warnings of the rows accepted so far.
    pub(crate) fn warnings(&self) -> &WarningCounts {
        &self.warnings
    }

    pub(crate) fn check(&mut self, cells: impl RowCells) -> CheckedRow {
        let row = Row { cells };
        let person = match row.person() {
            Ok(person) => person,
            Err((rule, column)) => {
                return CheckedRow::Rejected { rule, column: Some(column), person: None };
            }
        };
        let mut warnings = WarningCounts::default();
        match row.entitlement(person, self.mobile_key, &mut warnings) {
            Ok(entitlement) => {
                self.warnings.merge(&warnings);
                CheckedRow::Accepted { person, record: EntitlementRecord::pack(&entitlement) }
            }
            Err((rule, column)) => CheckedRow::Rejected { rule, column: Some(column), person: Some(person) },
        }
    }
}

/// One row that is being checked.
struct Row<R> {
    cells: R,
}

impl<R: RowCells> Row<R> {
    fn person(&self) -> Result<PersonId, Fault> {
        let kind = match &*clean_cell(self.cell(Column::IdKind)) {
            "N" | "n" => IdKind::National,
            "F" | "f" => IdKind::Foreign,
            _ => return Err((RejectRule::BadIdKind, Column::IdKind)),
        };
        PersonId::parse(kind, self.cell(Column::PersonId)).map_err(|error| (error.into(), Column::PersonId))
    }

    /// The columns in the order of the contract.
    fn entitlement(
        &self,
        person: PersonId,
        mobile_key: &MobileKey,
        warnings: &mut WarningCounts,
    ) -> Result<Entitlement, Fault> {
        let category = self.code(Column::Category, Category::from_code).unwrap_or_else(|| {
            warnings.add(Warning::UnknownCategory);
            Category::OTHER
        });
        let relation = self.code(Column::Relation, Relation::from_code).unwrap_or_else(|| {
            warnings.add(Warning::UnknownRelation);
            Relation::Other
        });
        let turns_19 = match relation {
            Relation::Son => nineteenth_birthday(self.date(Column::BirthDate)?),
            _ => None,
        };
        let (start, end) = self.days_of_cover()?;
        let student_until = match relation {
            Relation::Son => self.lenient_date(Column::StudentUntil, Warning::BadStudentUntil, warnings),
            _ => None,
        };
        let document_due = match relation {
            Relation::Daughter => self.lenient_date(Column::DocumentDue, Warning::BadDocumentDue, warnings),
            _ => None,
        };
        self.check_principal(relation, warnings);
        let other_insurer = self.other_insurer(warnings);
        let mobile = Mobile::parse(self.cell(Column::Mobile)).unwrap_or_else(|_| {
            warnings.add(Warning::BadMobile);
            None
        });
        Ok(Entitlement {
            category,
            relation,
            start,
            end,
            turns_19,
            student_until,
            document_due,
            other_insurer,
            branch: self.branch(warnings),
            mobile: mobile.map(|mobile| mobile_key.fingerprint(person, &mobile)),
        })
    }

    fn cell(&self, column: Column) -> &str {
        self.cells.cell(column)
    }

    fn code<T>(&self, column: Column, from_code: fn(&str) -> Option<T>) -> Option<T> {
        from_code(&clean_cell(self.cell(column)))
    }

    fn date(&self, column: Column) -> Result<Day, Fault> {
        Day::parse(self.cell(column)).map_err(|error| (error.into(), column))
    }

    fn days_of_cover(&self) -> Result<(Day, Option<Day>), Fault> {
        let start = self.date(Column::CoverageStart)?;
        if clean_cell(self.cell(Column::CoverageEnd)).is_empty() {
            return Ok((start, None));
        }
        let end = self.date(Column::CoverageEnd)?;
        if end < start {
            return Err((RejectRule::EndBeforeStart, Column::CoverageEnd));
        }
        Ok((start, Some(end)))
    }

    fn lenient_date(&self, column: Column, warning: Warning, warnings: &mut WarningCounts) -> Option<Day> {
        let cell = clean_cell(self.cell(column));
        if cell.is_empty() {
            return None;
        }
        let day = Day::parse(&cell).ok();
        if day.is_none() {
            warnings.add(warning);
        }
        day
    }

    fn check_principal(&self, relation: Relation, warnings: &mut WarningCounts) {
        if relation == Relation::Itself {
            return;
        }
        let cell = clean_cell(self.cell(Column::PrincipalId));
        if cell.is_empty() {
            warnings.add(Warning::MissingPrincipal);
        } else if !(8..=16).contains(&cell.len()) || !cell.bytes().all(|byte| byte.is_ascii_digit()) {
            warnings.add(Warning::BadPrincipalId);
        }
    }

    fn other_insurer(&self, warnings: &mut WarningCounts) -> Option<Insurer> {
        let cell = clean_cell(self.cell(Column::OtherInsurer));
        if cell.is_empty() {
            return None;
        }
        let insurer = Insurer::from_code(&cell);
        if insurer.is_none() {
            warnings.add(Warning::UnknownInsurer);
        }
        insurer.or(Some(Insurer::Other))
    }

    fn branch(&self, warnings: &mut WarningCounts) -> Option<Branch> {
        let cell = clean_cell(self.cell(Column::Branch));
        if cell.is_empty() {
            return None;
        }
        let digits = cell.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { cell.parse().ok() } else { None };
        let branch = number.and_then(Branch::new);
        if branch.is_none() {
            warnings.add(Warning::BadBranch);
        }
        branch
    }
}
