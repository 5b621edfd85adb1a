//! Reads the files of a trial into datasets.

use super::columns::Columns;
use super::dataset::{Dataset, Trial, nothing, row, text};
use super::input::InputFile;
use super::log::{Log, Order, OrderedColumn};
use super::options::Options;
use super::system::System;
use super::text::{name_of, of_log};
use super::units::UnitRule;
use h5part_base::error::{At, ErrorKind, Kind, Result};
use h5part_engine::store::Content;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Files of the seasons, with their units.
const SEASONS: [(&str, &str); 8] = [
    ("DailyInsol", "W/m^2"),
    ("PlanckB", "W/m^2/K"),
    ("SeasonalDivF", "W/m^2"),
    ("SeasonalFIn", "W/m^2"),
    ("SeasonalFMerid", "W"),
    ("SeasonalFOut", "W/m^2"),
    ("SeasonalIceBalance", "kg/m^2/s"),
    ("SeasonalTemp", "deg C"),
];

/// Reads trials of one ensemble. It is cheap to clone and takes no lock.
#[derive(Clone, Debug)]
pub struct Gatherer {
    system: Arc<System>,
    options: Arc<Options>,
    rule: UnitRule,
}

/// Which datasets to read. `None`: all.
type Wanted<'a> = Option<&'a HashSet<String>>;

impl Gatherer {
    /// A reader of trials of this system.
    #[must_use]
    pub fn new(system: System, options: Options, rule: UnitRule) -> Self {
        Self { system: Arc::new(system), options: Arc::new(options), rule }
    }

    /// What the trials share.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Reads the whole output of a trial.
    ///
    /// # Errors
    /// I/O errors; [`crate::ErrorKind::BadText`] with file and line: an output that was cut, a log without its end, or
    /// a log without the order of an output's columns.
    pub fn gather(&self, folder: &Path) -> Result<Trial> {
        let mut trial = Trial::new(name_of(folder));
        self.add(folder, None, &mut trial)?;
        Ok(trial)
    }

    /// Reads those datasets of a trial with these names that exist.
    ///
    /// # Errors
    /// As [`Gatherer::gather`].
    pub fn gather_some(&self, folder: &Path, wanted: &HashSet<String>) -> Result<Trial> {
        let mut trial = Trial::new(name_of(folder));
        self.add(folder, Some(wanted), &mut trial)?;
        Ok(trial)
    }

    fn add(&self, folder: &Path, wanted: Wanted<'_>, trial: &mut Trial) -> Result<()> {
        let read = |name: &String| InputFile::read(&folder.join(name));
        let inputs = self.system.inputs.iter().map(read).collect::<Result<Vec<_>>>()?;
        let mut visit = Visit { gatherer: self, folder, inputs, wanted, trial };
        visit.options().at("gather", folder)?;
        let path = folder.join(visit.log_name());
        let log = std::fs::read(&path).map_err(ErrorKind::from);
        let log = log.and_then(|bytes| Log::parse(&of_log(bytes), &self.system.bodies)).at("read", &path)?;
        visit.check(&log).at("read", &path)?;
        visit.log(&log).at("gather", folder)?;
        self.system.bodies.iter().try_for_each(|body| visit.outputs(body, &log))
    }
}

/// A trial that is being read.
struct Visit<'a> {
    gatherer: &'a Gatherer,
    folder: &'a Path,
    /// In the order of the system's inputs.
    inputs: Vec<InputFile>,
    wanted: Wanted<'a>,
    trial: &'a mut Trial,
}

