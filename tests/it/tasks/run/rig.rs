//! A ledger to run, and views of its state.

use crate::common::support::{Scratch, ok};
use std::fs;

pub struct Rig {
    pub dir: Scratch,
    pub ledger: String,
    pub store: String,
    pub names: Vec<String>,
}

/// Names of tasks, with a space each.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|k| format!("t {k}")).collect()
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

impl Rig {
    pub fn new(names: &[String]) -> Self {
        Self::made(names.to_vec(), "\n", &[])
    }

    /// Tasks with any names.
    pub fn null(names: &[&str]) -> Self {
        Self::made(names.iter().map(|&name| name.to_owned()).collect(), "\0", &["--null"])
    }

    fn made(names: Vec<String>, separator: &str, options: &[&str]) -> Self {
        let dir = Scratch::new();
        let (ledger, tasks) = (dir.text("ledger"), dir.text("tasks.txt"));
        fs::write(&tasks, names.iter().map(|name| format!("{name}{separator}")).collect::<String>()).expect("writes");
        let mut args = vec!["ledger", "init", &ledger, "--tasks", &tasks];
        args.extend(options);
        ok(&args);
        Self { store: dir.text("store.h5"), dir, ledger, names }
    }

    /// A store with a table `t` of E and E2, and one task per block of its rows.
    pub fn with_store(rows: usize, block: usize) -> Self {
        let dir = Scratch::new();
        let (ledger, store) = (dir.text("ledger"), dir.text("store.h5"));
        let (rows, block) = (rows.to_string(), block.to_string());
        ok(&["create", &store, "t", "--rows", &rows, "--column", "E:f64", "--column", "E2:f64"]);
        ok(&["ledger", "init", &ledger, "--rows", &rows, "--block", &block, "--store", &store, "--table", "t"]);
        Self { dir, ledger, store, names: Vec::new() }
    }

    pub fn log(&self, index: usize) -> String {
        let path = format!("{}.part/logs/{:04}/{index}.log", self.ledger, index / 1000);
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The five numbers of `ledger status`.
    pub fn status(&self) -> serde_json::Value {
        let mut status = json(&ok(&["ledger", "status", &self.ledger, "--json"]));
        let keys = ["total", "waiting", "running", "done", "failed"];
        status.as_object_mut().expect("object").retain(|key, _| keys.contains(&key.as_str()));
        status
    }

    /// All tasks.
    pub fn list(&self) -> Vec<serde_json::Value> {
        let said = ok(&["ledger", "list", &self.ledger, "--json"]);
        serde_json::Deserializer::from_str(&said)
            .into_iter::<serde_json::Value>()
            .map(|value| value.expect("JSON"))
            .flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value]))
            .collect()
    }

    pub fn rows_that_are_there(&self) -> Vec<u64> {
        let mut reader = h5part_engine::store::Store::open(&self.store).expect("opens").reader("t").expect("opens");
        let rows = json(&ok(&["info", &self.store, "--json"]))["tables"][0]["rows"].as_u64().expect("rows");
        (0..rows).filter(|&row| reader.presence(row..row + 1).is_ok_and(|rows| rows.committed == 1)).collect()
    }
}
