//! Where `serve` takes its settings from: a flag beats the environment, which beats the TOML file, and what is
//! unknown or out of bounds is wrong usage. Nothing is opened before the settings are in order, so that most of
//! this needs no files.

use std::net::TcpListener;

use super::serving::SERVE;
use super::{Folder, Ran, words};

/// Settings with bounds: flag, lowest, highest.
const BOUNDED: [(&str, u64, u64); 13] = [
    ("workers", 1, 512),
    ("keep-alive-s", 1, 3600),
    ("backlog", 1, 65_535),
    ("connections-max", 1, 1_000_000),
    ("head-timeout-ms", 1, 60_000),
    ("body-timeout-ms", 1, 60_000),
    ("drain-timeout-s", 0, 28),
    ("ledger-queue-len-max", 1, 10_000_000),
    ("idempotency-keys-max", 2, 100_000_000),
    ("ledger-sync-interval-max-us", 0, 10_000),
    ("ledger-segment-kib", 8, 4_194_304),
    ("desk-searches-max", 1, 64),
    ("generations-memory-mib", 1, 1 << 30),
];

fn variable(flag: &str) -> String {
    format!("ESTEHQAQ_{}", flag.replace('-', "_").to_uppercase())
}

/// `serve` with all that is required and these flags, variables and lines of TOML.
#[track_caller]
fn serve(folder: &Folder, flags: &[&str], variables: &[(&str, &str)], toml: &str) -> Ran {
    folder.write("settings.toml", toml);
    let flags = [&words(SERVE)[..], &["--config", "settings.toml"], flags].concat();
    folder.run_with(&flags, variables)
}

/// As far as a command comes in an empty folder once its settings are in order.
#[track_caller]
fn check_taken(ran: &Ran) {
    ran.refused(1, &["cannot read the secrets file secrets.toml"]);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let folder = Folder::new();
    for (flag, lowest, highest) in BOUNDED {
        let good = lowest.max(2).to_string();
        // Each out of bounds by another amount: the message tells which one was taken.
        let [first, second, third] = [1, 2, 3].map(|over| (highest + over).to_string());
        let (flagged, name) = (format!("--{flag}"), variable(flag));
        let toml = format!("{} = {third}\n", flag.replace('-', "_"));
        let told = |value: &str| format!("--{flag} is {value}; give a number from");
        let ran = serve(&folder, &[&flagged, &first], &[(&name, &second)], &toml);
        ran.refused(2, &[&told(&first)]);
        serve(&folder, &[], &[(&name, &second)], &toml).refused(2, &[&told(&second)]);
        serve(&folder, &[], &[], &toml).refused(2, &[&told(&third)]);
        // A good value above a bad one is all that counts.
        check_taken(&serve(&folder, &[&flagged, &good], &[(&name, &second)], &toml));
        check_taken(&serve(&folder, &[], &[(&name, &good)], &toml));
    }
}

#[test]
fn places_and_the_address_follow_the_same_order() {
    let folder = Folder::with_secrets();
    folder.write("providers.toml", "");
    let taken = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [flag, variable, file] = taken.each_ref().map(|taken| taken.local_addr().unwrap().to_string());
    let toml = format!(
        "snapshots = 'snapshots'\nledger = 'ledger'\nproviders = 'providers.toml'\nlog_level = 'error'\n\
         secrets = 'none-1.toml'\nlisten = '{file}'\n"
    );
    folder.write("settings.toml", &toml);
    let run = |flags: &str, variables: &[(&str, &str)]| {
        let flags = [&["serve"], &words(flags)[..]].concat();
        folder.run_with(&flags, &[&[("ESTEHQAQ_CONFIG", "settings.toml")], variables].concat())
    };
    run("", &[]).refused(1, &["secrets file none-1.toml"]);
    run("", &[("ESTEHQAQ_SECRETS", "none-2.toml")]).refused(1, &["secrets file none-2.toml"]);
    let both = run("--secrets none-3.toml", &[("ESTEHQAQ_SECRETS", "none-2.toml")]);
    both.refused(1, &["secrets file none-3.toml"]);

    let secrets = ("ESTEHQAQ_SECRETS", "secrets.toml");
    run("", &[secrets]).refused(1, &[&format!("cannot listen on {file}")]);
    let listen = ("ESTEHQAQ_LISTEN", variable.as_str());
    run("", &[secrets, listen]).refused(1, &[&format!("cannot listen on {variable}")]);
    let given = format!("--listen {flag}");
    run(&given, &[secrets, listen]).refused(1, &[&format!("cannot listen on {flag}")]);
    run(&given, &[secrets, ("ESTEHQAQ_LISTEN", "nowhere")])
        .refused(1, &[&format!("cannot listen on {flag}")]);
}

