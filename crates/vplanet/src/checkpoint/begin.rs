//! How a run begins, from the ledger, the text and the folder of trials.

use super::text::{TextFile, copy_of, read};
use super::{Checkpointed, Files, Progress, mark};
use h5part_base::error::{At, ErrorKind, Gone, Item, Result};
use h5part_base::lock::Patience;
use h5part_tasks::ledger::{Checkpoint, Ledger, Mark, NameList, NewLedger, Renewed, Standing, TaskState, Watch};
use std::collections::HashMap;
use std::path::PathBuf;

const BEGIN: &str = "begin a run of";
/// Other runs that begin at the same moment may replace the ledger. It is examined again at most this many times.
const TRIES: usize = 10;

/// The trials of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trials {
    /// The input file that they belong to, as the text gives it.
    pub origin: String,
    /// Absolute path of the folder that contains them.
    pub folder: PathBuf,
    /// Names of their folders, sorted.
    pub names: Vec<String>,
}

/// A run that has begun, with information for the user.
#[derive(Debug)]
pub struct Opened {
    /// The run.
    pub run: Checkpointed,
    /// The other run that this one joins, if any.
    pub joined: Option<String>,
    /// Whether an earlier run continues.
    pub resumed: bool,
    /// Trials of an earlier run that no longer exist.
    pub vanished: Vec<String>,
    /// New trials that the joined run does not have.
    pub late: Vec<String>,
}

/// The states of trials in a text, by name.
type Marks = HashMap<String, Mark>;

impl Checkpointed {
    /// Opens the run of these trials, or begins a new one.
    ///
    /// Without a text the run is new. What others have changed in the text is adopted: trials that they completed, and
    /// trials that they requeued. Trials that failed finally are requeued. If another run works on the same trials,
    /// nothing changes, and this one joins it.
    ///
    /// **Concurrency.** Beside anything. A kill leaves a run that this function can open.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: there are no trials, or the text is invalid. As reading and writing text and ledger.
    pub fn open(
        files: &Files,
        trials: &Trials,
        max_attempts: u16,
        patience: &Patience,
        watch: &mut Watch,
    ) -> Result<Opened> {
        let begin = Begin { files, trials, max_attempts, patience };
        for _ in 0..TRIES {
            match begin.attempt(watch) {
                Err(e)
                    if matches!(e.kind(), ErrorKind::Replaced(Gone::File) | ErrorKind::AlreadyExists(Item::File)) => {}
                Ok(None) => {}
                Ok(Some(opened)) => return Ok(opened),
                Err(e) => return Err(e),
            }
        }
        Err(ErrorKind::Replaced(Gone::File).at(BEGIN, &files.ledger))
    }

    /// Joins a run that another process has begun, as one of its workers. Nothing changes.
    ///
    /// # Errors
    /// As opening the ledger.
    pub fn join(files: &Files, trials: &Trials, max_attempts: u16, patience: &Patience) -> Result<Self> {
        let begin = Begin { files, trials, max_attempts, patience };
        begin.finish(begin.open_ledger()?)
    }

    /// Requeues all trials.
    ///
    /// **Concurrency.** Not beside another run of the same trials, which is an error.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: another run works on them. As [`Checkpointed::open`].
    pub fn again(self, patience: &Patience) -> Result<Self> {
        let Self { ledger, text: _, files, trials } = self;
        let begin = Begin { files: &files, trials: &trials, max_attempts: ledger.max_attempts(), patience };
        let renewed = ledger.renew(|_| {
            let states = vec![TaskState::Waiting; trials.names.len()];
            begin.text_of(&trials.names).begin(&states)?;
            begin.new_ledger(states).map(Some)
        })?;
        if let Renewed::InUse(worker) = renewed {
            let why = format!("{worker} works on its trials: they cannot be run again before it has ended");
            return Err(ErrorKind::BadRequest(why).at(BEGIN, &files.ledger));
        }
        begin.finish(begin.open_ledger()?)
    }
}

struct Begin<'a> {
    files: &'a Files,
    trials: &'a Trials,
    max_attempts: u16,
    patience: &'a Patience,
}

