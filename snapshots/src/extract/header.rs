//! Finds the columns of the extract by their names: those in the header of a CSV, or those of a Parquet file.

use engine::clean_cell;

use super::cells::Cells;
use super::error::ExtractError;

/// A column of the extract (PRODUCT.md section 2), in the order in which a row is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Column {
    IdKind,
    PersonId,
    Category,
    Relation,
    BirthDate,
    CoverageStart,
    CoverageEnd,
    StudentUntil,
    DocumentDue,
    PrincipalId,
    OtherInsurer,
    Mobile,
    Branch,
}

/// All of them, in that order.
pub(crate) const COLUMNS: [Column; 13] = [
    Column::IdKind,
    Column::PersonId,
    Column::Category,
    Column::Relation,
    Column::BirthDate,
    Column::CoverageStart,
    Column::CoverageEnd,
    Column::StudentUntil,
    Column::DocumentDue,
    Column::PrincipalId,
    Column::OtherInsurer,
    Column::Mobile,
    Column::Branch,
];

const NAMES: [&str; COLUMNS.len()] = [
    "id_kind",
    "person_id",
    "category",
    "relation",
    "birth_date",
    "coverage_start",
    "coverage_end",
    "student_until",
    "document_due",
    "principal_id",
    "other_insurer",
    "mobile",
    "branch",
];

impl Column {
    pub(crate) fn name(self) -> &'static str {
        NAMES[usize::from(self as u8)]
    }

    /// Whether its cells are days.
    pub(crate) fn is_date(self) -> bool {
        match self {
            Column::BirthDate
            | Column::CoverageStart
            | Column::CoverageEnd
            | Column::StudentUntil
            | Column::DocumentDue => true,
            Column::IdKind
            | Column::PersonId
            | Column::Category
            | Column::Relation
            | Column::PrincipalId
            | Column::OtherInsurer
            | Column::Mobile
            | Column::Branch => false,
        }
    }
}

/// One row of the extract with all its columns, in whatever form they are stored.
pub(crate) trait RowCells {
    /// The cell of that column, as it stands; empty where there is nothing.
    fn cell(&self, column: Column) -> &str;
}

/// Where each column stands among these names. Unknown columns are passed over, in whatever number.
pub(crate) fn find_columns<'a>(
    names: impl Iterator<Item = &'a str>,
    line: u64,
) -> Result<[usize; COLUMNS.len()], ExtractError> {
    let mut places = [None; COLUMNS.len()];
    for (place, name) in names.enumerate() {
        let name = clean_cell(name);
        let Some(column) = NAMES.iter().position(|&known| known == name) else { continue };
        if places[column].replace(place).is_some() {
            return Err(ExtractError::RepeatedColumn { line, column: NAMES[column] });
        }
    }
    let mut found = [0; COLUMNS.len()];
    for (column, place) in places.into_iter().enumerate() {
        found[column] = place.ok_or(ExtractError::MissingColumn { line, column: NAMES[column] })?;
    }
    Ok(found)
}

/// Where each column of a CSV stands.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    places: [usize; COLUMNS.len()],
    cells_per_row: usize,
}

impl Columns {
    /// Reads the header.
    pub(crate) fn from_header(header: Cells<'_>, line: u64) -> Result<Columns, ExtractError> {
        Ok(Columns { places: find_columns(header.iter(), line)?, cells_per_row: header.len() })
    }

    /// How many cells a row must have.
    pub(crate) fn cells_per_row(&self) -> usize {
        self.cells_per_row
    }

    /// The row of these cells, if it has as many as the header.
    pub(crate) fn row<'a>(&'a self, cells: Cells<'a>) -> Option<CsvRow<'a>> {
        (cells.len() == self.cells_per_row).then_some(CsvRow { columns: self, cells })
    }
}

/// One row of a CSV.
#[derive(Clone, Copy)]
pub(crate) struct CsvRow<'a> {
    columns: &'a Columns,
    cells: Cells<'a>,
}

impl RowCells for CsvRow<'_> {
    fn cell(&self, column: Column) -> &str {
        self.cells.get(self.columns.places[usize::from(column as u8)])
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Column, Columns, NAMES};
    use crate::extract::CellReader;

    fn columns(header: &str) -> Result<Columns, String> {
        let mut reader = CellReader::new(40);
        Columns::from_header(reader.split(header.as_bytes()).unwrap(), 1).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_numbered_by_their_place() {
        for (number, column) in COLUMNS.into_iter().enumerate() {
            assert_eq!(usize::from(column as u8), number);
        }
    }

    #[test]
    fn any_order_with_unknown_columns_and_marks() {
        let mut names: Vec<_> = NAMES.iter().map(|name| format!(" {name}\u{200C}")).collect();
        names.reverse();
        names.insert(0, "remark".to_owned());
        names.push("remark".to_owned());
        let columns = columns(&names.join(",")).unwrap();
        assert_eq!(columns.cells_per_row(), 15);
        assert_eq!(columns.places[Column::IdKind as usize], 13);
    }

    #[test]
    fn missing_and_repeated_columns_refuse_the_file() {
        let error = columns(&NAMES[1..].join(",")).unwrap_err();
        assert!(error.starts_with("line 1: the header has no column `id_kind`"), "{error}");
        let error = columns(&format!("{},branch ", NAMES.join(","))).unwrap_err();
        assert!(error.starts_with("line 1: the header has the column `branch` more than once"), "{error}");
        let error = columns(&NAMES.join(",").to_uppercase()).unwrap_err();
        assert!(error.contains("lower case"), "{error}");
    }
}
