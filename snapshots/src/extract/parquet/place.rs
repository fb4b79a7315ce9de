//! Where in a Parquet file something is wrong.

/// A column of a row group. Row groups count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowGroupColumn {
    /// The row group.
    pub row_group: usize,
    /// The column.
    pub column: &'static str,
}

impl std::fmt::Display for RowGroupColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row group {}, column `{}`", self.row_group, self.column)
    }
}
