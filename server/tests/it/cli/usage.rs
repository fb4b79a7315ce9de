//! Help, versions and wrong usage, of every command.

use super::Folder;
use super::serving::Serving;

const COMMANDS: [&str; 18] = [
    "",
    "demo",
    "secrets",
    "secrets init",
    "provider",
    "provider add",
    "extract",
    "extract synth",
    "snapshot",
    "snapshot build",
    "snapshot verify",
    "ask",
    "serve",
    "ledger",
    "ledger init",
    "ledger find",
    "ledger verify",
    "ledger export",
];

#[test]
fn help_is_a_result_and_ends_with_0() {
    let folder = Folder::new();
    for command in COMMANDS {
        let help = folder.run(&format!("{command} --help")).ok();
        let usage = format!("Usage: {}", format!("estehqaq {command}").trim_end());
        assert!(help.contains(&usage), "{command}: {help}");
    }
    let version = folder.run("--version").ok();
    assert_eq!(version, format!("estehqaq {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_lines_of_the_help_work() {
    let folder = Folder::new();
    let help = folder.run("--help").ok().replace("\\\n", " ");
    let shown = help.lines().filter_map(|line| line.strip_prefix("  estehqaq "));
    let lines: Vec<_> = shown.map(|line| line.replace("100000", "2000")).collect();
    let (serve, before) = lines.split_last().unwrap();
    assert_eq!(before.len(), 4, "{help}");
    for line in before {
        folder.run(line).ok();
    }
    let serve = serve.replace("127.0.0.1:8080", "127.0.0.1:0");
    let mut serving = Serving::start(&folder, &serve);
    assert_eq!(serving.client().get("/readyz", &[]).status, 200);
    serving.terminate();
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    for command in COMMANDS {
        let ran = folder.run(&format!("{command} --nonsense"));
        ran.refused(2, &["unexpected argument '--nonsense'"]);
    }
    for command in ["", "secrets", "provider", "extract", "snapshot", "ledger"] {
        let ran = folder.run(command);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{command}");
        assert!(ran.stderr.contains("Usage: estehqaq"), "{ran:?}");
    }
    folder.run("serv").refused(2, &["unrecognized subcommand 'serv'", "'serve'"]);
    folder.run("ledger seal").refused(2, &["unrecognized subcommand 'seal'"]);
    folder.run("serve extra").refused(2, &["unexpected argument 'extra'"]);
    folder.run("secrets init").refused(2, &["--secrets <FILE>"]);
    folder.run("ask").refused(2, &["--snapshots <DIR>", "--person-id <ID>"]);
    folder.run("extract synth").refused(2, &["--people <N>", "--seed <S>", "--out <FILE>"]);
}
