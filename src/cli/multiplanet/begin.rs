//! The steps before the first trial: check for other runs, for what an earlier run left, and for the archive.

use super::super::bigplanet::cache;
use super::super::ledger::watch;
use super::super::output::say;
use super::{ATTEMPTS, Args, of_input, output};
use h5part::Result;
use h5part_engine::store::Store;
use h5part_vplanet::bigplanet::Archiver;
use h5part_vplanet::checkpoint::{Checkpointed, Opened};
use h5part_vplanet::multiplanet::{Ensemble, set_aside};
use h5part_vplanet::vplanet::{Gatherer, System, UnitRule, vplanet_options};
use std::path::Path;

/// A run that is ready to begin.
pub struct Begun {
    pub run: Checkpointed,
    pub archiver: Option<Archiver>,
    /// Whether another run works on the same trials.
    pub joined: bool,
    /// Whether an earlier run continues.
    pub has_begun: bool,
}

pub fn begin(args: &Args, ensemble: &Ensemble) -> Result<Begun> {
    let (files, limits) = (ensemble.checkpoint(), &args.limits);
    let mut watch = watch(limits.stale_after());
    let in_use = files.in_use(&mut watch)?.is_some();
    if args.bigplanet && !in_use && !files.text.exists() {
        // This comes first: without the checkpoint nobody could tell that the archive belongs to other runs.
        set_archive_aside(args, ensemble)?;
    }
    let attempts = limits.max_attempts.unwrap_or(ATTEMPTS);
    let opened = Checkpointed::open(&files, &ensemble.trials(), attempts, &limits.patience(), &mut watch)?;
    tell(args, &opened);
    let Opened { mut run, joined, resumed, .. } = opened;
    let joined = joined.is_some();
    let tally = run.ledger().tally()?;
    let again = args.force && resumed && tally.done == tally.total;
    if again {
        if args.bigplanet && !joined {
            set_archive_aside(args, ensemble)?;
        }
        run = run.again(&limits.patience())?;
    }
    Ok(Begun { run, archiver: open_archive(args, ensemble)?, joined, has_begun: resumed && !again })
}

/// Reports on an earlier run.
fn tell(args: &Args, opened: &Opened) {
    let Opened { joined, resumed, vanished, late, .. } = opened;
    if *resumed && args.verbose {
        output::print("WARNING: multi-planet checkpoint file already exists!");
    }
    for name in vanished {
        say(format_args!("trial '{}' is in the checkpoint, and its folder is gone", name.escape_debug()));
    }
    if let Some(other) = joined {
        if !args.quiet {
            say(format_args!("{other} works on these trials, too: the two share them"));
        }
        if !late.is_empty() {
            let late: Vec<String> = late.iter().map(|name| name.escape_debug().to_string()).collect();
            say(format_args!("it does not know {}: start again when it has ended", late.join(", ")));
        }
    }
}

fn set_archive_aside(args: &Args, ensemble: &Ensemble) -> Result<()> {
    if let Some(aside) = set_aside(&ensemble.archive())?
        && !args.quiet
    {
        say(format_args!("the archive of earlier runs is now {}", aside.display()));
    }
    Ok(())
}

/// The archive, if trials are archived.
pub fn open_archive(args: &Args, ensemble: &Ensemble) -> Result<Option<Archiver>> {
    if !args.bigplanet {
        return Ok(None);
    }
    let primary = ensemble.primary.as_deref();
    let primary = primary.ok_or_else(|| of_input(args, "to archive, its primary file must be known: sPrimaryFile"))?;
    let system = System::of_first(&ensemble.folder, &ensemble.names, &ensemble.bodies, primary)?;
    let options = vplanet_options(Path::new("vplanet"), cache().as_deref())?;
    let store = Store::new(ensemble.archive())?.with_patience(args.limits.patience());
    Archiver::open(&store, Gatherer::new(system, options, UnitRule::BigPlanet)).map(Some)
}
