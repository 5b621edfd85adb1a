//! The contents of the screen, and the effects of keys.

use super::super::look::tail::{plain, tail};
use super::super::look::text::{Style as LineStyle, pace, percent};
use super::super::look::{FailedTask, Look, Looker, TASKS, WorkerLook, WriterLook, key as rate_key};
use super::super::output::{bytes, duration, table_name};
use super::machine::Usage;
use h5part::Result;
use h5part::ledger::{Ledger, Tally, TaskState};
use h5part_base::lock::host;
use h5part_tasks::program::{BesideLedger, Homes};
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Clear, Paragraph};

/// Parts of a coverage strip.
pub const PARTS: usize = 40;
/// Most lines of a log that can be scrolled.
const LOG_LINES: usize = 500;
const HELP: [&str; 9] = [
    "Tab        workers, failures",
    "up, down   choose a line (also j, k)",
    "s          sort by the next column",
    "/ TEXT     show only lines with TEXT; Esc shows all",
    "Enter, l   the log of a failure, or of what a worker runs",
    "c          cancel what the worker runs",
    "r          requeue the failed task",
    "?          these keys",
    "q          end",
];

/// What to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Stay,
    LookAgain,
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pane {
    #[default]
    Workers,
    Failures,
}

/// What covers the panes, or receives the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Over {
    #[default]
    Nothing,
    Help,
    /// Title, lines, and index of the first visible line.
    Log(String, Vec<String>, usize),
    /// A filter that is being typed.
    Filter,
    /// A question whether to cancel the tasks at these places.
    Cancel(Vec<u64>),
}

/// A line of a pane.
struct Entry {
    text: String,
    /// Sort keys, one for each order.
    by: [Key; 3],
    what: What,
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Key {
    Number(f64),
    Text(String),
}

#[derive(Clone, Debug)]
enum What {
    Worker(Vec<u64>, Option<(u32, String)>),
    Failed(u64, u32, String),
    Writer,
}

/// The state of the screen.
pub struct View {
    ascii: bool,
    pane: Pane,
    at: usize,
    order: usize,
    filter: String,
    over: Over,
    message: String,
}

impl View {
    pub fn new(ascii: bool) -> Self {
        let (pane, over) = (Pane::default(), Over::default());
        Self { ascii, pane, at: 0, order: 0, filter: String::new(), over, message: String::new() }
    }

    /// Draws the last look.
    pub fn draw(&mut self, frame: &mut Frame<'_>, looker: &Looker, usage: &Usage) {
        let (look, area) = (looker.last(), frame.area());
        let style = LineStyle { width: usize::from(area.width), ascii: self.ascii };
        let head = head(looker);
        let coverage = coverage(look, style);
        let few = u16::try_from(coverage.len()).unwrap_or(u16::MAX).min(area.height / 3);
        let rows = [Constraint::Length(1), Constraint::Length(few), Constraint::Min(1), Constraint::Length(1)];
        let [top, strips, panes, foot] = Layout::vertical(rows).areas(area);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Paragraph::new(Line::styled(style.line(&head), bold)), top);
        let coverage: Vec<Line<'_>> = coverage.iter().map(|line| Line::raw(style.line(line))).collect();
        frame.render_widget(Paragraph::new(coverage), strips);
        self.draw_panes(frame, panes, look, usage, style);
        frame.render_widget(Paragraph::new(Line::styled(style.line(&self.foot()), bold)), foot);
        self.draw_over(frame, panes, style);
    }

    fn foot(&self) -> String {
        match &self.over {
            Over::Filter => format!("/{}", self.filter),
            Over::Cancel(places) => format!("cancel {} running tasks of this worker? y/n", places.len()),
            _ if !self.message.is_empty() => self.message.clone(),
            _ if !self.filter.is_empty() => format!("only '{}' (Esc: all)  q end  ? keys", self.filter),
            _ => "q end  ? keys  Tab pane  s sort  / filter  Enter log  c cancel  r requeue".to_owned(),
        }
    }

