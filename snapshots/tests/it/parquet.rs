//! The extract as Parquet: the same rows as a CSV make the same generation, and what cannot be read is refused with
//! what to do.

use std::fs;
use std::path::{Path, PathBuf};

use parquet::basic::{Compression, GzipLevel, LogicalType, TimeUnit, ZstdLevel};
use parquet::file::properties::WriterVersion;
use serde_json::{Value, json};
use snapshots::{BuildError, ExtractError, MemoryBound, open_current, read_publication};
use tempfile::TempDir;

use crate::parquet_writer::{
    Cells, Field, Layout, csv_of, field, rows_as_fields, text, text_fields, write_parquet,
};
use crate::support::{build_bytes, build_file, build_with, data, mobile_key};

const GOOD: &str = "N,0499370899,insured,self,,1400/01/01,,,,,,09121234567,1";
const SON: &str = "N,68415941,insured,son,1390/1/1,1400/01/01,1410/01/01,1406/01/01,,0499370899,IHIO,,9999";
const BAD_DATE: &str = "N,4400276201,insured,self,,1400/13/01,,,,,,,";

fn parquet_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parquet").join(name)
}

/// What a build tells, without where it lies; with its rejects.
pub(crate) fn outcome(extract: &Path, snapshots: &Path) -> Result<Value, String> {
    let report = build_file(extract, snapshots).map_err(|error| match error {
        BuildError::Nobody { .. } => "nobody".to_owned(),
        error => error.to_string(),
    })?;
    let rejects = fs::read_to_string(&report.rejects_path).unwrap();
    let mut report = serde_json::to_value(&report).unwrap();
    report["rejects_path"] = json!(rejects);
    Ok(report)
}

/// Writes the fields in both formats and builds both; tells of the Parquet build what it tells of both.
#[track_caller]
pub(crate) fn check_same(fields: &[Field], layout: Layout) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    let (parquet, csv) = (dir.path().join("extract.parquet"), dir.path().join("extract.csv"));
    write_parquet(&parquet, fields, layout);
    fs::write(&csv, csv_of(fields)).unwrap();
    let from_parquet = outcome(&parquet, &dir.path().join("from-parquet"));
    let from_csv = outcome(&csv, &dir.path().join("from-csv"));
    assert_eq!(from_parquet, from_csv, "{layout:?}");
    from_parquet
}

#[track_caller]
fn same(fields: &[Field]) -> Value {
    check_same(fields, Layout::default()).unwrap()
}

fn build_fields(fields: &[Field]) -> (TempDir, Result<snapshots::BuildReport, BuildError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("extract.csv");
    write_parquet(&path, fields, Layout::default());
    let built = build_file(&path, &dir.path().join("snapshots"));
    (dir, built)
}

