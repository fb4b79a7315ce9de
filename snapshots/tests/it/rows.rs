//! Each rule of a row at its border, through a whole build.

use std::fs;

use snapshots::{BuildError, Progress};

use crate::support::{HEADER, build_bytes, build_rows, build_with};

const GOOD: &str = "N,0499370899,insured,self,,1400/01/01,,,,,,09121234567,1";

/// Builds the row beside a good one; tells its reject rule, or its warnings.
fn outcome(row: &str) -> Result<Vec<String>, String> {
    let (_dir, report) = build_rows(&[GOOD, row]);
    let report = report.unwrap();
    let rejects = fs::read_to_string(&report.rejects_path).unwrap();
    match rejects.lines().nth(1) {
        Some(line) => Err(line.split(',').nth(1).unwrap().to_owned()),
        None => Ok(report.warnings.into_keys().collect()),
    }
}

#[track_caller]
fn rejected(row: &str, rule: &str) {
    assert_eq!(outcome(row), Err(rule.to_owned()), "{row}");
}

#[track_caller]
fn accepted(row: &str, warnings: &[&str]) {
    assert_eq!(outcome(row), Ok(warnings.iter().map(|&code| code.to_owned()).collect()), "{row}");
}

#[test]
fn the_first_reject_rule_wins() {
    rejected("N,68415941,insured,self", "bad_row");
    rejected("X,1,,son,?,?,,,,,,,,", "bad_row");
    rejected("X,1,,son,?,?,,,,,,,", "bad_id_kind");
    rejected(",68415941,insured,self,,1400/01/01,,,,,,,", "bad_id_kind");
    rejected("N,1,,son,?,?,,,,,,,", "bad_person_id");
    rejected("N,1234567890,,son,?,?,,,,,,,", "bad_check_digit");
    rejected("N,68415941,,son,?,0000/1/1,,,,,,,", "bad_date");
    rejected("N,68415941,,son,1500/1/1,?,,,,,,,", "date_out_of_range");
    rejected("N,68415941,,daughter,?,0000/1/1,?,,,,,,", "date_out_of_range");
    rejected("N,68415941,,self,,,,,,,,,", "bad_date");
    rejected("N,68415941,,self,,1400/01/02,1400-13-01,,,,,,", "bad_date");
    rejected("N,68415941,,self,,1400/01/02,1400/01/01,,,,,,", "end_before_start");
    rejected("N,68415941,,son,,1400/01/02,,,,,,,", "bad_date");
}

#[test]
fn everything_else_is_a_warning() {
    accepted("n,68415941,INSURED,Self,not looked at,1400/01/01,1400/01/01,not,not,not,,,", &[]);
    accepted("F,00000001,pensioner,mother,,14000101,,,,12345678,ikrf,+98 912 123 4567,9999", &[]);
    accepted("N,68415941,other,self,,1400/01/01,,,,,,,", &["unknown_category"]);
    accepted("N,68415941,,self,,1400/01/01,,,,,,,", &["unknown_category"]);
    accepted("N,68415941,insured,uncle,,1400/01/01,,,,,,,", &["missing_principal", "unknown_relation"]);
    accepted("N,68415941,insured,other,,1400/01/01,,,,1234567,,,", &["bad_principal_id"]);
    accepted("N,68415941,insured,other,,1400/01/01,,,,12345678901234567,,,", &["bad_principal_id"]);
    accepted("N,68415941,insured,other,,1400/01/01,,,,1234567x,,,", &["bad_principal_id"]);
    accepted("N,68415941,insured,other,,1400/01/01,,,,۱۲۳۴۵۶۷۸,,,", &[]);
    accepted("N,68415941,insured,son,1390/1/1,1400/01/01,,?,?,12345678,,,", &["bad_student_until"]);
    accepted("N,68415941,insured,daughter,?,1400/01/01,,?,?,12345678,,,", &["bad_document_due"]);
    accepted("N,68415941,insured,self,,1400/01/01,,,,,NATO,,", &["unknown_insurer"]);
    accepted("N,68415941,insured,self,,1400/01/01,,,,,,0912,", &["bad_mobile"]);
    for branch in ["0", "10000", "-1", "+1", "1.0", "x", "99999999999999999999"] {
        accepted(&format!("N,68415941,insured,self,,1400/01/01,,,,,,,{branch}"), &["bad_branch"]);
    }
    accepted("N,68415941,insured,self,,1400/01/01,,,,,,,\u{200F}۰۰۱۲ ", &[]);
}

#[test]
fn duplicates_count_by_what_is_stored() {
    let (_dir, report) = build_rows(&[
        GOOD,
        "n, 499370899 ,Insured,self,x,1400-1-1,,,,,,+989121234567,01",
        "N,0499370899,insured,self,,1400/01/01,,,,,,09121234568,1",
        "F,0499370899,insured,self,,1400/01/01,,,,,,09121234567,1",
    ]);
    let report = report.unwrap();
    assert_eq!((report.rows, report.people, report.entitlements, report.duplicates), (4, 2, 3, 1));
}