    fn draw_panes(&mut self, frame: &mut Frame<'_>, area: Rect, look: &Look, usage: &Usage, style: LineStyle) {
        let halves = [Constraint::Fill(1), Constraint::Fill(1)];
        let [upper, lower] = Layout::vertical(halves).areas(area);
        for (pane, area) in [(Pane::Workers, upper), (Pane::Failures, lower)] {
            let entries = self.entries(pane, look, usage);
            let is_chosen = pane == self.pane;
            if is_chosen {
                self.at = self.at.min(entries.len().saturating_sub(1));
            }
            let at = if is_chosen { self.at } else { 0 };
            let (title, orders) = titles(pane, look);
            let order = if is_chosen { format!(" by {}", orders[self.order % 3]) } else { String::new() };
            let mark = if is_chosen { ">" } else { " " };
            let title = format!("{mark}{} {}{order}", entries.len(), title);
            let mut lines = vec![Line::styled(style.line(&title), Style::new().add_modifier(Modifier::UNDERLINED))];
            // The selected line stays visible.
            let room = usize::from(area.height.saturating_sub(1)).max(1);
            let first = at.saturating_sub(room - 1);
            for (k, entry) in entries.iter().enumerate().skip(first).take(room) {
                let line = Line::raw(style.line(&entry.text));
                let is_at = is_chosen && k == at;
                lines.push(if is_at { line.style(Style::new().add_modifier(Modifier::REVERSED)) } else { line });
            }
            frame.render_widget(Paragraph::new(lines), area);
        }
    }

    fn draw_over(&self, frame: &mut Frame<'_>, area: Rect, style: LineStyle) {
        let lines: Vec<String> = match &self.over {
            Over::Help => HELP.iter().map(|line| (*line).to_owned()).collect(),
            Over::Log(title, lines, first) => {
                let shown = lines.iter().skip(*first).take(usize::from(area.height).saturating_sub(1));
                std::iter::once(title.clone()).chain(shown.cloned()).collect()
            }
            _ => return,
        };
        let lines: Vec<Line<'_>> = lines.iter().map(|line| Line::raw(style.line(line))).collect();
        frame.render_widget(Clear, area);
        frame.render_widget(Paragraph::new(Text::from(lines)), area);
    }

    /// The lines of a pane, filtered and sorted.
    fn entries(&self, pane: Pane, look: &Look, usage: &Usage) -> Vec<Entry> {
        let mut entries: Vec<Entry> = match (pane, &look.tasks) {
            (Pane::Workers, Some(tasks)) => tasks.workers.iter().map(|one| worker(one, look, usage)).collect(),
            (Pane::Workers, None) => look.writers.iter().map(|one| writer(one, usage)).collect(),
            (Pane::Failures, Some(tasks)) => tasks.failed.iter().map(failed).collect(),
            (Pane::Failures, None) => Vec::new(),
        };
        if pane == self.pane {
            let wanted = self.filter.to_lowercase();
            entries.retain(|entry| entry.text.to_lowercase().contains(&wanted));
            let order = self.order % 3;
            entries.sort_by(|a, b| a.by[order].partial_cmp(&b.by[order]).unwrap_or(std::cmp::Ordering::Equal));
        }
        entries
    }

