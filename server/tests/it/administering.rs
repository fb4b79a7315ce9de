//! The admin endpoints: who may use them, and that what they do is done on disk and served at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snapshots::GateLimits;

use crate::client::{Client, Reply};
use crate::site::{AS_OF, Setup, Site, publish, wait_until};

const SECOND: &str = "2026-11-23";

/// A service with admin endpoints, and a client of theirs.
struct Administered {
    site: Site,
    admin: Client,
}

impl Administered {
    fn start() -> Administered {
        Administered::judging_by(GateLimits::default())
    }

    fn judging_by(gate_limits: GateLimits) -> Administered {
        let mut setup = Setup::usual();
        setup.settings.gate_limits = gate_limits;
        setup.settings.admin_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let site = setup.start();
        let admin = Client::new(site.running().admin_address().unwrap());
        Administered { site, admin }
    }

    fn get(&self, path: &str) -> Value {
        let reply = self.admin.get(path, &[("Authorization", &format!("Bearer {}", self.site.keys.ops))]);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {}", self.site.keys.ops);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.admin.post(path, &headers, body.to_string().as_bytes())
    }

    fn publish(&self) -> (String, String) {
        let first = self.get("/v1/generations/current")["current"].as_str().unwrap().to_owned();
        let second = publish(&self.site.path("snapshots"), SECOND);
        wait_until("it serves", || self.site.running().generation().as_ref() == Some(&second));
        (first, second)
    }
}

#[test]
fn only_a_key_for_operations_may_and_only_on_their_own_listener() {
    let administered = Administered::start();
    let (site, admin) = (&administered.site, &administered.admin);
    for path in ["/v1/generations", "/v1/generations/current"] {
        admin.get(path, &[]).problem(401, "unauthorized");
        for key in [&site.keys.hospital, &site.keys.desk, &site.keys.claims] {
            let authorization = format!("Bearer {key}");
            admin.get(path, &[("Authorization", &authorization)]).problem(403, "missing_scope");
        }
        let authorization = format!("Bearer {}", site.keys.ops);
        site.client.get(path, &[("Authorization", &authorization)]).problem(404, "not_found");
    }
    for path in ["/v1/generations/activate", "/v1/generations/rollback"] {
        admin.post(path, &[("Content-Type", "application/json")], b"{}").problem(401, "unauthorized");
        assert_eq!(administered.admin.get(path, &[]).header("allow"), "POST");
    }
    let inquiry = admin.ask(&site.keys.hospital, &json!({"person_id": "0499370899"}));
    inquiry.problem(404, "not_found");
}

#[test]
fn a_rollback_and_an_activation_serve_when_they_are_answered() {
    let administered = Administered::start();
    let (first, second) = administered.publish();
    let at_once = || administered.get("/v1/generations/current")["rollback"]["at_once"] == true;
    wait_until("the one before is in memory", at_once);

    let began = Instant::now();
    let reply = administered.post("/v1/generations/rollback", &json!({"why": "wrong branch codes"}));
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    assert_eq!(reply.json(), json!({"generation": first, "before": second, "serving": true}));
    assert_eq!(administered.site.running().generation().as_ref(), Some(&first));

    let listed = administered.get("/v1/generations");
    let of = |name: &str| {
        listed["generations"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["generation"] == name)
            .unwrap()
            .clone()
    };
    let taken_back = of(&second);
    assert_eq!(
        (taken_back["state"].clone(), taken_back["serving"].clone()),
        (json!("rolled_back"), json!(false))
    );
    assert_eq!(
        (taken_back["why"].clone(), taken_back["by"].clone()),
        (json!("wrong branch codes"), json!("admin:ops-1"))
    );
    assert_eq!(
        (of(&first)["state"].clone(), of(&first)["serving"].clone()),
        (json!("published"), json!(true))
    );

    // What was taken back does not come again by accident.
    let refused = administered.post("/v1/generations/activate", &json!({"generation": second}));
    refused.problem(409, "generation_refused");
    assert!(refused.json()["reason"].as_str().unwrap().contains("rolled back"), "{refused:?}");
    let reply = administered.post(
        "/v1/generations/activate",
        &json!({"generation": second, "accept": "the codes were right after all"}),
    );
    assert_eq!(reply.json(), json!({"generation": second, "before": first, "serving": true}));
}

#[test]
fn what_cannot_be_done_is_said_with_the_reason() {
    let administered = Administered::start();
    let unknown = json!({"generation": "2026-11-01-000000000000"});
    administered.post("/v1/generations/activate", &unknown).problem(404, "unknown_generation");
    let nothing_before = administered.post("/v1/generations/rollback", &json!({}));
    nothing_before.problem(409, "generation_refused");
    assert_eq!(
        administered.post("/v1/generations/activate", &json!({})).problem(422, "required"),
        "generation:required"
    );
    let current = administered.get("/v1/generations/current");
    assert_eq!(current["serving"]["as_of"], AS_OF);
    assert_eq!(current["current"], current["serving"]["generation"]);
    assert_eq!(current["rollback"]["state"], "nothing_before");
}

/// The messy extract is refused by the usual limits, and so is one that is older than the current one.
#[test]
fn an_activation_is_judged_by_the_limits_of_the_service() {
    let usual = Administered::start();
    let (first, _) = usual.publish();
    let refused = usual.post("/v1/generations/activate", &json!({"generation": first}));
    refused.problem(409, "generation_refused");
    let reason = refused.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("at most 0.005") && reason.contains("--allow-older"), "{reason}");

    let limits = GateLimits {
        max_rejected: 0.05,
        max_incomplete: 0.05,
        max_covered_change: 0.2,
        allow_older: true,
        ..GateLimits::default()
    };
    let lenient = Administered::judging_by(limits);
    let (first, second) = lenient.publish();
    let reply = lenient.post("/v1/generations/activate", &json!({"generation": first}));
    assert_eq!(reply.json(), json!({"generation": first, "before": second, "serving": true}));
    let strict = Administered::judging_by(GateLimits { min_people: 1_000_000, ..GateLimits::default() });
    let (first, _) = strict.publish();
    let refused = strict.post("/v1/generations/activate", &json!({"generation": first}));
    assert!(refused.json()["reason"].as_str().unwrap().contains("at least 1000000"), "{refused:?}");
}
