//! The `loadgen` binary: parses arguments, runs, maps the outcome to an exit code. Knows nothing else.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use loadgen::{Cli, execute};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match execute(cli, &mut io::stdout().lock(), Box::new(io::stderr())) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "loadgen: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
