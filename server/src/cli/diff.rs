//! `snapshot diff`: what became of the people from one generation to another, as counts. IDs come out only where they
//! are asked for: into a file of its own, or on stdout, and then the counts go to stderr.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use engine::{Day, Decision};
use snapshots::{Changed, Changes, Diff, DiffOptions, Group, Reveal, diff};
use storage::Output;

use super::generations::store;
use super::options::{self, CommandError, SnapshotsDir, WhichGeneration};
use super::output;
use super::progress::Bar;

const HEADER: &str = "id_kind,person_id,change,reason_from,end_from,reason_to,end_to";
const COLUMNS: [&str; 9] =
    ["from", "to", "appeared", "vanished", "gained", "lost", "end later", "end earlier", "otherwise"];

#[derive(Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// The generation before: its name, `current`, or `previous`, where a rollback would lead
    #[arg(value_name = "FROM")]
    from: WhichGeneration,
    /// The generation after
    #[arg(value_name = "TO")]
    to: WhichGeneration,
    /// The day on which cover is judged; the as-of date of TO if not given
    #[arg(long, value_name = "DATE", value_parser = options::day)]
    service_date: Option<Day>,
    /// List the people with what changed, personal data, in a new file of mode 0600, or with - on stdout
    #[arg(long, value_name = "FILE")]
    reveal_ids: Option<PathBuf>,
    /// List so many people at most
    #[arg(long, value_name = "N", requires = "reveal_ids")]
    limit: Option<u64>,
    /// Take only generations signed with a key in this file, one a line, as `serve --public-key` does
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_PUBLIC_KEY")]
    public_key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DiffArgs) -> Result<(), CommandError> {
    let on_stdout = args.reveal_ids.as_deref() == Some(Path::new("-"));
    if on_stdout && args.json {
        return Err(CommandError::Usage(
            "--json and --reveal-ids - both want stdout; give a file".to_owned(),
        ));
    }
    let store = store(&args.snapshots);
    let (from, to) = (args.from.name(&store)?, args.to.name(&store)?);
    let public_keys = args.public_key.as_deref().map_or(Ok(Vec::new()), options::read_public_keys)?;
    let bar = Bar::new("comparing", 0);
    let mut list = args.reveal_ids.as_deref().map(PeopleList::create).transpose()?;
    let mut tell = |changed: &Changed| list.as_mut().map_or(Ok(()), |list| list.add(changed));
    let reveal = Reveal { limit: args.limit.unwrap_or(u64::MAX), to: &mut tell };
    let options = DiffOptions {
        dir: &args.snapshots.dir,
        from,
        to,
        service_date: args.service_date,
        public_keys: &public_keys,
        progress: &|done, total| bar.set_of(done, total),
    };
    let compared = diff(&options, args.reveal_ids.is_some().then_some(reveal));
    bar.finish();
    let compared = compared.map_err(CommandError::failed)?;
    list.map_or(Ok(()), PeopleList::finish)?;
    match (args.json, on_stdout) {
        (true, _) => output::json(&compared),
        (false, false) => output::line(told(&compared).trim_end()),
        (false, true) => Ok(io::stderr().write_all(told(&compared).as_bytes())?),
    }
}

/// Where people are listed. A list that is not finished leaves nothing.
struct PeopleList {
    path: PathBuf,
    to: BufWriter<ListTo>,
}

enum ListTo {
    Stdout,
    File(Output),
}

impl Write for ListTo {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            ListTo::Stdout => io::stdout().write(bytes),
            ListTo::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            ListTo::Stdout => io::stdout().flush(),
            ListTo::File(file) => file.flush(),
        }
    }
}

impl PeopleList {
    /// A new file: what another run listed is never mixed with this one, nor are its mode and owner taken.
    fn create(path: &Path) -> Result<PeopleList, CommandError> {
        let to = if path == Path::new("-") {
            ListTo::Stdout
        } else {
            ListTo::File(Output::open_new(path, 0o600).map_err(|error| cannot_write(path, &error.source))?)
        };
        let mut list = PeopleList { path: path.to_owned(), to: BufWriter::new(to) };
        writeln!(list.to, "{HEADER}")?;
        Ok(list)
    }

    fn add(&mut self, changed: &Changed) -> io::Result<()> {
        let Changed { id, change, before, after } = changed;
        let (before, after) = (judged(before.as_ref()), judged(after.as_ref()));
        writeln!(self.to, "{},{},{},{before},{after}", id.kind().code(), id.reveal(), change.code())
    }

    fn finish(self) -> Result<(), CommandError> {
        let to = self.to.into_inner().map_err(io::IntoInnerError::into_error);
        let finished = to.and_then(|to| match to {
            ListTo::Stdout => Ok(()),
            ListTo::File(file) => file.finish(),
        });
        finished.map_err(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    let cure = match error.kind() {
        io::ErrorKind::AlreadyExists => "choose another name: a list is never overwritten",
        _ => "check the folder and its free space",
    };
    CommandError::failed(format!("cannot write {}: {error}; {cure}", path.display()))
}

/// Reason and end date, both empty where the generation does not know the person.
fn judged(decision: Option<&Decision>) -> String {
    decision.map_or(",".to_owned(), |decision| {
        let end = decision.end.map_or(String::new(), |end| end.iso().to_string());
        let end = if decision.open_ended { "open".to_owned() } else { end };
        format!("{},{end}", decision.reason.code())
    })
}

fn told(diff: &Diff) -> String {
    let Diff { from, to, service_date, people, covered, unchanged, .. } = diff;
    let mut text = format!(
        "from {from} to {to}, judged on {service_date}\n\
         people       {} -> {}\n\
         covered      {} -> {}\n\
         appeared     {} (of them {} covered)\n\
         vanished     {} (of them {} were covered)\n",
        people.from,
        people.to,
        covered.from,
        covered.to,
        diff.changes.appeared,
        diff.appeared_covered,
        diff.changes.vanished,
        diff.vanished_covered,
    );
    let Changes { gained_cover, lost_cover, end_later, end_earlier, stored_otherwise, .. } = diff.changes;
    text += &format!(
        "gained cover {gained_cover}\nlost cover   {lost_cover}\nend date     {end_later} later, {end_earlier} \
         earlier\notherwise    {stored_otherwise} stored otherwise, {unchanged} unchanged\n\n"
    );
    let row = |name: &str, cells: [String; 9]| {
        let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:>13}")).collect();
        format!("{name:<12}{}\n", cells.concat())
    };
    for (kind, groups) in [("category", &diff.categories), ("relation", &diff.relations)] {
        text += &row(kind, COLUMNS.map(str::to_owned));
        groups.iter().for_each(|(name, group)| text += &row(name, figures(group).map(|n| n.to_string())));
        text += "\n";
    }
    diff.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    text
}

fn figures(group: &Group) -> [u64; 9] {
    let Group { people, changes } = group;
    [
        people.from,
        people.to,
        changes.appeared,
        changes.vanished,
        changes.gained_cover,
        changes.lost_cover,
        changes.end_later,
        changes.end_earlier,
        changes.stored_otherwise,
    ]
}
