//! Runs over TLS against servers with certificates of the tests' own: what is trusted, what is timed apart, and in
//! which words a handshake fails.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use serde_json::{Value, json};

use crate::server::{TestServer, TlsSide, changed_reply, right_reply};
use crate::{Finished, Fixture, KEY};

/// Signs certificates; its own stands in a file for `--ca`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its certificate into the fixture's folder; what to give `--ca`.
    pub(crate) fn file(&self, fixture: &Fixture) -> String {
        let path = fixture.path("ca.pem");
        std::fs::write(&path, &self.pem).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A server of this certificate, changed as the test likes.
    fn config(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        change: impl Fn(&mut CertificateParams),
    ) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    /// TLS as it should be, for 127.0.0.1.
    pub(crate) fn side(&self) -> TlsSide {
        let config = Arc::new(self.config("127.0.0.1", &[&TLS13, &TLS12], |_| {}));
        TlsSide { config, slow: (0, Duration::ZERO) }
    }
}

#[test]
fn answers_over_tls_are_checked_like_any_other() {
    let (fixture, authority) = (Fixture::new(50), Authority::new());
    let ca = authority.file(&fixture);
    let server = TestServer::start_with(Some(authority.side()), right_reply);
    let [out, report] = ["out.json", "report.html"].map(|name| fixture.path(name));
    let files = ["--out", out.to_str().unwrap(), "--report", report.to_str().unwrap()];
    let more = ["--ca", &ca, "--endpoint", "mixed", "--requests-max", "100", "--connections", "4"];
    let finished = fixture.run(&server, &[&more[..], &files[..]].concat());
    let result = finished.json();
    assert_eq!((finished.code, &result["right"]), (0, &json!(100)), "{result}");
    assert_eq!(result["url"], server.url());
    assert!(server.requests().iter().any(|request| request.head.contains(&format!("Bearer {KEY}\r\n"))));
    for file in [out, report] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains(KEY) && !text.contains(KEY.split_once('.').unwrap().1));
    }

    let wrong =
        |request: &crate::server::Request| changed_reply(request, |body| body["status"] = json!("covered?"));
    let server = TestServer::start_with(Some(authority.side()), wrong);
    let finished = fixture.run(&server, &["--ca", &ca, "--requests-max", "5", "--connections", "1"]);
    assert_eq!((finished.code, &finished.json()["wrong_answers"]), (3, &json!(5)));
}

/// A closed loop over two connections, each replaced after five requests.
const REPLACED: &str = "arrivals = \"closed_loop\"\nrequests_max = 60\nconnections = 2\n\
                        requests_per_connection = 5\n[[stage]]\nkind = \"constant\"\nduration_s = 20\n";

fn run_scenario(fixture: &Fixture, server: &TestServer, ca: &str, text: &str) -> Finished {
    let path = fixture.path("scenario.toml");
    std::fs::write(&path, text).unwrap();
    fixture.run(server, &["--ca", ca, "--scenario", path.to_str().unwrap()])
}

/// The server is the witness: it counts the two kinds of handshakes by itself.
#[track_caller]
fn check_handshakes(version: &'static SupportedProtocolVersion) {
    let (fixture, authority) = (Fixture::new(20), Authority::new());
    let ca = authority.file(&fixture);
    let config = Arc::new(authority.config("127.0.0.1", &[version], |_| {}));
    let server = TestServer::start_with(Some(TlsSide { config, slow: (0, Duration::ZERO) }), right_reply);
    let finished = run_scenario(&fixture, &server, &ca, REPLACED);
    let result = finished.json();
    assert_eq!((finished.code, &result["right"]), (0, &json!(60)), "{result}");
    let connections = &result["connections"];
    let samples = |name: &str| connections[name]["samples"].as_u64().unwrap();
    let [full, resumed] = server.handshakes();
    assert_eq!([samples("tls_full_us"), samples("tls_resumed_us")], [full, resumed]);
    assert!(full >= 1 && resumed >= 8, "{full} full, {resumed} resumed: sessions are taken up again");
    assert_eq!(connections["opened"], full + resumed);
    assert_eq!(connections["reconnects"], full + resumed - 2);
    assert_eq!(samples("tcp_connect_us"), full + resumed);
    // 60 requests, 5 on each connection; the last of the two need not be full.
    let new = connections["requests_new"].as_u64().unwrap();
    assert!((12..=13).contains(&new) && new == full + resumed, "{connections}");
    assert_eq!(connections["requests_reused"], 60 - new);
    assert_eq!([samples("service_new_us"), samples("service_reused_us")], [new, 60 - new]);
}