    /// Handles a key.
    pub fn key(&mut self, key: KeyEvent, looker: &Looker) -> Next {
        self.message.clear();
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::End;
        }
        match std::mem::take(&mut self.over) {
            Over::Filter => self.typed(key.code),
            Over::Cancel(places) if key.code == KeyCode::Char('y') => return self.cancel(looker, &places),
            Over::Cancel(_) => "nothing is cancelled".clone_into(&mut self.message),
            Over::Log(title, lines, first) => self.scrolled(key.code, title, lines, first),
            // Any key closes it.
            Over::Help => {}
            Over::Nothing => return self.chosen(key.code, looker),
        }
        Next::Stay
    }

    fn typed(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => return self.filter.clear(),
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.over = Over::Filter;
    }

    fn scrolled(&mut self, code: KeyCode, title: String, lines: Vec<String>, first: usize) {
        let last = lines.len().saturating_sub(1);
        let first = match code {
            KeyCode::Down | KeyCode::Char('j') => first + 1,
            KeyCode::Up | KeyCode::Char('k') => first.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => first + 10,
            KeyCode::PageUp => first.saturating_sub(10),
            _ => return,
        };
        self.over = Over::Log(title, lines, first.min(last));
    }

    fn chosen(&mut self, code: KeyCode, looker: &Looker) -> Next {
        match code {
            KeyCode::Char('q') => return Next::End,
            KeyCode::Tab => {
                self.pane = if self.pane == Pane::Workers { Pane::Failures } else { Pane::Workers };
                self.at = 0;
            }
            KeyCode::Down | KeyCode::Char('j') => self.at += 1,
            KeyCode::Up | KeyCode::Char('k') => self.at = self.at.saturating_sub(1),
            KeyCode::Char('s') => self.order = (self.order + 1) % 3,
            KeyCode::Char('/') => self.over = Over::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?') => self.over = Over::Help,
            KeyCode::Enter | KeyCode::Char('l') => self.open_log(looker),
            KeyCode::Char('c') => match self.chosen_entry(looker) {
                Some(What::Worker(places, _)) if !places.is_empty() => self.over = Over::Cancel(places),
                _ => "choose a worker that runs a task".clone_into(&mut self.message),
            },
            KeyCode::Char('r') => return self.requeue(looker),
            _ => {}
        }
        Next::Stay
    }

    fn chosen_entry(&self, looker: &Looker) -> Option<What> {
        let entries = self.entries(self.pane, looker.last(), &Usage::default());
        entries.into_iter().nth(self.at).map(|entry| entry.what)
    }

    fn open_log(&mut self, looker: &Looker) {
        let Some((index, name)) = self.chosen_entry(looker).and_then(|what| match what {
            What::Failed(_, index, name) => Some((index, name)),
            What::Worker(_, first) => first,
            What::Writer => None,
        }) else {
            "there is no log".clone_into(&mut self.message);
            return;
        };
        let log = Ledger::open_to_read(looker.path()).map(|ledger| BesideLedger.of(&ledger, index, &name).log);
        let lines = log.as_ref().map_or_else(|_| Vec::new(), |log| tail(log, LOG_LINES));
        if lines.is_empty() {
            self.message = format!("'{}' has said nothing", plain(&name));
        } else {
            let first = lines.len().saturating_sub(8);
            self.over = Over::Log(format!("log of '{}' (arrows move, Esc closes)", plain(&name)), lines, first);
        }
    }

    fn cancel(&mut self, looker: &Looker, places: &[u64]) -> Next {
        let cancel = || -> Result<u64> { Ok(Ledger::open(looker.path())?.cancel(places)?.changed) };
        self.message = cancel().map_or_else(|e| e.to_string(), |count| format!("{count} tasks are cancelled"));
        Next::LookAgain
    }

    fn requeue(&mut self, looker: &Looker) -> Next {
        let Some(What::Failed(place, _, name)) = self.chosen_entry(looker) else {
            "choose a failed task".clone_into(&mut self.message);
            return Next::Stay;
        };
        let requeue = || -> Result<u64> {
            let ledger = Ledger::open(looker.path())?;
            Ok(ledger.requeue(&[place], |task| task.state == TaskState::Failed)?.changed)
        };
        let text = |count| format!("'{}' {}", plain(&name), if count > 0 { "is requeued" } else { "had not failed" });
        self.message = requeue().map_or_else(|e| e.to_string(), text);
        Next::LookAgain
    }
}

fn head(looker: &Looker) -> String {
    let look = looker.last();
    let name = looker.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    match &look.tasks {
        Some(tasks) => {
            let Tally { total, done, failed, running, waiting, .. } = tasks.tally;
            let pace = pace(look, TASKS, waiting + running);
            format!("{name}  {done}/{total} done ({}){pace}  {running} running, {failed} failed", percent(done, total))
        }
        None => format!("{name}  {} writers", look.writers.len()),
    }
}

