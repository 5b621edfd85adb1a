//! The textbook task: how often does each character occur in some texts?
//!
//! Each text is a task; it yields a partial result for each piece of its text, and the results are added
//! up as they come. The same program runs them one after the other, in threads, and in processes.
//!
//! `cargo run --release --example char_count -- [--mode MODE] [--workers N] [TEXT...]`

use clap::Parser;
use h5part::pool::{Context, Mode, Options, PoolConfig, Registry, Starmap, TaskError, What, Work, choose, open, serve};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Lines of a text that are counted for one partial result.
const PIECE_LINES: usize = 100;
/// So many characters are told.
const TOLD: usize = 10;

/// Counts the characters of texts.
#[derive(Parser)]
struct Args {
    /// Where: serial, threads or processes. Default: H5PART_DISTRIBUTE, else what fits this machine.
    #[arg(long)]
    mode: Option<Mode>,
    /// Tasks at a time. Default: as many as fit.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Files to count in. Default: the pages in docs/.
    texts: Vec<PathBuf>,
}

type Counts = BTreeMap<char, u64>;

/// What a task does: code under a name, so that another process can be told to run it.
struct CharCount;

impl Work for CharCount {
    const NAME: &'static str = "char count";
    type Input = PathBuf;
    type Output = Counts;

    fn run(&self, path: PathBuf, context: &mut Context<'_, Counts>) -> Result<(), TaskError> {
        let told = |e: std::io::Error| TaskError::Failed(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(told)?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.chunks(PIECE_LINES).try_for_each(|piece| context.yield_partial(&count(piece)))
    }
}

fn count(lines: &[&str]) -> Counts {
    let mut counts = Counts::new();
    for character in lines.iter().flat_map(|line| line.chars()) {
        *counts.entry(character).or_default() += 1;
    }
    counts
}

fn main() -> ExitCode {
    let registry = Registry::new().with(CharCount);
    // A worker process is this program, started again; it stays in here.
    serve(&registry);
    match count_all(&Args::parse(), &registry) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("char_count: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all texts were counted.
fn count_all(args: &Args, registry: &Registry) -> Result<bool> {
    let mut config = PoolConfig::automatic(choose(args.mode, None)?.mode);
    config.kwargs.max_workers = args.workers;
    let texts = if args.texts.is_empty() { pages()? } else { args.texts.clone() };
    let pool = open(&config, registry)?;
    // Nothing random is in these tasks: any seed will do.
    let mut run = Starmap::<CharCount>::new(&pool, Options::seeded(0))?;
    run.submit_many(texts.iter().cloned())?;
    let (mut counts, mut parts) = (Counts::new(), 0);
    for outcome in run.by_ref() {
        match outcome.what {
            What::Part { value, .. } => {
                parts += 1;
                add(&mut counts, &value);
            }
            What::Done { .. } => {}
            What::Failed(why) => eprintln!("char_count: {why}"),
            What::Lost(how) => eprintln!("char_count: text {}: {how}", outcome.index),
        }
    }
    let summary = run.shut_down();
    eprintln!("mode {}, {} at a time: {summary}", config.mode, pool.workers());
    tell(&counts, summary.done, parts);
    Ok(summary.is_complete())
}

/// The pages of this project.
fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir("docs").map_err(|e| format!("docs: {e}: name some texts"))? {
        pages.push(entry?.path());
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}

fn add(counts: &mut Counts, part: &Counts) {
    for (character, count) in part {
        *counts.entry(*character).or_default() += count;
    }
}

fn tell(counts: &Counts, texts: u64, parts: u64) {
    let total: u64 = counts.values().sum();
    println!("{total} characters, {} different ones, in {texts} texts ({parts} partial results)", counts.len());
    let mut most: Vec<_> = counts.iter().collect();
    // Equally frequent ones stay in the order of the alphabet.
    most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (character, count) in most.into_iter().take(TOLD) {
        println!("{count:>8} {character:?}");
    }
}
