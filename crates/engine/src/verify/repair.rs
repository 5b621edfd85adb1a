//! Repairs through ordinary commits what a verification found.

use super::Verify;
use super::report::{Finding, Kind, Repaired, Report};
use crate::store::{Store, Writer};
use h5part_base::dataspace::Rows;
use h5part_base::error::Result;
use h5part_base::num::to_usize;
use std::collections::{BTreeMap, BTreeSet};

/// Rows are repaired in portions of about this many bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// Repairs the findings that are understood.
pub(super) fn run(store: &Store, report: &Report, how: &Verify) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    if how.accept_loss {
        let lost: BTreeSet<&str> =
            report.findings.iter().filter(|f| f.kind == Kind::Lost).filter_map(|f| f.table.as_deref()).collect();
        for table in lost {
            repaired.dropped += store.accept_loss(table)?.len() as u64;
        }
    }
    let mut tables: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        let foreign = matches!(finding.kind, Kind::Changed | Kind::Unstamped);
        let repairable = finding.kind == Kind::HalfWritten || (foreign && how.accept_foreign);
        if let Some(table) = finding.table.as_deref().filter(|_| repairable) {
            tables.entry(table).or_default().push(finding);
        }
    }
    for (table, findings) in tables {
        let mut writer = store.writer(table)?;
        writer.set_accept_foreign(true);
        // Half-written cells are reset first, since a foreign value beside them is judged on its own.
        let (torn, foreign): (Vec<&Finding>, Vec<&Finding>) =
            findings.into_iter().partition(|f| f.kind == Kind::HalfWritten);
        let kept = called_complete(report, table);
        for finding in torn {
            let finding = &without(finding, &kept);
            repaired.reset += each_portion(&mut writer, finding, Writer::reset_column)?;
        }
        for finding in foreign {
            repaired.stamped += each_portion(&mut writer, finding, Writer::stamp_as_is)?;
        }
    }
    Ok(repaired)
}

/// The rows that a guard calls complete. Another program may have computed them since, so a repair must not reset them.
fn called_complete(report: &Report, table: &str) -> BTreeSet<u64> {
    let of_guards = |f: &&Finding| f.kind == Kind::Guard && f.table.as_deref() == Some(table);
    report.findings.iter().filter(of_guards).flat_map(|f| &f.rows).flat_map(|&(first, end)| first..end).collect()
}

/// The finding without these rows.
fn without(finding: &Finding, kept: &BTreeSet<u64>) -> Finding {
    let mut rows = Vec::new();
    for &(first, end) in &finding.rows {
        let mut from = first;
        for &row in kept.range(first..end) {
            rows.push((from, row));
            from = row + 1;
        }
        rows.push((from, end));
    }
    rows.retain(|(first, end)| first < end);
    Finding { rows, ..finding.clone() }
}

fn each_portion(
    writer: &mut Writer,
    finding: &Finding,
    work: fn(&mut Writer, &Rows, &str) -> Result<u64>,
) -> Result<u64> {
    let Some(column) = &finding.column else { return Ok(0) };
    let portion = (PORTION_BYTES / writer.table().row_bytes().max(1)).max(1);
    let mut done = 0;
    for &(first, end) in &finding.rows {
        for start in (first..end).step_by(to_usize(portion)) {
            done += work(writer, &Rows::range(start..end.min(start + portion)), column)?;
        }
    }
    Ok(done)
}