#[test]
fn a_person_is_incomplete_only_without_any_good_row() {
    let (_dir, report) = build_rows(&[
        GOOD,
        "N,0499370899,insured,self,,?,,,,,,,",
        "N,68415941,insured,self,,?,,,,,,,",
        "N,68415941,insured,self,,1400/01/02,1400/01/01,,,,,,",
        "N,1234567890,insured,self,,1400/01/01,,,,,,,",
    ]);
    let report = report.unwrap();
    assert_eq!((report.people, report.incomplete, report.rejected), (1, 1, 4));
}

#[track_caller]
fn refused(extract: &[u8], message: &str) {
    let (dir, outcome) = build_bytes(extract);
    let error = outcome.unwrap_err();
    assert!(matches!(error, BuildError::Extract(_)), "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert!(!dir.path().join("snapshots/CURRENT").exists());
}

#[test]
fn what_refuses_the_whole_file_names_the_line() {
    refused(b"", "line 1: the extract is empty");
    refused(b"\r\n\n", "line 1: the extract is empty");
    refused(b"id_kind,person_id\n", "line 1: the header has no column `category`");
    refused(
        b"id_kind;person_id;category\n",
        "line 1: the header's cells are separated by semicolons, not by commas",
    );
    refused(
        b"\xEF\xBB\xBFid_kind\tperson_id\n",
        "separated by tabs, not by commas; export the extract with commas",
    );
    refused(b"sep=;\r\nid_kind;person_id\r\n", "line 1: a `sep=` line stands before the header; remove it");
    refused(b"\xFF\xFEi\0d\0_\0k\0i\0n\0d\0\n\0", "line 1: the extract is UTF-16, not UTF-8");
    refused(
        format!("\n\n{HEADER},branch\n").as_bytes(),
        "line 3: the header has the column `branch` more than",
    );
    refused(format!("{HEADER}\n{GOOD}\n{GOOD},\"x\n").as_bytes(), "line 3: a quoted cell begins here");
    let mut invalid = format!("{HEADER}\n{GOOD},\"a\nb").into_bytes();
    invalid.extend(b"\xFF\"\n");
    refused(&invalid, "line 3: invalid UTF-8");
}

#[test]
fn the_first_of_two_faults_is_named() {
    let mut extract = format!("{HEADER}\n{GOOD}").into_bytes();
    extract.extend(b"\xFF\n\"");
    refused(&extract, "line 2: invalid UTF-8");
    refused(b"id_kind\n\"", "line 1: the header has no column `person_id`");
}

#[test]
fn any_number_of_unknown_columns_and_empty_lines() {
    let expected = build_rows(&[GOOD]).1.unwrap().generation;
    let names = "x,".repeat(2000);
    let wide = format!("{names}{HEADER}\n{}{GOOD}\n", ",".repeat(2000));
    assert_eq!(build_bytes(wide.as_bytes()).1.unwrap().generation, expected);
    let late = format!("{}{HEADER}\n{GOOD}\n", "\n".repeat(5 << 20));
    assert_eq!(build_bytes(late.as_bytes()).1.unwrap().generation, expected);
}

#[test]
fn the_first_faulty_line_is_named_whatever_thread_finds_it() {
    let good = format!("{GOOD}\n").repeat(200_000);
    let mut extract = format!("{HEADER}\n{good}").into_bytes();
    extract.extend(b"\xFF\n");
    extract.extend(good.as_bytes());
    extract.extend(b"\xFF\n\"");
    refused(&extract, "line 200002: invalid UTF-8");
}

#[test]
fn line_breaks_bom_and_a_missing_last_one_do_not_matter() {
    let expected = build_rows(&[GOOD]).1.unwrap().generation;
    for extract in [
        format!("{HEADER}\n{GOOD}"),
        format!("{HEADER}\r\n\r\n{GOOD}\r\n\r\n"),
        format!("\u{FEFF}{HEADER}\n{GOOD}\n"),
        format!("\u{FEFF}\"id_kind\"{}\n{GOOD}\n", HEADER.strip_prefix("id_kind").unwrap()),
    ] {
        assert_eq!(build_bytes(extract.as_bytes()).1.unwrap().generation, expected, "{extract:?}");
    }
}

/// An exporter that still writes would have some of the people published as all of them, whether it writes while the rows
/// are read or while they are compiled.
#[test]
fn an_extract_that_grows_during_the_build_publishes_nothing() {
    fn while_reading(progress: &Progress) -> bool {
        matches!(progress, Progress::Reading { .. })
    }
    for is_moment in [while_reading, |progress: &Progress| !while_reading(progress)] {
        let dir = tempfile::tempdir().unwrap();
        let (path, snapshots) = (dir.path().join("extract.csv"), dir.path().join("snapshots"));
        let row = "N,0499370899,insured,self,,2020-01-01,,,,,,,\n";
        fs::write(&path, format!("{HEADER}\n{row}")).unwrap();
        let exporter = path.clone();
        let append = move |progress: Progress| {
            if is_moment(&progress) {
                let mut file = fs::File::options().append(true).open(&exporter).unwrap();
                std::io::Write::write_all(&mut file, row.as_bytes()).unwrap();
            }
        };
        let append: &'static (dyn Fn(Progress) + Sync) = Box::leak(Box::new(append));
        let error = build_with(&path, &snapshots, |options| {
            options.accept = Some("a test".to_owned());
            options.progress = append;
        });
        let told = error.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("was changed while it was read"), "{told}");
        assert!(!snapshots.join("CURRENT").exists());
    }
}
