//! Parquet files that claim far more than they hold: made by hand, since no exporter writes them. Each is refused with its
//! place; without a check it would end the process, or take all memory.

use std::fs;
use std::path::Path;

use parquet::basic::Compression;
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use snapshots::{BuildReport, MemoryBound};

use crate::parquet_writer::{Layout, rows_as_fields, write_parquet};
use crate::support::build_with;

const ROW: &str = "N,68415941,insured,self,,1400/01/01,,,,,,,7";
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const DELTA_LENGTH: i64 = 6;
const DELTA_STRINGS: i64 = 7;
/// How lengths begin: blocks of 128, in 4 parts.
const BLOCKS: [u8; 3] = [0x80, 0x01, 4];
/// 2^40 - 1, as a number of lengths.
const BILLIONS: [u8; 6] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F];

fn zigzag(number: i64) -> Vec<u8> {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    let mut bytes = Vec::new();
    while rest > 0x7F {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A page of the column `branch`, which has a value in each of two rows.
struct Page {
    /// Before compression, as its header says.
    len: i64,
    values: i64,
    encoding: i64,
    body: Vec<u8>,
}

impl Page {
    fn new(encoding: i64, body: &[&[u8]]) -> Page {
        let body = body.concat();
        Page { len: body.len() as i64, values: 2, encoding, body }
    }

    /// With the header of a data page (version 1).
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [0, self.len, self.body.len() as i64] {
            bytes.push(0x15);
            bytes.extend(zigzag(number));
        }
        bytes.push(0x2C);
        for number in [self.values, self.encoding, RLE, RLE] {
            bytes.push(0x15);
            bytes.extend(zigzag(number));
        }
        bytes.extend([0, 0]);
        bytes.extend(&self.body);
        bytes
    }
}

/// A file of two rows whose last column is that page; its footer states that many bytes before compression.
fn file_with(page: &Page, stated_len: i64, path: &Path) {
    let layout = Layout { compression: Compression::UNCOMPRESSED, dictionary: false, ..Layout::default() };
    write_parquet(path, &rows_as_fields(&[ROW; 2]), layout);
    let bytes = fs::read(path).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&fs::File::open(path).unwrap()).unwrap();
    let group = metadata.row_group(0).clone();
    let mut chunks = group.columns().to_vec();
    let last = chunks.pop().unwrap();
    let (start, chunk) = (last.byte_range().0 as usize, page.bytes());
    let last = last
        .into_builder()
        .set_total_compressed_size(chunk.len() as i64)
        .set_total_uncompressed_size(stated_len);
    chunks.push(last.build().unwrap());
    let group = group.into_builder().set_column_metadata(chunks).build().unwrap();
    let metadata = metadata.into_builder().set_row_groups(vec![group]).build();
    let mut file = [&bytes[..start], &chunk].concat();
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &metadata).finish().unwrap();
    file.extend(footer);
    fs::write(path, file).unwrap();
}

fn build_path(path: &Path) -> Result<BuildReport, String> {
    let memory: MemoryBound = "8GiB".parse().unwrap();
    let built = build_with(path, &path.with_extension("snapshots"), |options| {
        options.memory = memory;
        options.accept = Some("a test".to_owned());
    });
    built.map_err(|error| error.to_string())
}

fn build_page(page: &Page, stated_len: i64) -> Result<BuildReport, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    file_with(page, stated_len, &path);
    build_path(&path)
}

#[track_caller]
fn refused(page: &Page, stated_len: i64, message: &str) {
    let error = build_page(page, stated_len).unwrap_err();
    assert!(error.starts_with("row group 1, column `branch`: "), "{error}");
    assert!(error.contains(message), "{error}");
}

