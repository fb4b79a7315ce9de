//! Finds the columns of the extract by the names in its header.

use engine::clean_cell;

use super::{Cells, ExtractError};

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

const NAMES: [&str; 13] = [
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
}

/// Where each column stands.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    places: [usize; NAMES.len()],
    cells_per_row: usize,
}

impl Columns {
    /// Reads the header. Unknown columns are passed over, in whatever number.
    pub(crate) fn from_header(header: Cells<'_>, line: u64) -> Result<Columns, ExtractError> {
        let mut places = [None; NAMES.len()];
        for (place, cell) in header.iter().enumerate() {
            let name = clean_cell(cell);
            let Some(column) = NAMES.iter().position(|&known| known == name) else { continue };
            if places[column].replace(place).is_some() {
                return Err(ExtractError::RepeatedColumn { line, column: NAMES[column] });
            }
        }
        let mut found = [0; NAMES.len()];
        for (column, place) in places.into_iter().enumerate() {
            found[column] = place.ok_or(ExtractError::MissingColumn { line, column: NAMES[column] })?;
        }
        Ok(Columns { places: found, cells_per_row: header.len() })
    }

    /// How many cells a row must have.
    pub(crate) fn cells_per_row(&self) -> usize {
        self.cells_per_row
    }

    /// The cell of that column, as it stands.
    pub(crate) fn cell<'a>(&self, cells: Cells<'a>, column: Column) -> &'a str {
        cells.get(self.places[usize::from(column as u8)])
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Columns, NAMES};
    use crate::extract::CellReader;

    fn columns(header: &str) -> Result<Columns, String> {
        let mut reader = CellReader::new(40);
        Columns::from_header(reader.split(header.as_bytes()).unwrap(), 1).map_err(|error| error.to_string())
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