#[track_caller]
fn refused(fields: &[Field], message: &str) {
    let (dir, built) = build_fields(fields);
    let error = built.unwrap_err();
    assert!(matches!(error, BuildError::Extract(_)), "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert!(!dir.path().join("snapshots/CURRENT").exists());
}

#[test]
fn what_an_extract_is_its_first_bytes_say() {
    let report = same(&rows_as_fields(&[GOOD, SON, BAD_DATE]));
    assert_eq!((&report["rows"], &report["people"], &report["rejected"]), (&json!(3), &json!(2), &json!(1)));
    assert!(report["rejects_path"].as_str().unwrap().contains("\n4,bad_date,coverage_start,"), "{report}");
    // `build_fields` names its Parquet file `.csv`.
    let (dir, built) = build_fields(&rows_as_fields(&[GOOD, SON, BAD_DATE]));
    assert_eq!(json!(built.unwrap().generation), report["generation"]);
    let snapshots = dir.path().join("snapshots");
    let generation = open_current(&snapshots, &[mobile_key()]).unwrap();
    let source = read_publication(&snapshots, &generation.name).unwrap().source;
    let bytes = fs::read(dir.path().join("extract.csv")).unwrap();
    assert_eq!(source.blake3, blake3::hash(&bytes).to_hex().to_string());
    assert_eq!(source.length, bytes.len() as u64);
}

#[test]
fn every_layout_makes_the_same_generation() {
    let rows: Vec<String> = (0..3000)
        .map(|n| format!("F,{},insured,self,,1400/01/{},,,,,,,{n}", 10_000_000 + n, n % 40))
        .collect();
    let fields = rows_as_fields(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    let mut names = Vec::new();
    for (number, compression) in compressions.into_iter().enumerate() {
        let version = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0][number % 2];
        let rows_per_group = [1, 700, 3000, 10_000][number % 4];
        let layout = Layout { compression, rows_per_group, version, dictionary: number % 3 > 0 };
        names.push(check_same(&fields, layout).unwrap()["generation"].clone());
    }
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}

#[test]
fn more_rows_than_a_batch_keep_their_lines() {
    let rows: Vec<String> = (0..300_000)
        .map(|n| {
            format!(
                "F,{},insured,self,,{},,,,,,,",
                10_000_000 + n,
                ["1400/01/01", "?"][usize::from(n % 977 == 3)]
            )
        })
        .collect();
    let fields = rows_as_fields(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let layout = Layout { rows_per_group: 290_000, ..Layout::default() };
    let report = check_same(&fields, layout).unwrap();
    assert_eq!(report["rejected"], json!(308));
}

/// The rows of the messy extract that have as many cells as its header, as cells, with the line of each.
fn messy_rows() -> Vec<(u64, Vec<String>)> {
    let text = fs::read_to_string(data("extract.csv")).unwrap();
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let (mut line, mut row_line) = (1, 1);
    let mut characters = text.trim_start_matches('\u{FEFF}').chars().peekable();
    while let Some(character) = characters.next() {
        line += u64::from(character == '\n');
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push((row_line, std::mem::take(&mut row)));
                row_line = line;
            }
            character => cell.push(character),
        }
    }
    rows.retain(|(_, row)| *row != [""]);
    rows
}

/// The messy extract has three rows that no Parquet file can hold, since they lack cells.
#[test]
fn the_messy_extract_has_the_same_rejects_by_ordinal() {
    let mut rows = messy_rows();
    let (_, names) = rows.remove(0);
    let all = rows.len();
    rows.retain(|(_, row)| row.len() == names.len());
    assert_eq!((all, rows.len()), (3608, 3605));
    let cells: Vec<Vec<&str>> =
        rows.iter().map(|(_, row)| row.iter().map(String::as_str).collect()).collect();
    let fields = text_fields(&names.iter().map(String::as_str).collect::<Vec<_>>(), &cells);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messy.parquet");
    write_parquet(&path, &fields, Layout::default());
    let report = outcome(&path, &dir.path().join("snapshots")).unwrap();

    let mut expected: Value =
        serde_json::from_slice(&fs::read(data("expected_summary.json")).unwrap()).unwrap();
    expected["rows"] = json!(3605);
    expected["rejected"] = json!(expected["rejected"].as_u64().unwrap() - 3);
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&report[member], value, "{member}");
    }
    let ordinal =
        |line: &str| rows.iter().position(|(row_line, _)| row_line.to_string() == line).unwrap() + 1;
    let rejects = fs::read_to_string(data("expected_rejects.csv")).unwrap();
    let expected: Vec<_> = rejects
        .lines()
        .skip(1)
        .map(|reject| reject.split_once(',').unwrap())
        .filter(|&(_, rule)| rule != "bad_row")
        .map(|(line, rule)| format!("{},{rule}", ordinal(line) + 1))
        .collect();
    let found = report["rejects_path"].as_str().unwrap().lines().skip(1);
    let found: Vec<_> =
        found.map(|reject| reject.splitn(3, ',').take(2).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(found, expected);
}

