//! `secrets rotate` and `secrets forget`: new keys at the end of their kind, and old months' keys out of the file.

use std::fs;
use std::path::Path;

use ::ledger::{Month, MonthError, derived_month_key};
use clap::{Args, ValueEnum};
use storage::skip_bom;

use super::options::{CommandError, SecretsFile};
use super::output;
use super::secrets::{Changing, Secrets, SecretsError, key_text, new_key, this_month};

#[derive(Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    file: SecretsFile,
    /// What gets a new key; may be given several times
    #[arg(long = "kind", value_enum, default_values = ["tracking", "ledger", "month"])]
    kinds: Vec<Kind>,
}

/// The kinds of keys.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Mobile,
    Tracking,
    Ledger,
    Month,
}

#[derive(Args)]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    file: SecretsFile,
    /// The first month whose IDs stay readable, such as 2026-11; those before it can be read by nobody any more
    #[arg(long, value_name = "MONTH", value_parser = month)]
    before: Month,
    /// Also where that month is still to come: the IDs of today go too, and all months until then share one key
    #[arg(long)]
    also_present: bool,
}

fn month(text: &str) -> Result<Month, MonthError> {
    Month::parse(text)
}

/// Adds a key of each kind, which is the current one from the next start on.
pub(super) fn rotate(args: &RotateArgs) -> Result<(), CommandError> {
    let path = &args.file.path;
    let changing = Changing::begin(path)?;
    let secrets = Secrets::load(path)?;
    let mut text = read(path)?;
    let mut told = Vec::new();
    for kind in &args.kinds {
        let (name, id) = match kind {
            Kind::Mobile => {
                ("mobile", secrets.mobile_keys().iter().map(|key| key.id() + 1).max().unwrap_or(1))
            }
            Kind::Tracking => ("tracking", next_tracking(&secrets)?),
            Kind::Ledger => ("ledger", secrets.ledger.iter().map(|(id, _)| id + 1).max().unwrap_or(1)),
            Kind::Month => ("month", next_month(&secrets)?.number()),
        };
        text.push('\n');
        text.push_str(&new_key(name, id)?);
        told.push(format!("{name} key {id}"));
    }
    changing.replace(&text)?;
    let months = args.kinds.iter().any(|kind| matches!(kind, Kind::Month));
    let begun = if months { "; a month that has begun by then keeps its key" } else { "" };
    output::line(&format!("added {}; servers take them at their next start{begun}", told.join(", ")))
}

fn next_tracking(secrets: &Secrets) -> Result<u32, CommandError> {
    let id = secrets.tracking.iter().map(|(id, _)| u32::from(*id) + 1).max().unwrap_or(1);
    if id <= 9 {
        return Ok(id);
    }
    Err(CommandError::failed(
        "tracking keys have ids up to 9, and all are used: go on under a new ledger number and secrets file, or name \
         the other kinds with --kind",
    ))
}

/// The month after this one, so that no month has two keys; this one in a file without month keys.
fn next_month(secrets: &Secrets) -> Result<Month, CommandError> {
    let now = this_month();
    let next = if secrets.month.is_empty() { now } else { now.next() };
    match secrets.month.iter().map(|(month, _)| *month).max() {
        Some(last) if last >= next => Err(CommandError::failed(format!(
            "there is a key for {last} already; one a month is enough: name the other kinds with --kind"
        ))),
        _ => Ok(next),
    }
}

/// Takes the keys of old months out. What follows from them for the first month that is kept is put there instead.
pub(super) fn forget(args: &ForgetArgs) -> Result<(), CommandError> {
    let path = &args.file.path;
    let changing = Changing::begin(path)?;
    let secrets = Secrets::load(path)?;
    if args.before > this_month() && !args.also_present {
        return Err(CommandError::failed(format!(
            "{} is still to come: the IDs of this month would be lost too, and all months until then have one key, which \
             cannot be forgotten for one of them; if that is wanted, say --also-present",
            args.before
        )));
    }
    if secrets.month.iter().all(|(month, _)| *month >= args.before) {
        return output::line(&format!("no key leads to a month before {}", args.before));
    }
    let text = forgetting_text(path, &secrets, args.before)?;
    changing.replace(&text)?;
    output::line(&format!(
        "the IDs of months before {} cannot be read with this file any more; restart the servers with it, and destroy \
         every copy and backup of the old one",
        args.before
    ))
}

