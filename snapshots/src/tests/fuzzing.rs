//! What the fuzz targets in `fuzz/` call, and what the tests below run the corpora through. It is there only where
//! cargo-fuzz compiles (`cfg(fuzzing)`) and in this crate's own tests, so that nothing of it is a way into a release:
//! a digest in it is always computed over the bytes that are given, as whoever damages a generation could do as well.

use std::fs;
use std::path::Path;

use engine::{
    Care, Day, FORMAT_VERSION, FileDigest, INDEX_FILE, MemoryMode, MobileKey, RECORDS_FILE, Snapshot,
    SnapshotFiles, decide,
};

use crate::extract::{BlockReader, CellReader, CheckedRow, Columns, RowChecker};
use crate::generation::content::Content;
use crate::generation::name::GenerationName;
use crate::generation::open::{OpenError, parse_content};
use crate::generation::self_test::{make_self_test, run_self_test};
use crate::publish::gates::{Baseline, GateLimits, judge};

/// Where the length of the whole file stands in a header (engine/FORMAT.md).
const FILE_LEN: std::ops::Range<usize> = 16..24;
const HEADER_LEN: usize = 512;
const SECTION_ALIGN: usize = 64;

fn as_of() -> Day {
    Day::from_gregorian(2026, 11, 22).expect("a real day")
}

/// The extract reader: rows and cells must be those that a plain state machine finds, and what is accepted must be
/// what can be stored and read back.
pub fn extract(bytes: &[u8]) {
    let mut rows = Vec::new();
    let mut refused = false;
    let mut reader = BlockReader::new("fuzz.csv".into(), bytes);
    for block in &mut reader {
        match block {
            Ok(block) => rows.extend(block.rows().map(|(line, row)| (line, row.to_vec()))),
            Err(_) => refused = true,
        }
    }
    let reference = reference_rows(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    assert_eq!(refused, reference.unclosed, "an unclosed quote refuses the file, and nothing else does");
    assert_eq!(rows.len(), reference.rows.len(), "rows");
    if !refused {
        assert_eq!(reader.source_digest().len, bytes.len() as u64);
    }
    let mut cells = CellReader::new(memchr::memchr_iter(b',', bytes).count() + 1);
    for ((line, row), (expected_line, expected)) in rows.iter().zip(&reference.rows) {
        assert_eq!(line, expected_line);
        let Ok(split) = cells.split(row) else { return };
        assert!(
            split.iter().map(str::as_bytes).eq(expected.iter().map(Vec::as_slice)),
            "cells of line {line}"
        );
    }
    check_rows(&rows);
}

/// Checks rows against the header that the first one is, as a build does.
fn check_rows(rows: &[(u64, Vec<u8>)]) {
    let Some(((line, header), rows)) = rows.split_first() else { return };
    let mut cells = CellReader::new(memchr::memchr_iter(b',', header).count() + 1);
    let Ok(header) = cells.split(header) else { return };
    let Ok(columns) = Columns::from_header(header, *line) else { return };
    let key = MobileKey::new(1, [7; 32]);
    let mut checker = RowChecker::new(&key);
    let mut cells = CellReader::new(columns.cells_per_row());
    for (_, row) in rows {
        let Ok(row) = cells.split(row) else { return };
        let Some(row) = columns.row(row) else { continue };
        if let CheckedRow::Accepted { person, record } = checker.check(row) {
            let stored = record.unpack().expect("what was packed is unpacked");
            assert!(stored.end.is_none_or(|end| stored.start <= end), "cover ends before it starts");
            let read = engine::PersonId::parse(person.kind(), &person.reveal());
            assert_eq!(read, Ok(person), "an ID is read as it is written");
        }
    }
}

/// What the reference found.
struct ReferenceRows {
    /// Line and cells of each row.
    rows: Vec<(u64, Vec<Vec<u8>>)>,
    unclosed: bool,
}

/// RFC 4180 byte by byte: slow and plain. A quote opens a cell only at its start.
fn reference_rows(bytes: &[u8]) -> ReferenceRows {
    let (mut rows, mut line, mut row_line) = (Vec::new(), 1, 1);
    let (mut cells, mut cell, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quoted, mut at_start) = (false, true);
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        line += u64::from(byte == b'\n');
        raw.push(byte);
        match byte {
            b'"' if quoted && rest.peek() == Some(&b'"') => {
                cell.push(b'"');
                raw.extend(rest.next());
            }
            b'"' if quoted => quoted = false,
            b'"' if at_start => quoted = true,
            b',' if !quoted => cells.push(std::mem::take(&mut cell)),
            b'\n' if !quoted => {
                end_row(&mut rows, row_line, &mut cells, &mut cell, &mut raw);
                row_line = line;
            }
            _ => cell.push(byte),
        }
        at_start = !quoted && matches!(byte, b',' | b'\n');
    }
    if !quoted {
        end_row(&mut rows, row_line, &mut cells, &mut cell, &mut raw);
    }
    ReferenceRows { rows, unclosed: quoted }
}

