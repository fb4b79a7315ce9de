//! Random rows, as CSV and as Parquet with any stored form of each column: the same generation, the same rejects.

use parquet::basic::Compression;
use parquet::file::properties::WriterVersion;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::parquet::check_same;
use crate::parquet_writer::{Cells, Field, Layout};

// Good ones first in each list: early ones are taken more often.
const DATES: [&str; 12] = [
    "1400/01/01",
    "2021-03-21",
    "14000101",
    "۱۴۰۳/۰۷/۰۳",
    " 1390/1/1\u{200C}",
    "1391/12/30",
    "",
    "1404/12/30",
    "1500/01/01",
    "2079-06-06",
    "?",
    "1400-01/01",
];
const DAYS: [i32; 10] = [18_707, 20_000, 14_700, 0, -208_188, 39_966, 39_967, -25_567, -25_568, 2_932_896];
const NUMBERS: [i64; 9] = [14_000_101, 20_210_321, 13_911_230, 14_041_230, 0, -1, 1, 99_999_999, 15_000_101];

/// Cells that mean something to a column, right and wrong.
fn known(column: &str) -> &'static [&'static str] {
    match column {
        "id_kind" => &["N", "N", "N", "F", "n", " f ", "", "X"],
        "person_id" => &[
            "0499370899",
            "68415941",
            "4400276201",
            "499370899",
            "۰۴۹۹۳۷۰۸۹۹",
            "1234567890",
            "12345678",
            "",
            "x",
            "1111111111",
        ],
        "category" => &["insured", "Pensioner", "", "other", "in,sured"],
        "relation" => &["self", "son", "son", "daughter", "daughter", "SPOUSE", "", "uncle"],
        "principal_id" => &["", "0499370899", "1234567", "۶۸۴۱۵۹۴۱", "\"x\""],
        "other_insurer" => &["", "IHIO", "ikrf", "NATO"],
        "mobile" => &["", "09121234567", "+98 912-123 4567", "0912", "٠٩٢٧٣١٦٧٢٣٢"],
        "branch" => &["", "1", "0012", "0", "10000", "\u{FEFF}7"],
        _ => &DATES,
    }
}

fn early<T: Copy + std::fmt::Debug>(list: &'static [T]) -> impl Strategy<Value = T> + Clone {
    let place = 0..list.len();
    (place.clone(), place.clone(), place).prop_map(|(a, b, c)| list[a.min(b).min(c)])
}

fn text(column: &'static str, rows: usize) -> BoxedStrategy<Cells> {
    let cell = early(known(column)).prop_map(|cell| cell.as_bytes().to_vec());
    vec(prop::option::weighted(0.95, cell), rows).prop_map(Cells::Text).boxed()
}

/// Any form that the column may be stored in.
fn cells(column: &'static str, rows: usize) -> BoxedStrategy<Cells> {
    let text = text(column, rows);
    let nothing = Just(Cells::Nothing(rows));
    let integers =
        vec(prop::option::of(prop_oneof![9 => early(&NUMBERS), 1 => any::<i32>().prop_map(i64::from)]), rows);
    let as_i32 = |number: Option<i64>| number.map(|number| i32::try_from(number).unwrap());
    match column {
        "birth_date" | "coverage_start" | "coverage_end" | "student_until" | "document_due" => prop_oneof![
            4 => text,
            2 => vec(prop::option::of(prop_oneof![9 => early(&DAYS), 1 => -719_000..2_900_000]), rows).prop_map(Cells::Date),
            1 => integers.clone().prop_map(Cells::Int64),
            1 => integers.prop_map(move |all| Cells::Int32(all.into_iter().map(as_i32).collect())),
            1 => nothing,
        ]
        .boxed(),
        "branch" => prop_oneof![
            3 => text,
            1 => vec(prop::option::of(-2..20_000_i64), rows).prop_map(Cells::Int64),
            1 => nothing,
        ]
        .boxed(),
        _ => text,
    }
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let names: Vec<&'static str> = crate::support::HEADER.split(',').collect();
    (1..400_usize).prop_flat_map(move |rows| {
        names
            .iter()
            .map(|&name| cells(name, rows).prop_map(move |cells| Field { name: name.to_owned(), cells }))
            .collect::<Vec<_>>()
    })
}

fn layout() -> impl Strategy<Value = Layout> {
    let compression = select(vec![Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW]);
    let version = select(vec![WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]);
    (compression, 1..300_usize, version, any::<bool>()).prop_map(
        |(compression, rows_per_group, version, dictionary)| Layout {
            compression,
            rows_per_group,
            version,
            dictionary,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_formats_make_the_same_generation(fields in fields(), layout in layout()) {
        // Where no row is usable both say so.
        let _ = check_same(&fields, layout);
    }
}
