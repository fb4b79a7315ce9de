//! `provider add`: enters a provider and prints its key, once.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::options::CommandError;
use super::output;
use crate::{NewProvider, Ownership, ProviderKind, Scope, add_provider_shown};

#[derive(Subcommand)]
pub(crate) enum ProviderCommand {
    /// Add a provider; its key is printed on stdout, once
    Add(AddArgs),
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// Providers file; made if there is none
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_PROVIDERS")]
    providers: PathBuf,
    /// 1 to 40 of A-Z a-z 0-9 . _ -
    #[arg(long)]
    id: String,
    /// For people
    #[arg(long)]
    name: String,
    /// What it is; only a hospital may ask about inpatient care
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: ProviderKind,
    /// Whose it is
    #[arg(long, value_enum)]
    ownership: Ownership,
    /// What its key may do; may be given several times [default: inquire]
    #[arg(long = "scope", value_name = "SCOPE", value_enum, num_args = 1..)]
    scopes: Vec<Scope>,
}

pub(super) fn run(command: ProviderCommand) -> Result<(), CommandError> {
    let ProviderCommand::Add(args) = command;
    let scopes = if args.scopes.is_empty() { vec![Scope::Inquire] } else { args.scopes };
    let AddArgs { id, name, kind, ownership, .. } = args;
    let new = NewProvider { id, name, kind, ownership, scopes };
    add_provider_shown(&args.providers, &new, |key| output::shown_once(key.reveal()))?;
    Ok(())
}