/// Ends a row, if it is one: an empty line is not. A CR before the line break belongs to it.
fn end_row(
    rows: &mut Vec<(u64, Vec<Vec<u8>>)>,
    line: u64,
    cells: &mut Vec<Vec<u8>>,
    cell: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) {
    let raw = std::mem::take(raw);
    let mut last = std::mem::take(cell);
    let mut cells = std::mem::take(cells);
    let body = raw.strip_suffix(b"\n").unwrap_or(&raw);
    if body.is_empty() || body == b"\r" {
        return;
    }
    if body.ends_with(b"\r") {
        last.pop();
    }
    cells.push(last);
    rows.push((line, cells));
}

/// `content.json` under the name that follows from its bytes: what is read can be written and read again, and the
/// gates judge it, against itself and against another one.
pub fn content(bytes: &[u8]) {
    let Ok(content) = parse(bytes) else { return };
    let again = parse(&content.to_bytes()).expect("what was read is written and read again");
    assert_eq!(again, content);
    let name = GenerationName::of_content(as_of(), bytes);
    let limits = GateLimits::default();
    let mut baseline = content.clone();
    for _ in 0..2 {
        let against = Baseline::Content(name, Box::new(baseline.clone()));
        assert!(judge(&limits, &content, &against).iter().all(|outcome| !outcome.to_string().is_empty()));
        baseline.people /= 3;
        baseline.statistics.covered /= 2;
        baseline.statistics.relations.clear();
    }
    for file in [INDEX_FILE, RECORDS_FILE] {
        let known = content.file(file);
        assert!(known.is_none_or(|known| content.files[file].length == known.len));
    }
}

fn parse(bytes: &[u8]) -> Result<Content, OpenError> {
    parse_content(bytes, &GenerationName::of_content(as_of(), bytes), Path::new("content.json"))
}

/// The opener of the two binary files, with their true lengths and digests. `folder` is where they are put.
///
/// The input begins with its form. 0: how long the index is (four bytes, little-endian), the index, the records; they are
/// opened. What a damaged FST answers is nobody's promise: a name that fits vouches that a builder made it and compared
/// everybody. 1: two lists of keys with record numbers, of any kind, from which an FST is made, and the records; if they
/// are taken, everybody is asked for.
pub fn snapshot(bytes: &[u8], folder: &Path) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    if form == 0 {
        let Some((len, rest)) = rest.split_first_chunk() else { return };
        let Some((index, records)) = rest.split_at_checked(u32::from_le_bytes(*len) as usize) else { return };
        let _ = open(folder, index, records);
        return;
    }
    let Some((national, rest)) = section_of_keys(rest) else { return };
    let Some((foreign, records)) = section_of_keys(rest) else { return };
    if let Ok(snapshot) = open(folder, &index_of([national, foreign]), records) {
        ask(&snapshot);
    }
}

fn open(folder: &Path, index: &[u8], records: &[u8]) -> Result<Snapshot, engine::OpenError> {
    let write = |name, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let len = bytes.len() as u64;
        if let Some(place) = bytes.get_mut(FILE_LEN) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        fs::write(folder.join(name), &bytes).expect("the folder is writable");
        FileDigest { len, blake3: *blake3::hash(&bytes).as_bytes() }
    };
    let files = SnapshotFiles { index: write(INDEX_FILE, index), records: write(RECORDS_FILE, records) };
    Snapshot::open_in(folder, &files, MemoryMode::Resident, &mut |_| {})
}

/// The bytes of an FST and its number of keys.
type Section = (Vec<u8>, u64);

/// A section from a list: how many keys (one byte), and for each its length (one byte), its bytes
/// and its record number (four bytes, little-endian).
fn section_of_keys(bytes: &[u8]) -> Option<(Section, &[u8])> {
    let (&count, mut rest) = bytes.split_first()?;
    let mut keys = std::collections::BTreeMap::new();
    for _ in 0..count {
        let (&len, after) = rest.split_first()?;
        let (key, after) = after.split_at_checked(usize::from(len))?;
        let (number, after) = after.split_first_chunk()?;
        keys.insert(key, u64::from(u32::from_le_bytes(*number)));
        rest = after;
    }
    let count = keys.len() as u64;
    let map = fst::Map::from_iter(keys).expect("in order");
    Some(((map.into_fst().into_inner(), count), rest))
}