fn coverage(look: &Look, style: LineStyle) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &look.tables {
        let width = table.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(12);
        for column in &table.columns {
            let left = column.missing + column.writing;
            let pace = pace(look, &rate_key(&table.table, &column.name), left);
            let (strip, share) = (style.strip(&column.coverage), percent(column.committed, table.rows));
            let name: String = column.name.chars().take(width).collect();
            lines.push(format!("{name:width$} |{strip}| {share}{pace}  {}", table_name(&table.table)));
        }
    }
    lines
}

/// The title of a pane, and the orders that it can be sorted by.
fn titles(pane: Pane, look: &Look) -> (&'static str, [&'static str; 3]) {
    match (pane, look.tasks.is_some()) {
        (Pane::Workers, true) => {
            ("workers: host, pid, done, rate, running, beat, CPU, memory, task", ["worker", "rate", "running"])
        }
        (Pane::Workers, false) => {
            ("writers: host, pid, writes, rows, since, CPU, memory, command", ["writer", "bytes", "command"])
        }
        (Pane::Failures, _) => ("failed: task, attempts, reason, ended", ["time", "reason", "task"]),
    }
}

fn used(usage: &Usage, host_name: &str, pid: i32) -> String {
    let used = if host_name == host() { usage.of(pid) } else { None };
    used.map_or_else(|| "-      -".to_owned(), |used| format!("{:.1}  {}", used.busy, bytes(used.memory_bytes)))
}

fn worker(one: &WorkerLook, look: &Look, usage: &Usage) -> Entry {
    let process = &one.owner.process;
    let rate = look.rates.of(&one.key()).unwrap_or(0.0);
    let beat = one.beaten.map_or_else(|| "-".to_owned(), |at| duration(at.elapsed().as_secs_f64().round()));
    let names = one.names();
    let since = if one.running > 0 { format!(" for {}", duration(since_s(one.since_ms))) } else { String::new() };
    let used = used(usage, &process.host, process.pid);
    let text = format!(
        "{} {}  {} done  {rate:.1}/s  {} running  {beat}  {used}  {names}{since}",
        process.host, process.pid, one.done, one.running
    );
    let name = format!("{} {}", process.host, process.pid);
    #[expect(clippy::cast_precision_loss, reason = "an order")]
    let by = [Key::Text(name), Key::Number(-rate), Key::Number(-(one.running as f64))];
    let first = one.first.first().map(|task| (task.index, task.name.clone()));
    Entry { text, by, what: What::Worker(one.first.iter().map(|task| task.place).collect(), first) }
}

fn writer(one: &WriterLook, usage: &Usage) -> Entry {
    let holder = &one.holder;
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let since = holder.for_s.map_or(0.0, |s| s as f64);
    let used = used(usage, &holder.host, holder.pid);
    let command = plain(&holder.command);
    let stopped = if holder.stopped { "  stopped" } else { "" };
    let pace = one.pace().unwrap_or_else(|| "-".to_owned());
    let rows = one.at().unwrap_or_else(|| "-".to_owned());
    let name = format!("{} {}", holder.host, holder.pid);
    let text = format!("{name}  {pace}  {rows}  for {}{stopped}  {used}  {command}", duration(since));
    let by = [Key::Text(name), Key::Number(-one.commits.unwrap_or(0.0)), Key::Text(command)];
    Entry { text, by, what: What::Writer }
}

fn failed(task: &FailedTask) -> Entry {
    let FailedTask { place, index, name, reason, attempts, since_ms } = task;
    let text = format!("'{}'  {attempts}  {reason}  {}", plain(name), ago(*since_ms));
    #[expect(clippy::cast_precision_loss, reason = "an order")]
    let by = [Key::Number(-(*since_ms as f64)), Key::Text(reason.clone()), Key::Text(name.clone())];
    Entry { text, by, what: What::Failed(*place, *index, name.clone()) }
}

fn ago(since_ms: u64) -> String {
    format!("{} ago", duration(since_s(since_ms)))
}

/// Whole seconds since a time in milliseconds since 1970.
fn since_s(since_ms: u64) -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let then = since_ms as f64 / 1000.0;
    (now - then).max(0.0).round()
}
