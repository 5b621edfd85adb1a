//! `h5part top`

mod machine;
mod screen;
mod view;

use super::common::{request, seconds};
use super::exit::Exit;
use super::look::{Looker, is_ledger};
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use machine::Usage;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use screen::Screen;
use signal_hook::consts::{SIGHUP, SIGTERM};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use view::{Next, View};

/// Longest interval between looks at the keyboard. A signal that asks for the end is noticed within it.
const KEYS: Duration = Duration::from_millis(250);

/// Watch a run or a file on the whole screen: coverage, workers, failures with their logs.
///
/// Keys: Tab chooses workers or failures, arrows move, s sorts, / filters, Enter opens the log of a failure, c cancels
/// what a worker runs, r requeues a failed task, ? shows all keys, q ends. Without a terminal use 'h5part status
/// --watch'.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ledger, or the HDF5 file.
    path: PathBuf,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    every: f64,
    /// Use only ASCII characters.
    #[arg(long)]
    ascii: bool,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        const WATCH: &str = "watch";
        if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
            let text = "this needs a terminal: use 'h5part status --watch' without one";
            return Err(request(WATCH, &self.path, text));
        }
        let mut looker = Looker::new(&self.path, None, view::PARTS);
        // Problems with the path are reported before the screen is taken over.
        looker.look()?;
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&asked)).at(WATCH, &self.path)?;
        }
        let mut screen = Screen::open().map_err(ErrorKind::Io).at("use the terminal to watch", &self.path)?;
        let outcome = self.until_asked_to_end(&mut looker, &mut screen, &asked);
        drop(screen);
        outcome.map(|()| Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        Some(&self.path).filter(|path| !is_ledger(path)).cloned().into_iter().collect()
    }
}

impl Args {
    fn until_asked_to_end(&self, looker: &mut Looker, screen: &mut Screen, asked: &AtomicBool) -> Result<()> {
        let every = Duration::from_secs_f64(self.every.max(0.1));
        let mut view = View::new(self.ascii);
        let mut usage = Usage::default();
        let mut due = Instant::now();
        let of_terminal =
            |outcome: std::io::Result<bool>| outcome.map_err(ErrorKind::Io).at("use the terminal to watch", &self.path);
        let mut is_stale = true;
        while !asked.load(Ordering::Relaxed) {
            if Instant::now() >= due {
                looker.look()?;
                usage.look();
                due = Instant::now() + every;
                is_stale = true;
            }
            if std::mem::take(&mut is_stale) {
                of_terminal(screen.draw(|frame| view.draw(frame, looker, &usage)).map(|()| true))?;
            }
            let wait = due.saturating_duration_since(Instant::now()).min(KEYS);
            if !of_terminal(event::poll(wait))? {
                continue;
            }
            is_stale = true;
            match event::read().map_err(ErrorKind::Io).at("use the terminal to watch", &self.path)? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match view.key(key, looker) {
                    Next::Stay => {}
                    Next::LookAgain => due = Instant::now(),
                    Next::End => return Ok(()),
                },
                // The next drawing handles another size.
                _ => {}
            }
        }
        Ok(())
    }
}