/// An index file (engine/FORMAT.md) with these sections.
fn index_of(sections: [Section; 2]) -> Vec<u8> {
    let mut file = vec![0; HEADER_LEN];
    file[..8].copy_from_slice(b"ESTEHQAQ");
    file[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    (file[12], file[24]) = (1, 2);
    for (place, (bytes, count)) in sections.iter().enumerate() {
        let numbers = [place as u64 + 1, file.len() as u64, bytes.len() as u64, *count];
        let entry = 32 + 32 * place;
        for (number, at) in numbers.into_iter().zip((entry..).step_by(8)) {
            file[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        file.extend_from_slice(bytes);
        file.resize(file.len().next_multiple_of(SECTION_ALIGN), 0);
    }
    file
}

fn ask(snapshot: &Snapshot) {
    let counts = snapshot.counts();
    let mut found = 0;
    for (id, person) in snapshot.people() {
        found += 1;
        decide(person, as_of(), Care::Inpatient);
        decide(snapshot.find(id), as_of(), Care::Outpatient);
    }
    assert!(found <= counts.people + counts.incomplete, "nobody is met who is not counted");
    let cases = make_self_test(snapshot, as_of(), &[u64::MAX]);
    let _ = run_self_test(&cases, snapshot, as_of());
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use engine::{FileDigest, INDEX_FILE, IdKind, MobileKey, RECORDS_FILE, Snapshot, SnapshotFiles};

    use super::{as_of, content, extract, parse, snapshot};
    use crate::build::build;
    use crate::build::options::BuildOptions;

    /// Somebody with two entitlements, a foreign national, somebody incomplete, a son, a daughter.
    const EXTRACT: &str = "id_kind,person_id,category,relation,birth_date,coverage_start,coverage_end,student_until,\
        document_due,principal_id,other_insurer,mobile,branch\n\
        N,68415941,insured,self,,1400/1/1,,,,,,09121234567,7\n\
        N,68415941,insured,spouse,,1401/1/1,1405/12/29,,,4400276201,IHIO,,\n\
        F,12345678,pensioner,self,,1400/1/1,,,,,,,\n\
        N,0499370899,insured,self,,?,,,,,,,\n\
        N,4400276201,insured,son,1386/5/5,1400/1/1,,1406/6/31,,68415941,,,\n\
        N,1000000079,insured,daughter,,1400/1/1,,,1406/1/1,68415941,,,\n";

    /// The keys of a generation with their ranks, as [`super::snapshot`] reads them.
    fn keys(kind: IdKind, folder: &Path) -> Vec<u8> {
        let digest = |name| {
            let bytes = fs::read(folder.join(name)).unwrap();
            FileDigest { len: bytes.len() as u64, blake3: *blake3::hash(&bytes).as_bytes() }
        };
        let files = SnapshotFiles { index: digest(INDEX_FILE), records: digest(RECORDS_FILE) };
        let snapshot = Snapshot::open(folder, &files).unwrap();
        let len = if kind == IdKind::National { 4 } else { 7 };
        let ids: Vec<_> =
            snapshot.people_of(kind, 0..u64::MAX).map(|(id, _)| id.to_u64().to_be_bytes()).collect();
        let mut list = vec![u8::try_from(ids.len()).unwrap()];
        for (rank, id) in (0_u32..).zip(ids) {
            list.push(len);
            list.extend(&id[8 - usize::from(len)..]);
            list.extend(rank.to_le_bytes());
        }
        list
    }

    fn corpus(target: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "../fuzz/corpus", target].iter().collect()
    }

    /// Runs every file of a corpus through its target.
    fn run(target: &str, run: impl Fn(&[u8])) {
        let files = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path());
        let count = files.map(|path| run(&fs::read(path).unwrap())).count();
        assert!(count >= 3, "{count} files in the corpus of {target}");
    }

    #[test]
    fn corpus_of_extracts() {
        run("extract", extract);
    }

    #[test]
    fn corpus_of_contents() {
        run("content", content);
    }

    #[test]
    fn corpus_of_snapshots() {
        let dir = tempfile::tempdir().unwrap();
        run("snapshot", |bytes| snapshot(bytes, dir.path()));
    }

    /// Fuzzing begins with what a build makes now. `ESTEHQAQ_TEST_WRITE_SEEDS` writes it anew after a change of a format.
    #[test]
    fn seeds_are_what_a_build_makes() {
        let (dir, key) = (tempfile::tempdir().unwrap(), MobileKey::new(1, [7; 32]));
        let extract = dir.path().join("extract.csv");
        fs::write(&extract, EXTRACT).unwrap();
        let mut options = BuildOptions::new(&extract, dir.path(), &key, as_of());
        options.accept = Some("a test".to_owned());
        let folder = dir.path().join(build(&options).unwrap().generation);
        let read = |name| fs::read(folder.join(name)).unwrap();
        let (index, records, json) = (read(INDEX_FILE), read(RECORDS_FILE), read("content.json"));
        let files = [&[0], &u32::try_from(index.len()).unwrap().to_le_bytes()[..], &index, &records].concat();
        let keys =
            [&[1][..], &keys(IdKind::National, &folder), &keys(IdKind::Foreign, &folder), &records].concat();
        assert!(parse(&json).is_ok());
        let seeds = [
            ("extract/seed", EXTRACT.as_bytes()),
            ("content/seed", &json),
            ("snapshot/seed", &files),
            ("snapshot/seed-keys", &keys),
        ];
        for (seed, bytes) in seeds {
            let path = corpus(seed);
            if std::env::var_os("ESTEHQAQ_TEST_WRITE_SEEDS").is_some() {
                fs::write(&path, bytes).unwrap();
            }
            assert!(fs::read(&path).unwrap() == bytes, "{seed}: write the seeds anew");
        }
    }
}