#[test]
fn other_commands_take_their_places_from_the_environment_too() {
    let folder = Folder::with_secrets();
    let variables = [("ESTEHQAQ_LEDGER", "env-ledger"), ("ESTEHQAQ_SECRETS", "secrets.toml")];
    let init = folder.run_with(&["ledger", "init"], &variables);
    assert_eq!(init.ok(), "env-ledger is ledger 1\n");
    let flagged = folder.run_with(&["ledger", "init", "--ledger", "flag-ledger"], &variables);
    assert_eq!(flagged.ok(), "flag-ledger is ledger 1\n");
}

#[test]
fn bounds_are_kept_in_all_three_sources() {
    let folder = Folder::new();
    for (flag, lowest, highest) in BOUNDED {
        let (flagged, name, member) = (format!("--{flag}"), variable(flag), flag.replace('-', "_"));
        for value in [lowest, highest].map(|value| value.to_string()) {
            check_taken(&serve(&folder, &[&flagged, &value], &[], ""));
            check_taken(&serve(&folder, &[], &[(&name, &value)], ""));
            check_taken(&serve(&folder, &[], &[], &format!("{member} = {value}")));
        }
        let bad = [lowest.checked_sub(1), Some(highest + 1), Some(u64::MAX)];
        for value in bad.into_iter().flatten().map(|value| value.to_string()) {
            serve(&folder, &[&flagged, &value], &[], "").refused(2, &[&format!("--{flag}"), &value]);
            serve(&folder, &[], &[(&name, &value)], "").refused(2, &[&format!("--{flag}"), &value]);
            serve(&folder, &[], &[], &format!("{member} = {value}")).refused(2, &[&value]);
        }
        for value in ["-1", "1.5", "many", "''"] {
            serve(&folder, &[&format!("{flagged}={value}")], &[], "").refused(2, &[&flagged]);
            serve(&folder, &[], &[], &format!("{member} = {value}")).refused(2, &["settings.toml: "]);
        }
    }
}

#[test]
fn log_levels_and_addresses_that_are_none_are_wrong_usage() {
    let folder = Folder::new();
    for level in ["off", "error", "warn", "info", "debug", "trace"] {
        check_taken(&serve(&folder, &["--log-level", level], &[], "log_level = 'loud'"));
    }
    let loud = serve(&folder, &[], &[], "log_level = 'loud'");
    loud.refused(2, &["--log-level: `loud` is none; give info, for example"]);
    for address in ["8080", "localhost:8080", "127.0.0.1", "127.0.0.1:65536"] {
        serve(&folder, &[&format!("--listen={address}")], &[], "").refused(2, &["--listen <ADDR:PORT>"]);
    }
}

#[test]
fn each_missing_setting_is_named_with_its_three_names() {
    let folder = Folder::new();
    let given = words(SERVE);
    for name in ["snapshots", "ledger", "providers", "secrets", "listen"] {
        let flag = format!("--{name}");
        let at = given.iter().position(|word| *word == flag).unwrap();
        let others = [&given[..at], &given[at + 2..]].concat();
        let missing =
            format!("--{name} is missing; give it as a flag, as {}, or as `{name}`", variable(name));
        folder.run_with(&others, &[]).refused(2, &[&missing]);
        let value = if name == "listen" { "127.0.0.1:0" } else { "secrets.toml" };
        check_taken(&folder.run_with(&others, &[(&variable(name), value)]));
    }
}

#[test]
fn an_unknown_setting_in_the_file_is_named_with_its_line() {
    let folder = Folder::new();
    let ran = serve(&folder, &[], &[], "workers = 2\nworkres = 3\n");
    ran.refused(2, &["settings.toml: ", "line 2", "unknown field `workres`"]);
    serve(&folder, &[], &[], "[serve]\nworkers = 2\n").refused(2, &["unknown field `serve`"]);
    serve(&folder, &[], &[], "keep-alive-s = 2\n").refused(2, &["unknown field `keep-alive-s`"]);
    serve(&folder, &[], &[], "config = 'x'\n").refused(2, &["unknown field `config`"]);
    serve(&folder, &[], &[], "workers = 2\nworkers = 3\n").refused(2, &["settings.toml: ", "duplicate key"]);
    serve(&folder, &[], &[], "workers\n").refused(2, &["settings.toml: ", "line 1"]);
    let none = folder.run(&format!("{SERVE} --config none.toml"));
    none.refused(1, &["cannot read none.toml", "check --config"]);
}