/// So that what is refused below is refused for what is wrong with it.
#[test]
fn pages_made_by_hand_are_read() {
    let plain = Page::new(PLAIN, &[&[1, 0, 0, 0], b"7", &[1, 0, 0, 0], b"8"]);
    // Lengths 1 and 1: one block, whose deltas are all nothing.
    let ones: &[u8] = &[2, 2, 0, 0, 0, 0, 0];
    let lengths = Page::new(DELTA_LENGTH, &[&BLOCKS, ones, b"78"]);
    // `7` and `78`, which shares one byte: 0 and 1 shared, then 1 and 1.
    let shared: &[u8] = &[2, 0, 2, 0, 0, 0, 0];
    let strings = Page::new(DELTA_STRINGS, &[&BLOCKS, shared, &BLOCKS, ones, b"78"]);
    for page in [plain, lengths, strings] {
        let report = build_page(&page, 1000).unwrap();
        assert_eq!((report.rows, report.entitlements, report.warnings.len()), (2, 2, 0), "{report:?}");
    }
}

#[test]
fn a_page_that_claims_more_than_the_footer_or_the_bound_is_not_made_room_for() {
    let mut page = Page::new(PLAIN, &[&[1, 0, 0, 0], b"7", &[1, 0, 0, 0], b"8"]);
    page.len = 1 << 30;
    refused(&page, 1000, "a page claims more bytes than the footer states for its whole column");
    let message = "a page of 1024 MiB, where at most 256 MiB are read at once; write the Parquet file again with \
                   smaller pages";
    refused(&page, 3 << 29, message);
    page.len = i64::from(i32::MAX);
    refused(&page, 3 << 30, "a page of 2048 MiB, where at most 256 MiB are read at once");
    page.len = -1;
    refused(&page, 1000, "does not say how large it is");
}

#[test]
fn lengths_by_the_billion_are_not_made_room_for() {
    let message = "a page claims more lengths than it has values; the Parquet file is damaged";
    refused(&Page::new(DELTA_LENGTH, &[&BLOCKS, &BILLIONS, &[0; 8]]), 1000, message);
    refused(&Page::new(DELTA_STRINGS, &[&BLOCKS, &BILLIONS, &[0; 8]]), 1000, message);
    // The second of its two lists.
    let shared: &[u8] = &[2, 0, 0, 0, 0, 0, 0];
    refused(&Page::new(DELTA_STRINGS, &[&BLOCKS, shared, &BLOCKS, &BILLIONS, &[0; 8]]), 1000, message);
    let mut page = Page::new(DELTA_LENGTH, &[&BLOCKS, &BILLIONS, &[0; 8]]);
    page.values = i64::from(i32::MAX);
    refused(
        &page,
        1000,
        "a page of 2147483647 values, where at most 16777216 are read at once; write the Parquet",
    );
}

#[test]
fn strings_that_share_very_much_are_refused() {
    let long = 20_000;
    let shared = [&BLOCKS[..], &[2, 0], &zigzag(long), &[0; 4]].concat();
    let own = [&BLOCKS[..], &[2], &zigzag(long), &zigzag(-long), &[0; 4]].concat();
    let page = Page::new(DELTA_STRINGS, &[&shared, &own, &vec![b'7'; long as usize]]);
    refused(&page, 100_000, "a value shares more bytes with the one before it than are read");
}

#[test]
fn a_schema_that_claims_columns_by_the_billion_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    write_parquet(&path, &rows_as_fields(&[ROW; 2]), Layout::default());
    let bytes = fs::read(&path).unwrap();
    let (body, tail) = bytes.split_at(bytes.len() - 8);
    // The root of the schema: its name and, as field 5, that it has 13 columns.
    let root = b"extract\x15\x1A";
    let at = body.windows(root.len()).rposition(|window| window == root).unwrap() + root.len() - 1;
    let claims = zigzag(i64::from(i32::MAX));
    let len = u32::from_le_bytes(tail[..4].try_into().unwrap()) + claims.len() as u32 - 1;
    fs::write(&path, [&body[..at], &claims, &body[at + 1..], &len.to_le_bytes(), b"PAR1"].concat()).unwrap();
    let error = build_path(&path).unwrap_err();
    let message = "cannot read the footer of the Parquet file: Parquet error: a column of the schema claims more columns \
                   within it than there are; it is damaged or cut off";
    assert!(error.contains(message), "{error}");
}
