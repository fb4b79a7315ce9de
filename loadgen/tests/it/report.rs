//! `loadgen report`, as the shell sees it.

use crate::{Fixture, loadgen};

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
