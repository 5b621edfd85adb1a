//! Workers of a run of trials in processes of their own.

use super::super::run::progress::Voice;
use super::super::run::told::Told;
use super::super::run::workers::{Kind, ProcessRun};
use super::Args;
use super::output::print_told;
use h5part::Result;
use h5part::ledger::{Ledger, Watch};
use h5part_tasks::program::Homes;
use h5part_tasks::run::{self, Observer};
use h5part_vplanet::checkpoint::Checkpointed;
use h5part_vplanet::multiplanet::Folders;
use std::ffi::OsString;
use std::time::Duration;

pub struct Workers<'a> {
    pub args: &'a Args,
    pub run: &'a Checkpointed,
    pub folders: &'a Folders,
}

impl ProcessRun for Workers<'_> {
    fn ledger(&self) -> &Ledger {
        self.run.ledger()
    }

    fn worker_args(&self, kind: Kind) -> Vec<OsString> {
        let args = self.args;
        let mut words: Vec<OsString> = vec!["multiplanet".into()];
        match kind {
            Kind::OfRun => words.push("--of-run".into()),
            Kind::Element { jobs } => {
                words.push("--worker".into());
                words.extend(jobs.map(|jobs| OsString::from(format!("--cores={jobs}"))));
            }
        }
        words.extend(args.limits.args());
        words.extend(["--command".into(), OsString::from(&args.command)]);
        for (flag, is_set) in [("--bigplanet", args.bigplanet), ("--quiet", args.quiet), ("--verbose", args.verbose)] {
            words.extend(is_set.then(|| OsString::from(flag)));
        }
        words.extend(["--".into(), args.input.clone().into_os_string()]);
        words
    }

    fn voice(&self) -> Voice {
        self.args.voice()
    }

    fn is_json(&self) -> bool {
        self.args.json
    }

    fn homes(&self) -> &dyn Homes {
        self.folders
    }

    fn keeps_going(&self) -> bool {
        self.args.limits.keep_going
    }

    fn told(&self, told: &Told) {
        if self.args.verbose {
            print_told(&self.folders.0, told);
        }
    }

    fn stale_after(&self) -> Duration {
        self.args.limits.stale_after()
    }

    fn reap(&self, watch: &mut Watch, observer: &dyn Observer) -> Result<()> {
        run::reap(self.ledger(), None, watch, observer)
    }

    fn tick(&self) {
        // If the text cannot be written, the workers report it, and so does the end of the run.
        let _ = self.run.follow();
    }
}