impl Visit<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.is_none_or(|wanted| wanted.contains(name))
    }

    fn push(&mut self, name: String, units: &str, content: Content) -> Result<(), ErrorKind> {
        if !self.is_wanted(&name) {
            return Ok(());
        }
        self.trial.push(Dataset { name, units: units.to_owned(), content })
    }

    fn primary(&self) -> InputFile {
        self.inputs.last().cloned().unwrap_or_default()
    }

    fn options(&mut self) -> Result<(), ErrorKind> {
        let primary = self.primary();
        let gatherer = self.gatherer;
        for (name, file) in gatherer.system.inputs.iter().zip(std::mem::take(&mut self.inputs)) {
            let stem = name.split('.').next().unwrap_or_default();
            for option in &file.options {
                let dataset = format!("{stem}:{}:option", option.key);
                if !self.is_wanted(&dataset) {
                    continue;
                }
                let first = option.first();
                let unit = gatherer.rule.unit(&option.key, first, &file, &primary, &gatherer.options);
                // For a list of outputs, BigPlanet treats the unit like a value.
                if option.key.contains("OutputOrder") || option.key.contains("GridOutput") {
                    let first = first.trim_start_matches('-');
                    let content = if self.trial.has(&dataset) {
                        text(first)
                    } else {
                        Content::Texts { shape: vec![2], values: vec![unit, first.to_owned()] }
                    };
                    self.push(dataset, "", content)?;
                } else {
                    self.push(dataset, &unit, text(first))?;
                }
            }
            self.inputs.push(file);
        }
        Ok(())
    }

    /// The log's name: vplanet's default, or the user's choice.
    fn log_name(&self) -> String {
        let named = self.inputs.iter().find_map(|file| file.value("sLogFile")).filter(|name| !name.is_empty());
        named.map_or_else(|| self.gatherer.system.log(), str::to_owned)
    }

    /// Refuses the log of a run that did not end.
    fn check(&self, log: &Log) -> Result<(), ErrorKind> {
        let primary = self.primary();
        if !(primary.is_on("bDoForward") || primary.is_on("bDoBackward")) {
            return Ok(());
        }
        let bad = |what: String| Err(crate::ErrorKind::BadText { line: 0, what }.into());
        for file in &self.inputs {
            let Some(body) = file.value("sName") else { continue };
            if file.value("saOutputOrder").is_some_and(|first| !first.is_empty()) && log.order(body, false).is_none() {
                return bad(format!("it has no Output Order of '{body}': the columns are unknown"));
            }
        }
        if !log.has_end {
            return bad("it has no final properties: vplanet did not finish".to_owned());
        }
        Ok(())
    }

    fn log(&mut self, log: &Log) -> Result<(), ErrorKind> {
        for property in &log.properties {
            let name = format!("{}:{}:{}", property.body, property.name, property.when);
            self.push(name, &property.unit, text(property.value.as_str()))?;
        }
        for order in &log.orders {
            self.order(order)?;
        }
        Ok(())
    }

    /// Adds the order itself, and its columns without values.
    fn order(&mut self, order: &Order) -> Result<(), ErrorKind> {
        let (kind, what) = if order.grid { ("GridOutputOrder", "climate") } else { ("OutputOrder", "forward") };
        for column in &order.columns {
            let name = format!("{}:{}:{what}", order.body, column.name);
            if !self.trial.has(&name) {
                self.push(name, &column.unit, nothing())?;
            }
        }
        let name = format!("{}:{kind}", order.body);
        if self.trial.has(&name) {
            return Ok(());
        }
        let values = order.columns.iter().flat_map(|column| [column.name.clone(), column.unit.clone()]);
        let shape = vec![order.columns.len() as u64, 2];
        self.push(name, "", Content::Texts { shape, values: values.collect() })
    }

    fn outputs(&mut self, body: &str, log: &Log) -> Result<()> {
        let prefix = format!("{}.{body}", self.gatherer.system.name);
        if let Some(order) = log.order(body, false)
            && let Some((file, what)) = self.evolution(body, &prefix)
        {
            self.series(body, what, &file, &order.columns)?;
        }
        if let Some(order) = log.order(body, true) {
            self.series(body, "climate", &format!("{prefix}.Climate"), &order.columns)?;
            self.seasons(body, &prefix)?;
        }
        Ok(())
    }

    /// The file of a body's evolution, with its direction.
    fn evolution(&self, body: &str, prefix: &str) -> Option<(String, &'static str)> {
        let own = self.inputs.iter().find(|file| file.value("sName") == Some(body));
        if let Some(file) = own.and_then(|file| file.value("sOutFile")) {
            return Some((file.to_owned(), "forward"));
        }
        let primary = self.primary();
        let forward = format!("{prefix}.forward");
        if primary.is_on("bDoForward") {
            Some((forward, "forward"))
        } else if primary.is_on("bDoBackward") {
            Some((format!("{prefix}.backward"), "backward"))
        } else {
            self.folder.join(&forward).exists().then_some((forward, "forward"))
        }
    }

    /// Reads an output of columns. Each column becomes a row of a dataset.
    fn series(&mut self, body: &str, what: &str, file: &str, order: &[OrderedColumn]) -> Result<()> {
        let names: Vec<String> = order.iter().map(|column| format!("{body}:{}:{what}", column.name)).collect();
        if !names.iter().any(|name| self.is_wanted(name)) {
            return Ok(());
        }
        let path = self.folder.join(file);
        let read = read_columns(&path)?;
        if read.columns.len() != order.len() {
            let (found, expected) = (read.columns.len(), order.len());
            let what = format!("it has {found} columns, but the log's Output Order has {expected}");
            return Err(crate::ErrorKind::BadText { line: 1, what }.at("read", &path));
        }
        for ((name, column), values) in names.into_iter().zip(order).zip(read.columns) {
            self.push(name, &column.unit, row(values)).at("gather", &path)?;
        }
        Ok(())
    }

    /// Reads the year at the start. If any of these files exists, all of them must.
    fn seasons(&mut self, body: &str, prefix: &str) -> Result<()> {
        let folder = self.folder.join("SeasonalClimateFiles");
        let path = |name: &str| folder.join(format!("{prefix}.{name}.0"));
        if !SEASONS.iter().any(|(name, _)| path(name).exists()) {
            return Ok(());
        }
        for (name, unit) in SEASONS {
            let dataset = format!("{body}:{name}");
            if !self.is_wanted(&dataset) {
                continue;
            }
            let read = read_columns(&path(name))?;
            let shape = vec![1, read.columns.len() as u64, read.rows() as u64];
            let values = read.columns.into_iter().flatten().collect();
            self.push(dataset, unit, Content::Floats { shape, values }).at("gather", path(name))?;
        }
        Ok(())
    }
}

fn read_columns(path: &Path) -> Result<Columns> {
    let bytes = std::fs::read(path).at("read", path)?;
    Columns::parse(&bytes).at("read", path)
}