/// The file's text without the keys of months before `first`. Refused where one of them would be left in it.
fn forgetting_text(path: &Path, secrets: &Secrets, first: Month) -> Result<String, CommandError> {
    let kept = kept_months(&secrets.month, first);
    let mut text = without_months(&read(path)?);
    for (month, key) in &kept {
        text.push('\n');
        text.push_str(&key_text("month", month.number(), key));
    }
    let forgotten = secrets.month.iter().filter(|(month, _)| *month < first);
    let lower = text.to_ascii_lowercase();
    let mut left =
        forgotten.filter(|(_, key)| lower.contains(blake3::Hash::from_bytes(*key).to_hex().as_str()));
    match left.next() {
        None if Secrets::parse(path, &text)?.month == kept => Ok(text),
        _ => Err(CommandError::failed(format!(
            "the secrets file {} holds month keys in a form that this command cannot take out, such as in a comment: write \
             each as [[month]], id and key on lines of their own, and run this again; nothing was changed",
            path.display()
        ))),
    }
}

/// The keys that are left when months before `first` are forgotten: in the place of each older one what follows from it,
/// also where `first` has a key of its own. For a server that took that key up too late has begun `first` under the older
/// one, and which one that was only the ledger knows.
fn kept_months(months: &[(Month, [u8; 32])], first: Month) -> Vec<(Month, [u8; 32])> {
    let mut months = months.to_vec();
    months.sort_by_key(|(month, _)| *month);
    for (month, key) in &mut months {
        if let Some(derived) = derived_month_key(*month, key, first) {
            (*month, *key) = (first, derived);
        }
    }
    months
}

/// The file's text without its month keys: each is a heading and the members under it.
fn without_months(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let line = line.trim();
        if line.starts_with('[') {
            let heading = line.split('#').next().unwrap_or_default();
            inside = heading.split_whitespace().collect::<String>() == "[[month]]";
        }
        !inside || line.is_empty() || line.starts_with('#')
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn read(path: &Path) -> Result<String, SecretsError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| SecretsError::Read { path: path.to_owned(), source })?;
    Ok(skip_bom(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use ::ledger::{Month, derived_month_key};

    use super::{kept_months, without_months};

    #[test]
    fn what_is_kept_leads_forward_only() {
        let month = |text| Month::parse(text).unwrap();
        let months = [(month("2026-11"), [1; 32]), (month("2027-02"), [2; 32])];
        let kept = |first| kept_months(&months, month(first));
        assert_eq!(kept("2026-10"), months);
        assert_eq!(kept("2026-11"), months);
        let derived = |at: usize, to| {
            let (from, key) = months[at];
            (month(to), derived_month_key(from, &key, month(to)).unwrap())
        };
        assert_eq!(kept("2027-01"), [derived(0, "2027-01"), months[1]]);
        assert_eq!(kept("2027-02"), [derived(0, "2027-02"), months[1]]);
        assert_eq!(kept("2027-05"), [derived(0, "2027-05"), derived(1, "2027-05")]);
        let step_by_step = kept_months(&kept("2027-01"), month("2027-05"));
        assert_eq!(step_by_step, kept("2027-05"), "however often months are forgotten");
        let disordered = [months[1], months[0]];
        assert_eq!(kept_months(&disordered, month("2027-02")), kept("2027-02"));
    }

    #[test]
    fn month_keys_are_taken_out_of_a_text() {
        let text =
            "# a\n[[month]]\nid = 1\nkey = \"k\"\n\n# b\n[[ledger]]\nid = 2\n[[ month ]] # c\nid = 3\n";
        assert_eq!(without_months(text), "# a\n\n# b\n[[ledger]]\nid = 2\n");
    }
}
