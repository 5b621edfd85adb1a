//! `h5part bigplanet`

mod delete;
mod show;

use super::common::LockArgs;
use super::exit::Exit;
use super::output::{json, line, say};
use super::outputs::{self, ForceArgs, Kind, write_text};
use super::run::progress::{Voice, Watching};
use super::run::signals;
use super::run::summary::{Began, Reasons, RunReport};
use h5part::{Error, ErrorKind, Result};
use h5part_base::error::{At, Kind as _};
use h5part_engine::store::Store;
use h5part_tasks::run::Stop;
use h5part_vplanet::bigplanet::{self, Archiver, Bpl, Key, Project, archive_all, table};
use h5part_vplanet::checkpoint::{Checkpointed, Opened};
use h5part_vplanet::vplanet::UnitRule;
use serde::Serialize;
use show::{NoLogs, Rebuilding, Show};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Archive or filter the output of vplanet's trials, as bigplanet does.
///
/// With -a, adds each trial to the archive (.bpa), whole or not at all, and reads it back; started again, it goes
/// on. Without -a, writes the datasets named by saKeyInclude to a filtered file (.bpf), or to User.csv with
/// bUlysses, from the archive if it exists, else from raw output. Paths in BPL.IN are relative to the working
/// folder. Exit code 1: some trials could not be archived.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The input file, e.g. bpl.in.
    #[arg(value_name = "BPL.IN")]
    input: PathBuf,
    /// Make the archive, or go on with it.
    #[arg(short, long)]
    archive: bool,
    /// Number of trials read at a time [default: one per core].
    #[arg(short, long, value_name = "N")]
    cores: Option<NonZeroUsize>,
    /// Rebuild the output if it exists. With -a: from raw output, beside the old archive, which is replaced when the
    /// new one is complete.
    #[arg(short, long)]
    overwrite: bool,
    /// Print only errors.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print the outcome of each trial.
    #[arg(short, long)]
    verbose: bool,
    /// Delete the folders of archived trials, after comparing each with the archive. Asks first. Also
    /// -deleterawdata.
    #[arg(long)]
    deleterawdata: bool,
    /// With --deleterawdata: do not ask.
    #[arg(short, long, requires = "deleterawdata")]
    yes: bool,
    /// Accepted for compatibility, without effect: 'h5part verify' checks each trial. Also -ignorecorrupt.
    #[arg(long)]
    ignorecorrupt: bool,
    /// Label values with the units that vplanet uses [default: as bigplanet does, which ignores that negative values
    /// have units of their own].
    #[arg(long)]
    custom_units: bool,
    /// The vplanet program to ask once for its options.
    #[arg(long, value_name = "PROGRAM", default_value = "vplanet")]
    vplanet: PathBuf,
    /// Print what was done as JSON. With -a: each event as a JSON line, and what was done as the last one; with --quiet
    /// the last one alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Debug, Serialize)]
struct Archived<'a> {
    archive: &'a Path,
    trials: u64,
    archived: u64,
    failed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Filtered<'a> {
    output: &'a Path,
    datasets: usize,
    from_archive: bool,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let project = self.project()?;
        if self.archive {
            let exit = self.make_archive(&project)?;
            if exit != Exit::Success || !self.deleterawdata {
                return Ok(exit);
            }
        }
        if self.deleterawdata { delete::run(self, &project) } else { self.filter(&project) }
    }

    fn files(&self) -> Vec<PathBuf> {
        // An input file that cannot be read is told when it is needed.
        let archive = Bpl::read(&self.input).ok().map(|bpl| bpl.archive).filter(|archive| archive.exists());
        archive.into_iter().collect()
    }
}

impl Args {
    fn tells(&self) -> bool {
        !self.quiet && !self.json
    }

    fn project(&self) -> Result<Project> {
        let units = if self.custom_units { UnitRule::Vplanet } else { UnitRule::BigPlanet };
        let (vplanet, cache) = (self.vplanet.clone(), cache());
        Ok(Project { vplanet, cache, units, workers: self.cores, ..Project::read(&self.input)? })
    }