impl Begin<'_> {
    /// `None`: another ledger exists now and must be examined.
    fn attempt(&self, watch: &mut Watch) -> Result<Option<Opened>> {
        if !self.files.ledger.exists() {
            return self.first().map(Some);
        }
        let ledger = self.open_ledger()?;
        ledger.reap(watch)?;
        let (mut joined, mut resumed) = (None, false);
        let copy = copy_of(&self.files.ledger);
        let renewed = ledger.renew(|standing| {
            let Some(text) = read(&self.files.text)? else {
                // Without a text the run is new.
                let states = vec![TaskState::Waiting; self.trials.names.len()];
                self.text_of(&self.trials.names).begin(&states)?;
                return self.new_ledger(states).map(Some);
            };
            resumed = true;
            // A damaged copy counts as missing.
            let ours = read(&copy).ok().flatten().map(marks).unwrap_or_default();
            let states = self.carried(&standing, &marks(text), &ours);
            if self.is_same(&standing, &states) {
                return Ok(None);
            }
            self.text_of(&self.trials.names).begin(&states)?;
            self.new_ledger(states).map(Some)
        })?;
        match renewed {
            Renewed::Kept => {}
            Renewed::Replaced => {
                let vanished = if resumed { self.vanished(ledger.standing()?) } else { Vec::new() };
                let run = self.finish(self.open_ledger()?)?;
                return Ok(Some(Opened { run, joined, resumed, vanished, late: Vec::new() }));
            }
            Renewed::InUse(worker) => joined = Some(worker.to_string()),
        }
        let standing = ledger.standing()?;
        let has = |name: &&String| standing.iter().any(|standing| standing.name == **name);
        let late = if joined.is_some() {
            self.trials.names.iter().filter(|name| !has(name)).cloned().collect()
        } else {
            Vec::new()
        };
        let vanished = self.vanished(standing);
        Ok(Some(Opened { run: self.finish(ledger)?, resumed: resumed || joined.is_some(), joined, vanished, late }))
    }

    /// Begins without a ledger: a new run, or one that the Python tools began.
    fn first(&self) -> Result<Opened> {
        let text = read(&self.files.text)?;
        let resumed = text.is_some();
        let said = text.map(marks).unwrap_or_default();
        let states = self.carried(&[], &said, &Marks::new());
        self.text_of(&self.trials.names).begin(&states)?;
        self.new_ledger(states)?.create(&self.files.ledger)?;
        let names = &self.trials.names;
        let mut vanished: Vec<String> = said.into_keys().filter(|name| names.binary_search(name).is_err()).collect();
        vanished.sort();
        let run = self.finish(self.open_ledger()?)?;
        Ok(Opened { run, joined: None, resumed, vanished, late: Vec::new() })
    }

    /// The state of each trial when the run continues.
    fn carried(&self, standing: &[Standing], text: &Marks, ours: &Marks) -> Vec<TaskState> {
        let in_ledger: HashMap<&str, TaskState> = standing.iter().map(|s| (s.name.as_str(), s.state)).collect();
        let of = |name: &String| carried(in_ledger.get(name.as_str()).copied(), text.get(name), ours.get(name));
        self.trials.names.iter().map(of).collect()
    }

    fn is_same(&self, standing: &[Standing], states: &[TaskState]) -> bool {
        let wanted = self.trials.names.iter().zip(states);
        standing.iter().map(|standing| (&standing.name, &standing.state)).eq(wanted)
    }

    fn vanished(&self, standing: Vec<Standing>) -> Vec<String> {
        let is_there = |standing: &Standing| self.trials.names.binary_search(&standing.name).is_ok();
        standing.into_iter().filter(|standing| !is_there(standing)).map(|standing| standing.name).collect()
    }

    fn new_ledger(&self, states: Vec<TaskState>) -> Result<NewLedger> {
        let names = NameList::try_from(self.trials.names.as_slice()).at(BEGIN, &self.files.ledger)?;
        let (states, origin) = (Some(states), self.trials.origin.clone());
        Ok(NewLedger { states, origin, max_attempts: self.max_attempts, ..NewLedger::of_names(names) })
    }

    fn open_ledger(&self) -> Result<Ledger> {
        let ledger = Ledger::open(&self.files.ledger)?;
        Ok(ledger.with_max_attempts(self.max_attempts).with_patience(self.patience.clone()))
    }

    fn text_of(&self, names: &[String]) -> TextFile {
        let Trials { origin, folder, .. } = self.trials;
        TextFile::new(self.files.text.clone(), copy_of(&self.files.ledger), origin.clone(), folder, names)
    }

    /// Writes the text, which is up to date from here on.
    fn finish(&self, ledger: Ledger) -> Result<Checkpointed> {
        let names: Vec<String> = ledger.standing()?.into_iter().map(|standing| standing.name).collect();
        let text = self.text_of(&names);
        text.catch_up(&ledger)?;
        let trials = Trials { names, ..self.trials.clone() };
        Ok(Checkpointed { ledger, text, files: self.files.clone(), trials })
    }
}

/// The state of a trial when a run begins: that of the ledger, unless someone has changed the text since we wrote it.
fn carried(ledger: Option<TaskState>, text: Option<&Mark>, ours: Option<&Mark>) -> TaskState {
    match (ours, text, ledger) {
        (Some(Mark::Done), Some(Mark::Waiting), _) => TaskState::Waiting,
        (Some(Mark::Waiting | Mark::Running) | None, Some(Mark::Done), _) | (_, _, Some(TaskState::Done)) => {
            TaskState::Done
        }
        _ => TaskState::Waiting,
    }
}

