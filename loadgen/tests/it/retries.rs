//! Callers who ask again after an error, against servers that fail some.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Fixture;
use crate::server::{Reply, TestServer, right_reply};

fn scenario(fixture: &Fixture, rate: u32, goals: &str) -> String {
    let path = fixture.path("scenario.toml");
    let text = format!(
        "arrivals = \"uniform\"\nconnections = 4\n[[stage]]\nkind = \"constant\"\nrate_per_s = {rate}\n\
         duration_s = 1\n[traffic.mix]\nordinary = 1\n[traffic.retries]\nmax = 3\nafter_ms = 100\n{goals}"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn failure() -> Reply {
    Reply::Json(503, json!({"code": "unavailable"}))
}

/// One inquiry that fails each time: asked four times, after pauses that double.
#[test]
fn an_inquiry_that_fails_is_asked_again_so_often_and_after_longer_pauses() {
    let came: &'static Mutex<Vec<Instant>> = Box::leak(Box::default());
    let server = TestServer::start(move |_| {
        came.lock().unwrap().push(Instant::now());
        failure()
    });
    let fixture = Fixture::new(20);
    let finished = fixture.run(&server, &["--scenario", &scenario(&fixture, 2, "")]);
    let result = finished.json();
    let counts = ["intended", "requests", "retries", "errors"].map(|name| result[name].clone());
    assert_eq!(counts, [4, 4, 3, 4].map(Value::from), "{result}");
    assert_eq!(result["errors_by_http_status"], json!({"503": 4}));
    assert_eq!(finished.code, 3, "every try that failed is an error");
    let asked: Vec<Value> = server.requests().into_iter().map(|request| request.body).collect();
    assert!(asked.iter().all(|body| *body == asked[0]), "the same inquiry each time");
    let came = came.lock().unwrap();
    for (two, pause_ms) in came.windows(2).zip([100, 200, 400]) {
        let pause = two[1] - two[0];
        assert!(pause >= Duration::from_millis(pause_ms), "{pause:?} instead of {pause_ms} ms");
    }
}

/// Ten failures at first, then none: each is made good by one more request, and nothing is lost.
#[test]
fn what_failed_once_is_right_in_the_end() {
    let server =
        TestServer::start(|request| if request.number < 10 { failure() } else { right_reply(request) });
    let fixture = Fixture::new(20);
    let goals = "[goals]\nerrors_share_max = 0.5\n";
    let finished = fixture.run(&server, &["--scenario", &scenario(&fixture, 50, goals)]);
    let result = finished.json();
    assert_eq!(finished.code, 0, "{result}");
    let number = |name: &str| result[name].as_u64().unwrap();
    assert_eq!((number("errors"), number("retries")), (10, 10));
    assert_eq!(number("right") + 10, number("intended"));
    assert_eq!(number("requests") as usize, server.requests().len());
    let text = std::fs::read_to_string(fixture.path("scenario.toml")).unwrap();
    std::fs::write(fixture.path("scenario.toml"), text.replace("max = 3", "max = 0")).unwrap();
    let again =
        TestServer::start(|request| if request.number < 10 { failure() } else { right_reply(request) });
    let path = fixture.path("scenario.toml");
    let without = fixture.run(&again, &["--scenario", path.to_str().unwrap()]).json();
    assert_eq!((&without["retries"], &without["errors"]), (&json!(0), &json!(10)));
    assert_eq!(without["intended"].as_u64().unwrap() + 10, number("intended"));
}
