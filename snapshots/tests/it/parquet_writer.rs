//! Writes Parquet files for the tests, and the CSV of the same rows.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::support::HEADER;

/// The cells of a column, each in its stored form.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// Annotated as a string.
    Text(Vec<Option<Vec<u8>>>),
    /// The same without any annotation.
    Bytes(Vec<Option<Vec<u8>>>),
    Date(Vec<Option<i32>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    /// Integers that bear another annotation.
    Annotated(LogicalType, Vec<Option<i64>>),
    /// No value at all, in so many rows.
    Nothing(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) cells: Cells,
}

/// How a file is laid out; none of it may show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) compression: Compression,
    pub(crate) rows_per_group: usize,
    pub(crate) version: WriterVersion,
    pub(crate) dictionary: bool,
}

impl Default for Layout {
    fn default() -> Layout {
        let (compression, version) = (Compression::SNAPPY, WriterVersion::PARQUET_1_0);
        Layout { compression, rows_per_group: 1000, version, dictionary: true }
    }
}

pub(crate) fn text(cells: &[&str]) -> Cells {
    Cells::Text(cells.iter().map(|cell| (!cell.is_empty()).then(|| cell.as_bytes().to_vec())).collect())
}

/// The rows as fields of text, empty cells as nulls.
pub(crate) fn text_fields(names: &[&str], rows: &[Vec<&str>]) -> Vec<Field> {
    let column = |place: usize| rows.iter().map(|row| row[place]).collect::<Vec<_>>();
    let fields = names.iter().enumerate();
    fields.map(|(place, name)| Field { name: (*name).to_owned(), cells: text(&column(place)) }).collect()
}

/// The rows, whose cells hold no comma, as fields of text.
pub(crate) fn rows_as_fields(rows: &[&str]) -> Vec<Field> {
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.split(',').collect()).collect();
    text_fields(&HEADER.split(',').collect::<Vec<_>>(), &rows)
}

/// The place of a field.
pub(crate) fn field<'a>(fields: &'a mut [Field], name: &str) -> &'a mut Field {
    fields.iter_mut().find(|field| field.name == name).unwrap()
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Cells::Text(cells) | Cells::Bytes(cells) => cells.len(),
            Cells::Date(cells) | Cells::Int32(cells) => cells.len(),
            Cells::Int64(cells) | Cells::Annotated(_, cells) => cells.len(),
            Cells::Nothing(rows) => *rows,
        }
    }

    /// Whether every row has a value; such a column is written as one that must have them.
    fn is_full(&self) -> bool {
        match self {
            Cells::Text(cells) | Cells::Bytes(cells) => cells.iter().all(Option::is_some),
            Cells::Date(cells) | Cells::Int32(cells) => cells.iter().all(Option::is_some),
            Cells::Int64(cells) | Cells::Annotated(_, cells) => cells.iter().all(Option::is_some),
            Cells::Nothing(_) => false,
        }
    }

    fn stored(&self) -> (Physical, Option<LogicalType>) {
        match self {
            Cells::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Cells::Bytes(_) => (Physical::BYTE_ARRAY, None),
            Cells::Date(_) => (Physical::INT32, Some(LogicalType::Date)),
            Cells::Int32(_) => (Physical::INT32, None),
            Cells::Int64(_) => (Physical::INT64, None),
            Cells::Annotated(logical, _) => (Physical::INT64, Some(logical.clone())),
            Cells::Nothing(_) => (Physical::INT32, Some(LogicalType::Unknown)),
        }
    }

    /// The cell as a CSV would hold it.
    pub(crate) fn csv(&self, row: usize) -> String {
        let day =
            |days: i32| jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
        match self {
            Cells::Text(cells) | Cells::Bytes(cells) => {
                cells[row].clone().map_or(String::new(), |cell| String::from_utf8(cell).unwrap())
            }
            Cells::Date(cells) => cells[row].map_or(String::new(), |days| day(days).to_string()),
            Cells::Int32(cells) => cells[row].map_or(String::new(), |number| number.to_string()),
            Cells::Int64(cells) | Cells::Annotated(_, cells) => {
                cells[row].map_or(String::new(), |number| number.to_string())
            }
            Cells::Nothing(_) => String::new(),
        }
    }

    fn write(&self, rows: std::ops::Range<usize>, group: &mut SerializedRowGroupWriter<'_, File>) {
        let full = self.is_full();
        match self {
            Cells::Text(cells) | Cells::Bytes(cells) => {
                let cells = cells[rows].iter().map(|cell| cell.clone().map(ByteArray::from));
                write_column::<ByteArrayType>(cells, full, group);
            }
            Cells::Date(cells) | Cells::Int32(cells) => {
                write_column::<Int32Type>(cells[rows].iter().copied(), full, group);
            }
            Cells::Int64(cells) | Cells::Annotated(_, cells) => {
                write_column::<Int64Type>(cells[rows].iter().copied(), full, group);
            }
            Cells::Nothing(_) => write_column::<Int32Type>(rows.map(|_| None), full, group),
        }
    }
}

fn write_column<T: DataType>(
    cells: impl Iterator<Item = Option<T::T>>,
    full: bool,
    group: &mut SerializedRowGroupWriter<'_, File>,
) {
    let cells: Vec<_> = cells.collect();
    let levels: Vec<_> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<_> = cells.into_iter().flatten().collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(&values, (!full).then_some(&levels[..]), None).unwrap();
    column.close().unwrap();
}

fn field_type(field: &Field) -> Arc<Type> {
    let (physical, logical) = field.cells.stored();
    let built = Type::primitive_type_builder(&field.name, physical)
        .with_repetition(if field.cells.is_full() { Repetition::REQUIRED } else { Repetition::OPTIONAL })
        .with_logical_type(logical);
    Arc::new(built.build().unwrap())
}

pub(crate) fn properties(layout: Layout) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(layout.compression)
        .set_writer_version(layout.version)
        .set_dictionary_enabled(layout.dictionary)
        .set_data_page_size_limit(1 << 10)
        .set_write_batch_size(64)
        .build()
}

pub(crate) fn write_parquet(path: &Path, fields: &[Field], layout: Layout) {
    let schema = Type::group_type_builder("extract").with_fields(fields.iter().map(field_type).collect());
    let schema = Arc::new(schema.build().unwrap());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties(layout))).unwrap();
    let rows = fields[0].cells.len();
    for start in (0..rows).step_by(layout.rows_per_group) {
        let mut group = writer.next_row_group().unwrap();
        let range = start..rows.min(start + layout.rows_per_group);
        fields.iter().for_each(|field| field.cells.write(range.clone(), &mut group));
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// A CSV of the same rows, every cell in quotes.
pub(crate) fn csv_of(fields: &[Field]) -> String {
    let line = |cells: Vec<String>| {
        let quoted: Vec<_> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        quoted.join(",") + "\n"
    };
    let header = line(fields.iter().map(|field| field.name.clone()).collect());
    let rows =
        (0..fields[0].cells.len()).map(|row| line(fields.iter().map(|field| field.cells.csv(row)).collect()));
    header + &rows.collect::<String>()
}
