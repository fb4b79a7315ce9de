//! Finds the columns of a Parquet extract and how each is stored. What a column may be is decided here; everything
//! else refuses the file, with what to do.

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type};

use crate::extract::error::ExtractError;
use crate::extract::header::{COLUMNS, Column, find_columns};

/// How the cells of a column are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Bytes, UTF-8.
    Text,
    /// Days since 1970-01-01.
    Date,
    /// Digits that were stored as a number: YYYYMMDD, or a branch. Signed or not is all the same: what does not fit
    /// the signed type is not valid either way.
    Integer,
    /// Nothing: every cell is null.
    Null,
}

/// A column of the extract in the file.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The number of the column among those that hold values.
    pub(super) leaf: usize,
    pub(super) descriptor: ColumnDescPtr,
    pub(super) form: Form,
}

/// A place for each column, or what is wrong with the first that has none.
pub(super) fn plan_columns(schema: &SchemaDescriptor) -> Result<[Plan; COLUMNS.len()], ExtractError> {
    let fields = schema.root_schema().get_fields();
    // The names stand where a CSV has its header.
    let places = find_columns(fields.iter().map(|field| field.name()), 1)?;
    let mut plans = Vec::with_capacity(COLUMNS.len());
    for (column, place) in COLUMNS.into_iter().zip(places) {
        plans.push(plan_column(schema, column, place, &fields[place])?);
    }
    Ok(plans.try_into().expect("one plan for each column"))
}

fn plan_column(
    schema: &SchemaDescriptor,
    column: Column,
    place: usize,
    field: &Type,
) -> Result<Plan, ExtractError> {
    let refused =
        |found: String| ExtractError::ColumnType { column: column.name(), found, wanted: wanted(column) };
    if !field.is_primitive() {
        return Err(refused("nested".to_owned()));
    }
    if field.get_basic_info().has_repetition() && field.get_basic_info().repetition() == Repetition::REPEATED
    {
        return Err(refused("a list".to_owned()));
    }
    let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == place);
    let leaf = leaf.expect("a column that is not nested holds values itself");
    let descriptor = schema.column(leaf);
    let form = form_of(&descriptor).filter(|&form| takes(column, form));
    let form = form.ok_or_else(|| refused(type_name(&descriptor)))?;
    Ok(Plan { leaf, descriptor, form })
}

/// The form in which a type can be read at all.
fn form_of(descriptor: &ColumnDescPtr) -> Option<Form> {
    let logical = descriptor.logical_type_ref();
    match (descriptor.physical_type(), logical, descriptor.converted_type()) {
        (_, Some(LogicalType::Unknown), _) => Some(Form::Null),
        (Physical::BYTE_ARRAY, Some(LogicalType::String | LogicalType::Enum), _) => Some(Form::Text),
        // Without any name: bytes, which is how some exporters write strings.
        (Physical::BYTE_ARRAY, None, ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::NONE) => {
            Some(Form::Text)
        }
        (Physical::INT32, Some(LogicalType::Date), _) => Some(Form::Date),
        (Physical::INT32, None, ConvertedType::DATE) => Some(Form::Date),
        (Physical::INT32 | Physical::INT64, Some(LogicalType::Integer { .. }), _) => Some(Form::Integer),
        (Physical::INT32 | Physical::INT64, None, converted) => integer(converted).then_some(Form::Integer),
        _ => None,
    }
}

fn integer(converted: ConvertedType) -> bool {
    matches!(
        converted,
        ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64
            | ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    )
}

fn takes(column: Column, form: Form) -> bool {
    match form {
        Form::Text | Form::Null => true,
        Form::Date => column.is_date(),
        Form::Integer => column.is_date() || column == Column::Branch,
    }
}

/// What the column may be, as the error says it.
fn wanted(column: Column) -> &'static str {
    match column {
        Column::PersonId | Column::PrincipalId | Column::Mobile => {
            "must be strings, since numbers lose their leading zeros"
        }
        Column::Branch => "must be strings or integers",
        _ if column.is_date() => "must be dates, strings or YYYYMMDD integers, without a time of day",
        _ => "must be strings",
    }
}

fn type_name(descriptor: &ColumnDescPtr) -> String {
    let physical = descriptor.physical_type();
    match (descriptor.logical_type_ref(), descriptor.converted_type()) {
        (Some(LogicalType::Timestamp { .. }), _) => "TIMESTAMP".to_owned(),
        (Some(LogicalType::Decimal { .. }), _) => "DECIMAL".to_owned(),
        (Some(LogicalType::Date), _) => "DATE".to_owned(),
        (_, ConvertedType::NONE) => physical.to_string(),
        (_, converted) => converted.to_string(),
    }
}
