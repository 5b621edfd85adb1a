//! A table, assembled from its datasets and their stamps.

use super::dataset::{first_axis, locate_column, read_column};
use super::names::{Datasets, Elsewhere, datasets};
use super::stamps::{Stamped, locate_stamps, open_stamps};
use crate::h5::Failed;
use crate::h5::marks::guards;
use h5part_base::dataspace::{Column, Guard, LostColumn, Table};
use h5part_base::error::{ErrorKind, Item};
use hdf5::{Dataset, Group};

/// A table's datasets before their chunks are looked up. Metadata on the path to the columns is part of the
/// fingerprint. The chunk index is not: it changes only together with that metadata.
pub(in crate::h5) struct Parts {
    path: String,
    pub(in crate::h5) rows: u64,
    pub(in crate::h5) columns: Vec<(Column, Dataset)>,
    pub(in crate::h5) stamps: Option<(u64, Dataset)>,
    pub(in crate::h5) guards: Vec<Guard>,
    /// Lost columns, with the datasets that are left of them.
    pub(in crate::h5) lost: Vec<(LostColumn, Option<Dataset>)>,
    /// Named dimensions that h5part made.
    pub(in crate::h5) dimensions: Vec<Dataset>,
    aliases: Vec<(String, String)>,
    surplus: Vec<(String, u64)>,
    unopenable: Vec<String>,
}

impl Parts {
    pub(in crate::h5) fn read(file: &hdf5::File, path: &str, group: &Group) -> Result<Self, Failed> {
        let stamps = open_stamps(file, group, path)?;
        let stamped = stamps.as_ref().map(|(_, stamps)| Stamped::read(stamps)).transpose()?.unwrap_or_default();
        let elsewhere = Elsewhere::new(file, stamps.as_ref().map(|(number, _)| *number));
        let Datasets { mut columns, aliases, dimensions, unopenable } = datasets(group, &stamped.names, &elsewhere)?;
        let stamped_rows = stamps.as_ref().map(|(_, stamps)| first_axis(stamps));
        let lost = stamped_rows.map_or_else(Vec::new, |rows| stamped.take_lost(&mut columns, rows));
        let lengths = columns.iter().filter(|(column, _)| column.stamp.is_some()).map(|(_, d)| first_axis(d));
        // A row exists if all stamped columns have it. Other programs appended those beyond the stamps.
        let rows = lengths.min().or(stamped_rows).unwrap_or_else(|| common_rows(&columns));
        columns.retain(|(column, d)| column.stamp.is_some() || first_axis(d) == rows);
        let longer = columns.iter().map(|(column, d)| (column.name.clone(), first_axis(d)));
        let surplus = longer.filter(|(_, length)| *length > rows).collect();
        columns.sort_by(|(a, _), (b, _)| {
            (a.stamp.is_none(), a.stamp, &a.name).cmp(&(b.stamp.is_none(), b.stamp, &b.name))
        });
        let guards = match &stamps {
            Some((_, stamps)) => guards::read(stamps, &columns.iter().map(|(column, _)| column).collect::<Vec<_>>())?,
            None => Vec::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            rows,
            columns,
            stamps,
            guards,
            lost,
            dimensions,
            aliases,
            surplus,
            unopenable,
        })
    }

    /// Parts of a table that just got stamps for these columns. Columns without stamps are left out.
    pub(in crate::h5) fn just_made(
        file: &hdf5::File,
        path: &str,
        group: &Group,
        stamped: &[String],
    ) -> Result<Self, Failed> {
        let stamps =
            open_stamps(file, group, path)?.ok_or_else(|| ErrorKind::Unstamped(Item::Table(path.to_owned())))?;
        let read = |(place, name): (usize, &String)| {
            let dataset = group.dataset(name)?;
            Ok((read_column(&dataset, name.clone(), Some(place))?, dataset))
        };
        let columns = stamped.iter().enumerate().map(read).collect::<Result<Vec<_>, Failed>>()?;
        let guards = guards::read(&stamps.1, &columns.iter().map(|(column, _)| column).collect::<Vec<_>>())?;
        let (path, rows, stamps) = (path.to_owned(), first_axis(&stamps.1), Some(stamps));
        let (lost, dimensions) = (Vec::new(), Vec::new());
        let (aliases, surplus, unopenable) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { path, rows, columns, stamps, guards, lost, dimensions, aliases, surplus, unopenable })
    }

    pub(in crate::h5) fn locate(self) -> Result<Table, Failed> {
        let stamps = match self.stamps {
            None => None,
            Some((table, dataset)) => Some(locate_stamps(table, &dataset, self.guards)?),
        };
        let mut columns = Vec::with_capacity(self.columns.len());
        for (mut column, dataset) in self.columns {
            locate_column(&mut column, &dataset)?;
            columns.push(column);
        }
        let mut lost = Vec::with_capacity(self.lost.len());
        for (mut column, dataset) in self.lost {
            if let Some((rest, dataset)) = column.rest.as_deref_mut().zip(dataset) {
                locate_column(rest, &dataset)?;
            }
            lost.push(column);
        }
        let mut aliases = self.aliases;
        aliases.retain(|(_, name)| columns.iter().any(|column| column.name == *name));
        let (surplus, unopenable) = (self.surplus, self.unopenable);
        Ok(Table { path: self.path, rows: self.rows, columns, stamps, lost, aliases, surplus, unopenable })
    }
}

/// The length that most datasets share. Datasets of other lengths are not columns.
fn common_rows(columns: &[(Column, Dataset)]) -> u64 {
    let lengths: Vec<u64> = columns.iter().filter_map(|(_, d)| d.shape().first().map(|&n| n as u64)).collect();
    let votes = |n: u64| lengths.iter().filter(|&&m| m == n).count();
    lengths.iter().copied().max_by_key(|&n| (votes(n), n)).unwrap_or(0)
}
