//! Acts of operators, which are entries themselves: written by this command when nobody holds the ledger, and by the
//! server that holds it otherwise.

use std::sync::Arc;
use std::time::Duration;

use ::ledger::{Act, Deed, Ledger, LedgerKeys, LedgerReader, OpenError, Options, ProviderId, RealDisk};
use clap::Args;

use super::super::options::CommandError;
use crate::clock::system_ms;

/// How long a server may take to see a request; it looks every second.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Actor {
    /// Who does it, as the ledger is to tell [default: uid-N, the user that this process runs as]
    #[arg(long, value_name = "NAME", value_parser = ProviderId::parse)]
    actor: Option<ProviderId>,
}

impl Actor {
    /// Refuses a name where no entry is made that could tell it.
    pub(super) fn goes_with_reveal(&self, reveal: bool) -> Result<(), CommandError> {
        if self.actor.is_some() && !reveal {
            return Err(CommandError::Usage(
                "--actor goes with --reveal: without it no entry is made".to_owned(),
            ));
        }
        Ok(())
    }

    pub(super) fn id(&self) -> Result<ProviderId, CommandError> {
        let uid = || ProviderId::parse(&format!("uid-{}", rustix::process::getuid().as_raw()));
        Ok(self.actor.map_or_else(uid, Ok)?)
    }
}

/// Does an act: by `here` on the ledger, opened for it, or by asking the server that holds it. Returns once its entry is
/// on stable storage.
pub(super) fn act(
    disk: &RealDisk,
    number: u16,
    keys: &Arc<LedgerKeys>,
    act: &Act,
    here: impl FnOnce(&Ledger) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let options = Options { ahead: false, segment_len_min_bytes: 0, ..Options::default() };
    match Ledger::open(disk, keys.clone(), options) {
        Ok(ledger) => {
            here(&ledger)?;
            Ok(ledger.close()?)
        }
        Err(OpenError::InUse { .. }) => {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(|error| {
                CommandError::failed(format!("the system gives no random bytes: {error}"))
            })?;
            ::ledger::ask(disk, act, number, keys, u64::from_le_bytes(bytes), PATIENCE)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Notes an act that needs nothing done but its entry.
pub(super) fn note(
    disk: &RealDisk,
    reader: &LedgerReader,
    keys: &Arc<LedgerKeys>,
    noted: &Act,
) -> Result<(), CommandError> {
    act(disk, reader.number(), keys, noted, |ledger| {
        ledger.append(noted.clone())?.wait()?;
        Ok(())
    })
}

/// An act of now.
pub(super) fn act_now(actor: &Actor, deed: Deed) -> Result<Act, CommandError> {
    Ok(Act { time_ms: system_ms(), actor: actor.id()?, deed })
}