#[test]
fn an_unknown_variable_is_named() {
    let folder = Folder::new();
    for name in ["ESTEHQAQ_WORKRES", "ESTEHQAQ_", "ESTEHQAQ_PORTS", "ESTEHQAQ_SERVICE", "ESTEHQAQ_PORT_HTTP"]
    {
        let text = format!("the environment variable {name} is no setting; remove it");
        folder.run_with(&words(SERVE), &[(name, "1")]).refused(2, &[&text]);
        folder.run_with(&["secrets", "init", "--secrets", "s"], &[(name, "1")]).refused(2, &[&text]);
    }
    // A port alone is a setting that somebody hopes for; Kubernetes gives a URL.
    folder.run_with(&words(SERVE), &[("ESTEHQAQ_PORT", "9090")]).refused(2, &["ESTEHQAQ_PORT is no setting"]);
    // Told before what is missing for want of it.
    let misspelt = folder.run_with(&["snapshot", "verify"], &[("ESTEHQAQ_SNAPSHOT", "s")]);
    misspelt.refused(2, &["ESTEHQAQ_SNAPSHOT is no setting"]);
    // The help that the message names is to be had all the same.
    let help = folder.run_with(&["serve", "--help"], &[("ESTEHQAQ_WORKRES", "1")]);
    assert!(help.ok().contains("ESTEHQAQ_WORKERS"));
    assert!(!folder.path("s").exists());
}

#[test]
fn what_kubernetes_sets_for_services_is_passed_over() {
    let folder = Folder::new();
    let variables = [
        ("ESTEHQAQ_SERVICE_HOST", "10.0.0.7"),
        ("ESTEHQAQ_SERVICE_PORT", "8080"),
        ("ESTEHQAQ_SERVICE_PORT_HTTP", "8080"),
        ("ESTEHQAQ_PORT", "tcp://10.0.0.7:8080"),
        ("ESTEHQAQ_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("ESTEHQAQ_PORT_8080_TCP_PROTO", "tcp"),
        ("ESTEHQAQ_PORT_8080_TCP_PORT", "8080"),
        ("ESTEHQAQ_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("ESTEHQAQ_DESK_SERVICE_HOST", "10.0.0.8"),
        ("ESTEHQAQ_DESK_PORT_53_UDP", "udp://10.0.0.8:53"),
        ("ESTEHQAQLIKE", "of another program"),
    ];
    check_taken(&folder.run_with(&words(SERVE), &variables));
}

#[test]
fn how_generations_are_held_and_where_operators_ask_is_set_like_the_rest() {
    let folder = Folder::new();
    for (flag, good, bad, message) in [
        ("memory-mode", "mapped", "cached", "cached"),
        (
            "admin-listen",
            "8081",
            "localhost:8081",
            "--admin-listen: `localhost:8081` is no address; give 8081",
        ),
        ("admin-listen", "127.0.0.1:8081", "70000", "--admin-listen: `70000` is no address"),
    ] {
        let (flag_text, variable, name) = (format!("--{flag}"), variable(flag), flag.replace('-', "_"));
        check_taken(&serve(&folder, &[&flag_text, good], &[], ""));
        check_taken(&serve(&folder, &[], &[(&variable, good)], ""));
        check_taken(&serve(&folder, &[], &[], &format!("{name} = \"{good}\"\n")));
        serve(&folder, &[&flag_text, bad], &[], "").refused(2, &[message]);
        serve(&folder, &[], &[(&variable, bad)], "").refused(2, &[message]);
        serve(&folder, &[], &[], &format!("{name} = \"{bad}\"\n")).refused(2, &[message]);
    }
    serve(&folder, &["--public-key", "none"], &[], "")
        .refused(1, &["cannot take none: ", "check --public-key"]);
    folder.write("public.key", "\n");
    let empty = serve(&folder, &[], &[], "public_key = \"public.key\"\n");
    empty.refused(1, &["cannot take public.key: it holds no key; check --public-key"]);
    folder.write("public.key", "estehqaq-signing-key 00\n");
    serve(&folder, &["--public-key", "public.key"], &[], "")
        .refused(1, &["it is no public key", "--public-key"]);
}

#[test]
fn gates_are_settings_of_the_service_too() {
    let folder = Folder::new();
    let table = "[gates]\nmax_people_change = 0.1\nallow_older = true\n";
    check_taken(&serve(&folder, &["--max-rejected", "0.01"], &[("ESTEHQAQ_AREA_PEOPLE", "5000")], table));
    check_taken(&serve(&folder, &["--allow-older=false"], &[], table));
    serve(&folder, &[], &[], "[gates]\nmax_people = 0.1\n").refused(2, &["max_people"]);
    serve(&folder, &[], &[], "[gates]\nmax_rejected = 5\n").refused(2, &["give a number from 0 to 1"]);
    serve(&folder, &[], &[], "max_rejected = 0.1\n").refused(2, &["max_rejected"]);
    serve(&folder, &[], &[("ESTEHQAQ_MAX_REJECTED", "2")], "").refused(2, &["give a number from 0 to 1"]);
}