fn marks(text: Checkpoint) -> Marks {
    text.tasks.into_iter().collect()
}

pub(super) fn progress(files: &Files) -> Result<Progress> {
    let text = read(&files.text)?;
    let ledger = if files.ledger.exists() { Some(Ledger::open_to_read(&files.ledger)?) } else { None };
    let mut all = text.map(marks);
    if all.is_none() && ledger.is_none() {
        return Err(ErrorKind::not_found(Item::File).at("find the checkpoint of a run,", &files.text));
    }
    let further = |mark: Mark| match mark {
        Mark::Waiting => 0,
        Mark::Running => 1,
        Mark::Done => 2,
    };
    for standing in ledger.map_or(Ok(Vec::new()), |ledger| ledger.standing())? {
        let here = all.get_or_insert_default().entry(standing.name).or_insert(Mark::Waiting);
        *here = [*here, mark(standing.state)].into_iter().max_by_key(|mark| further(*mark)).unwrap_or(*here);
    }
    let mut progress = Progress::default();
    for mark in all.unwrap_or_default().into_values() {
        match mark {
            Mark::Waiting => progress.remaining += 1,
            Mark::Running => progress.in_progress += 1,
            Mark::Done => progress.completed += 1,
        }
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Rig {
        folder: tempfile::TempDir,
        files: Files,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("tempdir");
            let files = Files::of_text(&folder.path().join(".MP"));
            Self { folder, files }
        }

        fn open(&self, names: &[&str]) -> Opened {
            let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            let trials = Trials { origin: "/x/vspace.in".to_owned(), folder: self.folder.path().join("MP"), names };
            let mut watch = Watch::new(Duration::MAX, |_| None);
            Checkpointed::open(&self.files, &trials, 3, &Patience::default(), &mut watch).expect("opens")
        }

        fn text(&self) -> String {
            std::fs::read_to_string(&self.files.text).expect("text")
        }

        fn edit(&self, from: &str, to: &str) {
            let text = self.text();
            assert!(text.contains(from), "{text}");
            std::fs::write(&self.files.text, text.replace(from, to)).expect("writes");
        }

        /// The states in the text.
        fn words(&self) -> Vec<String> {
            let tasks = read(&self.files.text).expect("reads").expect("text").tasks;
            tasks.into_iter().map(|(name, mark)| format!("{name}{mark:?}")).collect()
        }
    }

    /// Ends a trial as one of our runs would.
    fn end(run: &Checkpointed, name: &str, end: h5part_tasks::ledger::End) {
        let owner = run.ledger().register(&h5part_tasks::ledger::Owner::this_process()).expect("registers");
        let terms = h5part_tasks::ledger::ClaimOptions { count: 100, delay: Duration::ZERO };
        let h5part_tasks::ledger::Claimed::Tasks(claims) = run.ledger().claim(owner, &terms).expect("claims") else {
            panic!("nothing waits");
        };
        for claim in claims {
            let how = if claim.name == name { end } else { h5part_tasks::ledger::End::Released };
            run.ledger().finish(&claim, how).expect("finishes");
        }
        run.ledger().leave(owner).expect("leaves");
    }

    #[test]
    fn whoever_did_a_trial_it_is_done() {
        let rig = Rig::new();
        let opened = rig.open(&["a b", "b", "c"]);
        assert!(!opened.resumed && opened.joined.is_none());
        end(&opened.run, "b", h5part_tasks::ledger::End::Done);
        opened.run.settle().expect("settles");
        assert_eq!(rig.words(), ["a bWaiting", "bDone", "cWaiting"]);
        // The Python tool completes one, is killed in another, and leaves a blank at the end of a line.
        rig.edit("MP/c -1", "MP/c 1 ");
        rig.edit("MP/a b -1", "MP/a b 0");
        let opened = rig.open(&["a b", "b", "c"]);
        assert!(opened.resumed);
        assert_eq!(rig.words(), ["a bWaiting", "bDone", "cDone"]);
        let tally = opened.run.ledger().tally().expect("tally");
        assert_eq!((tally.done, tally.waiting), (2, 1));
    }

    #[test]
    fn what_a_person_lets_wait_again_waits_and_a_stale_text_takes_nothing_back() {
        let rig = Rig::new();
        let run = rig.open(&["a", "b"]).run;
        let stale = rig.text();
        end(&run, "a", h5part_tasks::ledger::End::Done);
        // Killed before the text was written: the ledger takes precedence.
        std::fs::write(&rig.files.text, stale).expect("writes");
        let run = rig.open(&["a", "b"]).run;
        assert_eq!(rig.words(), ["aDone", "bWaiting"]);
        end(&run, "b", h5part_tasks::ledger::End::Done);
        run.settle().expect("settles");
        rig.edit("MP/a 1", "MP/a -1");
        rig.open(&["a", "b"]);
        assert_eq!(rig.words(), ["aWaiting", "bDone"]);
    }

    #[test]
    fn without_a_text_it_is_a_new_run_and_without_a_ledger_the_text_counts() {
        let rig = Rig::new();
        let run = rig.open(&["a", "b"]).run;
        end(&run, "a", h5part_tasks::ledger::End::Done);
        run.settle().expect("settles");
        std::fs::remove_file(&rig.files.ledger).expect("removes");
        assert!(rig.open(&["a", "b"]).resumed);
        assert_eq!(rig.words(), ["aDone", "bWaiting"]);
        std::fs::remove_file(&rig.files.text).expect("removes");
        assert!(!rig.open(&["a", "b"]).resumed);
        assert_eq!(rig.words(), ["aWaiting", "bWaiting"]);
    }

    #[test]
    fn trials_come_and_go() {
        let rig = Rig::new();
        let run = rig.open(&["a", "b", "c"]).run;
        end(&run, "c", h5part_tasks::ledger::End::Done);
        run.settle().expect("settles");
        let opened = rig.open(&["a", "c", "d"]);
        assert_eq!(opened.vanished, ["b"]);
        assert_eq!(rig.words(), ["aWaiting", "cDone", "dWaiting"]);
    }

    #[test]
    fn a_run_that_is_under_way_is_joined_as_it_is() {
        let rig = Rig::new();
        let first = rig.open(&["a", "b"]).run;
        let owner = first.ledger().register(&h5part_tasks::ledger::Owner::this_process()).expect("registers");
        std::fs::remove_file(&rig.files.text).expect("removes");
        let opened = rig.open(&["b", "c"]);
        assert!(opened.joined.is_some());
        assert_eq!((opened.vanished, opened.late), (vec!["a".to_owned()], vec!["c".to_owned()]));
        assert_eq!(rig.words(), ["aWaiting", "bWaiting"]);
        let error = opened.run.again(&Patience::default()).expect_err("is refused").to_string();
        assert!(error.contains("works on its trials"), "{error}");
        first.ledger().leave(owner).expect("leaves");
        assert!(rig.open(&["b", "c"]).joined.is_none());
        // Whoever opened the old ledger, and comes late, gets an error.
        let late = first.ledger().register(&h5part_tasks::ledger::Owner::this_process()).expect_err("is refused");
        assert!(matches!(late.kind(), ErrorKind::Replaced(Gone::File)), "{late}");
    }

    #[test]
    fn what_failed_for_good_waits_in_the_next_run() {
        let rig = Rig::new();
        let run = rig.open(&["a"]).run;
        let failed = h5part_tasks::ledger::End::Failed(h5part_tasks::ledger::Reason::Exit(3));
        (0..3).for_each(|_| end(&run, "a", failed));
        assert_eq!(run.ledger().tally().expect("tally").failed, 1);
        let run = rig.open(&["a"]).run;
        assert_eq!(run.ledger().tally().expect("tally").waiting, 1);
        let run = run.again(&Patience::default()).expect("again");
        assert_eq!(run.ledger().tally().expect("tally").waiting, 1);
    }

    #[test]
    fn a_text_that_was_cut_counts_as_far_as_it_goes() {
        let rig = Rig::new();
        let run = rig.open(&["a", "b", "c"]).run;
        end(&run, "a", h5part_tasks::ledger::End::Done);
        run.settle().expect("settles");
        let whole = rig.text();
        for len in 0..whole.len() {
            std::fs::remove_file(&rig.files.ledger).expect("removes");
            std::fs::write(&rig.files.text, &whole[..len]).expect("writes");
            let done = usize::from(whole[..len].contains("MP/a 1"));
            let tally = rig.open(&["a", "b", "c"]).run.ledger().tally().expect("tally");
            assert_eq!((tally.done, tally.total), (done as u64, 3), "{len}");
            assert_eq!(rig.text(), whole.replace("MP/a 1", if done == 1 { "MP/a 1" } else { "MP/a -1" }));
        }
        std::fs::write(&rig.files.text, "something else\n").expect("writes");
        let mut watch = Watch::new(Duration::MAX, |_| None);
        let trials = Trials { origin: String::new(), folder: "/x".into(), names: vec!["a".to_owned()] };
        let error = Checkpointed::open(&rig.files, &trials, 3, &Patience::default(), &mut watch).expect_err("refused");
        assert!(error.to_string().contains("not a checkpoint of multiplanet"), "{error}");
    }
}