#[test]
fn full_and_resumed_handshakes_are_counted_apart() {
    check_handshakes(&TLS13);
    check_handshakes(&TLS12);
}

/// A server that takes 40 ms to each handshake once the run is under way, and a connection for each request.
#[test]
fn a_slow_handshake_is_latency_but_neither_service_time_nor_lateness() {
    let (fixture, authority) = (Fixture::new(20), Authority::new());
    let ca = authority.file(&fixture);
    let side = TlsSide { slow: (8, Duration::from_millis(40)), ..authority.side() };
    let server = TestServer::start_with(Some(side), right_reply);
    let text = "connections = 8\nrequests_per_connection = 1\n[[stage]]\nkind = \"constant\"\n\
                rate_per_s = 80\nduration_s = 4\n";
    let result = run_scenario(&fixture, &server, &ca, text).json();
    assert_eq!(result["right"], result["intended"], "{result}");
    let p50 = |part: &Value| part["p50"].as_u64().unwrap_or_else(|| panic!("insufficient: {part}"));
    let connections = &result["connections"];
    assert!(p50(&connections["tls_resumed_us"]) >= 40_000, "{connections}");
    assert!(p50(&connections["tcp_connect_us"]) < 20_000, "{connections}");
    assert!(p50(&connections["service_new_us"]) < 20_000, "{connections}");
    assert!(p50(&result["latency_us"]) >= 40_000, "{}", result["latency_us"]);
    assert!(p50(&result["gap_us"]) >= 40_000, "{}", result["gap_us"]);
    assert!(p50(&result["lateness_us"]) < 20_000, "{}", result["lateness_us"]);
}

/// A run that must fail while it opens its first connection, in these words.
#[track_caller]
fn check_refused(authority: &Authority, url: &str, words: &str) {
    let fixture = Fixture::new(1);
    let (targets, ca) = (fixture.path("targets"), authority.file(&fixture));
    let args = ["run", "--url", url, "--targets", targets.to_str().unwrap(), "--endpoint", "personal"];
    let finished = crate::loadgen(&[&args[..], &["--ca", &ca, "--timeout-ms", "500"]].concat());
    assert_eq!(finished.code, 1, "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    assert!(finished.stderr.contains("connection 1 of 16 to "), "{}", finished.stderr);
    fixture.assert_nothing_leaked(&finished);
}

#[track_caller]
fn check_certificate(name: &str, change: impl Fn(&mut CertificateParams), words: &str) {
    let authority = Authority::new();
    let config = Arc::new(authority.config(name, &[&TLS13, &TLS12], change));
    let server = TestServer::start_with(Some(TlsSide { config, slow: (0, Duration::ZERO) }), right_reply);
    check_refused(&authority, &server.url(), words);
    assert!(server.requests().is_empty(), "nothing was sent to a server that is not trusted");
}

#[test]
fn a_certificate_that_will_not_do_is_told_with_what_to_do() {
    let trusted = TestServer::start_with(Some(Authority::new().side()), right_reply);
    let words = "signed by no trusted authority; name the PEM file of the authority that signed it with --ca";
    check_refused(&Authority::new(), &trusted.url(), words);

    check_certificate(
        "other.example",
        |_| {},
        "the server's certificate is for other.example, not for this host; write that name in --url",
    );
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    check_certificate("127.0.0.1", expired, "has expired; renew it, or set this machine's clock");
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2900, 1, 1);
    check_certificate("127.0.0.1", early, "is not valid yet; wait, or set this machine's clock");
    let client = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    check_certificate("127.0.0.1", client, "the server's certificate cannot be used: ");
}

