//! `loadgen report`, as the shell sees it.

use crate::server::TestServer;
use crate::{Fixture, KEY, loadgen};

#[test]
fn what_is_no_result_ends_with_1_and_says_what_to_give() {
    let fixture = Fixture::new(1);
    let path = fixture.path("targets");
    let finished = loadgen(&["report", path.to_str().unwrap()]);
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("is no result of loadgen"), "{}", finished.stderr);
    assert!(finished.stderr.contains("give a file that --json or --out wrote"), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    assert_eq!(loadgen(&["report"]).code, 2);
    assert_eq!(loadgen(&["report", "/nowhere/at/all.json"]).code, 1);
}

/// One run written in every form at once; `report` makes the same page from the JSON alone.
#[test]
fn a_result_is_written_in_every_form_and_reported_again_later() {
    let (fixture, server) = (Fixture::new(20), TestServer::right());
    let path = |name: &str| fixture.path(name).to_str().unwrap().to_owned();
    let files = ["result.json", "page.html", "rows.csv", "log.hlog"].map(path);
    let mut more = vec!["--requests-max", "400", "--endpoint", "mixed"];
    for (flag, file) in ["--out", "--report", "--csv", "--hdr-log"].into_iter().zip(&files) {
        more.extend([flag, file.as_str()]);
    }
    let finished = fixture.run(&server, &more);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(finished.stdout, std::fs::read_to_string(&files[0]).unwrap());
    let again = path("again.html");
    let reported = loadgen(&["report", &files[0], "--report", &again]);
    assert_eq!(reported.code, 0, "{}", reported.stderr);
    assert!(reported.stdout.starts_with("closed_loop against http://127.0.0.1:"), "{}", reported.stdout);
    let page = std::fs::read_to_string(&files[1]).unwrap();
    assert_eq!(std::fs::read_to_string(&again).unwrap(), page);
    assert!(page.contains("data-verdict=\"met\"") && page.contains("coordinated omission"));
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains("closed_loop"), "{file}");
        for secret in [KEY, "0912", "73100000"] {
            assert!(!text.contains(secret), "{secret} in {file}");
        }
    }
}
