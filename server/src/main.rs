//! The `estehqaq` program: the service, and the operator's commands around it.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::run(std::env::args_os())
}