#[test]
fn dates_and_branches_may_be_numbers() {
    let day = |text: &str| {
        let day: jiff::civil::Date = text.parse().unwrap();
        Some((day - jiff::civil::date(1970, 1, 1)).get_days())
    };
    let mut fields = rows_as_fields(&[SON; 6]);
    let starts = ["2021-03-21", "1400-01-01", "1899-12-31", "2079-06-05", "2079-06-06", "0001-01-01"];
    field(&mut fields, "coverage_start").cells = Cells::Date(starts.map(day).to_vec());
    field(&mut fields, "coverage_end").cells = Cells::Nothing(6);
    let years = [14_000_101, 20_210_321, 0, -1, i64::MAX, i64::MIN];
    field(&mut fields, "student_until").cells = Cells::Int64(years.map(Some).to_vec());
    field(&mut fields, "birth_date").cells = Cells::Int32(vec![
        Some(13_900_101),
        Some(13_900_101),
        None,
        Some(20_110_321),
        Some(1),
        Some(i32::MIN),
    ]);
    let branches = [Some(1), Some(9999), Some(10_000), Some(-1), Some(0), None];
    field(&mut fields, "branch").cells = Cells::Annotated(LogicalType::integer(64, false), branches.to_vec());
    let report = same(&fields);
    assert_eq!(report["entitlements"], json!(3), "{report}");
    assert_eq!(report["rejects_path"].as_str().unwrap().lines().count(), 4);
}

#[test]
fn strings_without_a_name_and_columns_without_a_value() {
    let mut fields = rows_as_fields(&[GOOD, SON]);
    let Cells::Text(ids) = field(&mut fields, "person_id").cells.clone() else { unreachable!() };
    field(&mut fields, "person_id").cells = Cells::Bytes(ids);
    field(&mut fields, "document_due").cells = Cells::Nothing(2);
    assert_eq!(same(&fields)["people"], json!(2));
}

#[test]
fn names_are_trimmed_and_unknown_columns_passed_over() {
    let mut fields = rows_as_fields(&[GOOD, SON]);
    let expected = same(&fields)["generation"].clone();
    field(&mut fields, "mobile").name = " mobile\u{200C}".to_owned();
    fields.reverse();
    let (timestamps, unit) = (vec![Some(1), None], TimeUnit::MILLIS);
    let cells = Cells::Annotated(LogicalType::timestamp(true, unit), timestamps);
    fields.insert(3, Field { name: "exported_at".to_owned(), cells });
    fields.insert(5, Field { name: "MOBILE".to_owned(), cells: Cells::Int32(vec![None, None]) });
    assert_eq!(same(&fields)["generation"], expected);
}

#[test]
fn missing_and_repeated_columns_refuse_the_file() {
    let mut fields = rows_as_fields(&[GOOD]);
    field(&mut fields, "mobile").name = "Mobile".to_owned();
    refused(&fields, "line 1: the header has no column `mobile`; names are lower case");
    field(&mut fields, "Mobile").name = "branch ".to_owned();
    fields.push(Field { name: "mobile".to_owned(), cells: text(&[""]) });
    refused(&fields, "line 1: the header has the column `branch` more than once");
}

#[test]
fn types_in_which_cells_cannot_be_told_refuse_the_file() {
    #[track_caller]
    fn check(column: &str, cells: Cells, message: &str) {
        let mut fields = rows_as_fields(&[GOOD]);
        field(&mut fields, column).cells = cells;
        refused(&fields, message);
    }
    let strings = "must be strings, since numbers lose their leading zeros, cast it";
    check(
        "person_id",
        Cells::Int64(vec![Some(499_370_899)]),
        &format!("`person_id` is INT64; its cells {strings}"),
    );
    check("principal_id", Cells::Int32(vec![None]), &format!("`principal_id` is INT32; its cells {strings}"));
    check("mobile", Cells::Int64(vec![Some(9_121_234_567)]), strings);
    check("category", Cells::Int32(vec![Some(1)]), "`category` is INT32; its cells must be strings, cast it");
    check(
        "branch",
        Cells::Date(vec![Some(1)]),
        "`branch` is DATE; its cells must be strings or integers, cast it",
    );
    let timestamp = LogicalType::timestamp(true, TimeUnit::MICROS);
    check(
        "coverage_end",
        Cells::Annotated(timestamp, vec![Some(1)]),
        "`coverage_end` is TIMESTAMP; its cells must be dates, strings or YYYYMMDD integers, without a time of day",
    );
}

#[test]
fn a_cell_that_is_no_utf_8_refuses_the_file_with_its_line() {
    let mut fields = rows_as_fields(&[GOOD, SON, GOOD]);
    let cell = |bytes: &[u8]| Some(bytes.to_vec());
    field(&mut fields, "category").cells = Cells::Text(vec![cell(b"insured"), None, cell(b"\xFF")]);
    refused(&fields, "line 4: invalid UTF-8");
    field(&mut fields, "mobile").cells = Cells::Text(vec![None, cell(b"\xD9"), cell(b"\x85")]);
    refused(&fields, "line 3: invalid UTF-8");
}