    fn make_archive(&self, project: &Project) -> Result<Exit> {
        let (bpl, names) = (&project.bpl, project.trials()?);
        if self.overwrite {
            bigplanet::check_hdf5(&bpl.archive)?;
        }
        let gatherer = project.gatherer(&names)?;
        let store = self.lock.new_store(&bpl.archive)?;
        let stop = Arc::new(Stop::new());
        signals::watch(&stop, self.quiet).map_err(ErrorKind::Io).at("archive", &bpl.archive)?;
        if self.tells() {
            line("Creating BPA file...")?;
        }
        let began = Began::now();
        let archiver = if self.overwrite && store.path().exists() {
            let bar = Rebuilding::new(names.len() as u64, self.quiet || self.json);
            let archiver = project.rebuild(&store, gatherer, &names, &|| bar.count())?;
            bar.end();
            archiver
        } else {
            Archiver::open(&store, gatherer)?
        };
        tell_others(bpl, &archiver.others(&names));
        let run = self.checkpoint(project, &names)?;
        let (voice, workers) = (Voice::of(self.quiet, false, self.json), project.workers_for(names.len()));
        // What one trial lacks says nothing of the others, and looking at all of them costs little.
        let keep_going = true;
        let (ledger, homes) = (run.ledger(), &NoLogs);
        let watching = Watching { ledger, homes, voice, counts: true, at_a_time: workers, keep_going, stop: &stop };
        let show = Show::new(watching, self.verbose);
        let failed = archive_all(&run, &archiver, &bpl.folder, workers, &show, &stop)?;
        let (ending, why) = show.end();
        let summary = RunReport::of(ledger, homes, &Reasons::Named(why), began, ending)?;
        self.finish(bpl, &summary, &failed)
    }

    /// Says what became of the trials.
    fn finish(&self, bpl: &Bpl, summary: &RunReport, failed: &[(String, Error)]) -> Result<Exit> {
        let tally = summary.tally;
        if self.json {
            let failed = failed.iter().map(|(_, error)| error.to_string()).collect();
            json(&Archived { archive: &bpl.archive, trials: tally.total, archived: tally.done, failed })?;
        } else {
            summary.tell_failures();
            if self.tells() {
                summary.lines().iter().skip(1).try_for_each(line)?;
                line(format!("{} of {} trials are in {}", tally.done, tally.total, bpl.archive.display()))?;
            }
        }
        Ok(if tally.done == tally.total { Exit::Success } else { Exit::Found })
    }

    fn checkpoint(&self, project: &Project, names: &[String]) -> Result<Checkpointed> {
        let opened = project.checkpoint(names, &self.lock.patience())?;
        let Opened { run, joined, resumed, vanished, late } = opened;
        for name in vanished {
            say(format_args!("'{name}' is in the checkpoint, and not in {} any more", project.bpl.folder.display()));
        }
        if let Some(other) = joined {
            say(format_args!("{other} archives these trials, too; the two share them"));
            if !late.is_empty() {
                say(format_args!("it does not know {}: start again when it has ended", late.join(", ")));
            }
        } else if resumed && self.tells() {
            line("Continuing from Checkpoint...")?;
        }
        Ok(run)
    }

    fn filter(&self, project: &Project) -> Result<Exit> {
        let bpl = &project.bpl;
        let keys = Key::parse_all(&bpl.include).at("filter by", &self.input)?;
        self.check_output(bpl)?;
        if self.tells() {
            line("Creating BPF file...")?;
        }
        let from_archive = bpl.archive.exists();
        let archive: Option<Store> = if from_archive { Some(self.lock.open(&bpl.archive)?) } else { None };
        let filtered = project.filter(archive.as_ref(), &keys)?;
        let datasets = filtered.datasets().len();
        if bpl.ulysses {
            write_text(&bpl.output, table::format(&filtered).as_bytes())?;
        } else {
            let store: Store = self.lock.new_store(&bpl.output)?;
            store.replace_with_bundle(&filtered.into_bundle())?;
        }
        if self.json {
            json(&Filtered { output: &bpl.output, datasets, from_archive })?;
        } else if self.tells() {
            let source = if from_archive { &bpl.archive } else { &bpl.folder };
            line(format!("{datasets} datasets of {} are in {}", source.display(), bpl.output.display()))?;
        }
        Ok(Exit::Success)
    }

    /// Refuses an output that is there, and with -o one that is no filtered file.
    fn check_output(&self, bpl: &Bpl) -> Result<()> {
        bigplanet::check_apart(&bpl.output, &bpl.archive)?;
        if bpl.ulysses {
            return ForceArgs { force: self.overwrite }.allow(&bpl.output, Kind::Ulysses);
        }
        if !bpl.output.exists() {
            return Ok(());
        }
        if !self.overwrite {
            return Err(outputs::ErrorKind::Exists.at("filter into", &bpl.output));
        }
        bigplanet::check_hdf5(&bpl.output)?;
        bigplanet::check_filtered(&self.lock.open(&bpl.output)?)
    }
}

/// Says which trials the archive has that are not in the folder: a filter takes them, too.
fn tell_others(bpl: &Bpl, others: &[String]) {
    const NAMED: usize = 3;
    if others.is_empty() {
        return;
    }
    let named: Vec<String> = others.iter().take(NAMED).map(|name| format!("'{}'", name.escape_debug())).collect();
    let (archive, folder) = (bpl.archive.display(), bpl.folder.display());
    say(format_args!(
        "{archive} also has {} trials that are not in {folder}, e.g. {}: if they are of another grid, give it another \
         name and start again",
        others.len(),
        named.join(", ")
    ));
}

/// Where what vplanet says of its options is kept.
pub fn cache() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Some(folder.or_else(home)?.join("h5part"))
}