/// The name in the URL counts, not the address behind it.
#[test]
fn the_host_of_the_url_must_stand_in_the_certificate() {
    let (fixture, authority) = (Fixture::new(5), Authority::new());
    let ca = authority.file(&fixture);
    let config = Arc::new(authority.config("localhost", &[&TLS13], |_| {}));
    let server = TestServer::start_with(Some(TlsSide { config, slow: (0, Duration::ZERO) }), right_reply);
    check_refused(&authority, &server.url(), "is for localhost, not for this host");
    let url = format!("https://localhost:{}", server.port());
    let targets = fixture.path("targets");
    let args = ["run", "--url", &url, "--targets", targets.to_str().unwrap(), "--endpoint", "personal"];
    let finished = crate::loadgen(&[&args[..], &["--ca", &ca, "--requests-max", "5"]].concat());
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
}

/// A port where this happens to each connection; its URL.
fn port_that(act: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| act(stream.unwrap())));
    url
}

fn read_some(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
}

#[test]
fn a_port_without_tls_is_told_from_one_that_refuses() {
    let authority = Authority::new();
    let plain = port_that(|mut stream| {
        read_some(&mut stream);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    check_refused(&authority, &plain, "does not speak TLS; write http:// in --url, or the port that does");
    let closing = port_that(|mut stream| read_some(&mut stream));
    check_refused(&authority, &closing, "ended the connection in the TLS handshake");
    let silent = port_that(|stream| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(5));
            drop(stream);
        });
    });
    check_refused(&authority, &silent, "the TLS handshake was not done within the timeout");

    let mut config = authority.config("127.0.0.1", &[&TLS13], |_| {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    let side = TlsSide { config: Arc::new(config), slow: (0, Duration::ZERO) };
    let refusing = TestServer::start_with(Some(side), right_reply);
    check_refused(&authority, &refusing.url(), "the server refused the TLS handshake: ");
}

/// Once a run is under way a failed handshake is the server's error, counted and not hidden.
#[test]
fn a_handshake_that_fails_later_is_an_error_of_the_server() {
    let (fixture, authority) = (Fixture::new(5), Authority::new());
    let ca = authority.file(&fixture);
    let server = TestServer::start_with(Some(authority.side()), right_reply);
    let (port, turns) = (server.port(), std::sync::atomic::AtomicU64::new(0));
    // The first connection goes through to the server, the others get a page instead.
    let url = port_that(move |mut stream| {
        if turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            read_some(&mut stream);
            // Who has seen enough may be gone.
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
            return;
        }
        let there = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (stream.try_clone().unwrap(), there.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut from, mut to) = (there, stream);
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    });
    let path = fixture.path("scenario.toml");
    let text = "arrivals = \"closed_loop\"\nrequests_max = 4\nconnections = 1\nrequests_per_connection = 2\n\
                [[stage]]\nkind = \"constant\"\nduration_s = 20\n";
    std::fs::write(&path, text).unwrap();
    let (targets, key) = (fixture.path("targets"), fixture.path("key"));
    let args = ["run", "--json", "--url", &url, "--ca", &ca, "--scenario", path.to_str().unwrap()];
    let files = ["--targets", targets.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    let finished = crate::loadgen(&[&args[..], &files].concat());
    let result = finished.json();
    assert_eq!((finished.code, &result["right"]), (3, &json!(2)), "{result}");
    assert_eq!(result["errors_by_connection"], json!({"tls_failed": 2}));
    fixture.assert_nothing_leaked(&finished);
}

#[test]
fn a_ca_file_that_will_not_do_is_told_with_what_to_do() {
    let fixture = Fixture::new(1);
    let (targets, ca) = (fixture.path("targets"), fixture.path("ca.pem"));
    let check = |words: &str| {
        let args = ["run", "--url", "https://127.0.0.1:1", "--endpoint", "personal"];
        let files = ["--targets", targets.to_str().unwrap(), "--ca", ca.to_str().unwrap()];
        let finished = crate::loadgen(&[&args[..], &files].concat());
        assert_eq!(finished.code, 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words:?} is missing in {}", finished.stderr);
    };
    check("the file named by --ca cannot be read: ");
    std::fs::write(&ca, "no certificate\n").unwrap();
    check("the file named by --ca holds no certificate; give PEM, with `-----BEGIN CERTIFICATE-----`");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    check("the file named by --ca, certificate 1: ");
}