#[test]
fn text_that_would_fill_the_memory_refuses_the_file() {
    let mut fields = rows_as_fields(&[GOOD; 2000]);
    let mut cells = vec![None; 2000];
    cells[1000..].fill(Some(vec![b'x'; 20 << 10]));
    field(&mut fields, "category").cells = Cells::Text(cells);
    refused(&fields, "line 1002: the column `category` has more than 16 MiB of text");
}

#[test]
fn an_extract_without_a_usable_row_publishes_nothing() {
    for rows in [&[][..], &[BAD_DATE]] {
        let fields = rows_as_fields(rows);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write_parquet(&path, &fields, Layout::default());
        let error = build_file(&path, &dir.path().join("snapshots")).unwrap_err();
        assert!(matches!(error, BuildError::Nobody { .. }), "{error}");
    }
}

#[test]
fn a_row_group_that_does_not_fit_the_bound_is_told_before_the_work() {
    let rows: Vec<String> = (0..400_000_u64)
        .map(|n| format!("F,{},insured,self,,1400/01/01,,,,,,{n:060},", 10_000_000 + n))
        .collect();
    let fields = rows_as_fields(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let build = |bound: &str| {
        let bound: MemoryBound = bound.parse().unwrap();
        build_with(&path, &dir.path().join("snapshots"), |options| {
            options.memory = bound;
            options.accept = Some("a test".to_owned());
        })
    };
    let layout = Layout { rows_per_group: 400_000, dictionary: false, ..Layout::default() };
    write_parquet(&path, &fields, layout);
    let error = build("256MiB").unwrap_err();
    assert!(matches!(error, BuildError::Extract(ExtractError::RowGroupMemory { .. })), "{error}");
    let message = error.to_string();
    assert!(message.contains("export the extract with smaller row groups"), "{message}");
    let least = message.split("--memory ").nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(build(least).unwrap().rows, 400_000);
    write_parquet(&path, &fields, Layout { rows_per_group: 50_000, ..layout });
    assert_eq!(build("256MiB").unwrap().rows, 400_000);
}

#[test]
fn what_is_cut_off_or_encrypted_is_refused() {
    #[track_caller]
    fn check(bytes: &[u8], message: &str) {
        let (_dir, built) = build_bytes(bytes);
        let error = built.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    write_parquet(&path, &rows_as_fields(&[GOOD, SON]), Layout::default());
    let bytes = fs::read(&path).unwrap();
    for len in [4, 5, 8, 12, bytes.len() / 2, bytes.len() - 1] {
        check(&bytes[..len], "cannot read the footer of the Parquet file: ");
        check(&bytes[..len], "; it is damaged or cut off, copy or export it again");
    }
    check(&bytes[..3], "line 1: the header has no column");
    check(b"PARE....PARE", "the Parquet file is encrypted; export it again without encryption");
    check(&[&bytes[..bytes.len() - 4], b"PARE"].concat(), "cannot read the footer");
}

/// Files of other exporters; `make.py` beside them tells how they were made.
#[test]
fn files_that_others_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let expected = outcome(&parquet_data("rows.csv"), &dir.path().join("csv")).unwrap();
    assert_eq!((&expected["rows"], &expected["rejected"]), (&json!(40), &json!(6)));
    for name in ["duckdb", "duckdb-typed", "pyarrow", "pyarrow-delta"] {
        let path = parquet_data(&format!("{name}.parquet"));
        assert_eq!(outcome(&path, &dir.path().join(name)).unwrap(), expected, "{name}");
    }
    let error = outcome(&parquet_data("encrypted.parquet"), &dir.path().join("x")).unwrap_err();
    assert_eq!(error, "the Parquet file is encrypted; export it again without encryption");
    let error = outcome(&parquet_data("encrypted-columns.parquet"), &dir.path().join("x")).unwrap_err();
    assert!(error.starts_with("row group 1, column `person_id`: "), "{error}");
    assert!(error.ends_with("copy or export it again, without encryption"), "{error}");
}
