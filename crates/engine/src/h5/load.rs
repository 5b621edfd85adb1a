//! Reading tables, their columns and their layout from an open file.

use super::H5File;
use super::chunks::each_chunk;
use super::datatype::dtype_of;
use super::groups::{Groups, below};
use super::guards;
use super::names::{Datasets, Elsewhere, datasets};
use super::texts::{read_text, read_texts};
use crate::h5::Failed;
use crc_fast::{CrcAlgorithm, checksum};
use h5part_base::dataspace::{Column, ColumnLayout, Dtype, Guard, Loss, LostColumn, OUTSIDE, Place, Stamps, Table};
use h5part_base::error::{ErrorKind, Item};
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;
use hdf5::plist::dataset_create::{FillTime, Layout};
use hdf5::{Dataset, Group, LocationType};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

pub(super) use h5part_base::dataspace::STAMPS_GROUP;
/// Format of what is made here, unless something in it needs a newer one.
pub(super) const FORMAT: u64 = 1;
/// Newest format that this version reads.
const NEWEST: u64 = 3;
pub(super) const UUID_ATTRIBUTE: &str = "h5part_uuid";
pub(super) const FORMAT_ATTRIBUTE: &str = "h5part_format";
pub(super) const TABLE_ATTRIBUTE: &str = "h5part_table";
/// Where the table was when its stamps were made.
pub(super) const PATH_ATTRIBUTE: &str = "table";
pub(super) const COLUMNS_ATTRIBUTE: &str = "columns";
/// Type and cell shape of each stamped column: so that a dataset that was replaced is known.
pub(super) const TYPES_ATTRIBUTE: &str = "column_types";
pub(super) const GENERATION_ATTRIBUTE: &str = "h5part_generation";

/// The metadata that a layout rests on: as long as these bytes stay as they are, the layout holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataFingerprint {
    /// Merged extents (byte address, length), ascending. Empty: not known, so never the same.
    extents: Vec<(u64, usize)>,
    digest: u64,
}

/// A table in the overview of a file.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The table.
    pub table: Table,
    /// Number of attributes of its group.
    pub attributes: u64,
}

impl MetadataFingerprint {
    /// Extents closer than this are read as one.
    const GAP: u64 = 2048;

    fn record(mut extents: Vec<(u64, usize)>, len: u64, file: &dyn StorageFile) -> Result<Self, Failed> {
        extents.sort_unstable();
        let mut merged: Vec<(u64, usize)> = Vec::new();
        for (address, size) in extents {
            // The library reads ahead, sometimes beyond the end.
            let size = size.min(to_usize(len.saturating_sub(address)));
            match merged.last_mut() {
                Some((start, n)) if address <= *start + *n as u64 + Self::GAP => {
                    *n = (*n).max(to_usize(address - *start) + size);
                }
                _ => merged.push((address, size)),
            }
        }
        let digest = Self::digest(&merged, file)?;
        Ok(Self { extents: merged, digest })
    }

    /// Whether the metadata is still what it was.
    ///
    /// # Errors
    /// As pread(2).
    pub fn is_unchanged(&self, file: &dyn StorageFile) -> Result<bool, Failed> {
        Ok(!self.extents.is_empty() && Self::digest(&self.extents, file)? == self.digest)
    }

    fn digest(extents: &[(u64, usize)], file: &dyn StorageFile) -> Result<u64, Failed> {
        let mut digest = 0;
        let mut buf = Vec::new();
        for &(address, size) in extents {
            buf.resize(size, 0);
            file.read_at(&mut buf, address)?;
            digest = checksum(CrcAlgorithm::Crc64Nvme, &buf) ^ u64::rotate_left(digest, 1);
        }
        Ok(digest)
    }
}

impl H5File {
    /// The file's uuid, where h5part has written one.
    ///
    /// # Errors
    /// [`ErrorKind::NewerFormat`], library errors.
    pub fn uuid(&self) -> Result<Option<Uuid>, Failed> {
        self.ask(|| read_uuid(&self.file))
    }

    /// How often the structure of the file was changed by h5part.
    ///
    /// # Errors
    /// Library errors.
    pub fn generation(&self) -> Result<u64, Failed> {
        self.ask(|| {
            if self.file.attr_names()?.iter().all(|name| name != GENERATION_ATTRIBUTE) {
                return Ok(0);
            }
            Ok(self.file.attr(GENERATION_ATTRIBUTE)?.read_scalar()?)
        })
    }

    /// One table with its layout, and the metadata that it rests on. Ends the recording: call it
    /// once an open.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotATable`], [`ErrorKind::Cut`], library errors.
    pub fn table(&self, path: &str, storage: &dyn StorageFile) -> Result<(Table, MetadataFingerprint), Failed> {
        self.ask(|| self.load(path, storage))
    }

    /// The same without what it rests on: for those inside the gate, who may ask for one after the other. Columns that
    /// were shortened are among the columns, too: their first rows are there.
    ///
    /// # Errors
    /// As [`H5File::table`].
    pub fn table_of_still(&self, path: &str) -> Result<Table, Failed> {
        drop(self.source.take_extents());
        self.ask(|| {
            let group = self.group(path)?;
            Ok(self.check_table(Parts::read(&self.file, path, &group)?)?.with_rest())
        })
    }

    fn load(&self, path: &str, storage: &dyn StorageFile) -> Result<(Table, MetadataFingerprint), Failed> {
        let group = self.group(path)?;
        let parts = Parts::read(&self.file, path, &group)?;
        let fingerprint = self.fingerprint(storage)?;
        Ok((self.check_table(parts)?, fingerprint))
    }

    fn check_table(&self, parts: Parts) -> Result<Table, Failed> {
        let table = parts.locate()?;
        if table.columns.is_empty() && table.lost.is_empty() {
            return Err(ErrorKind::NotATable { name: table.path, what: "a group without columns" }.into());
        }
        let (expected, found) = (table.end(), self.len);
        if expected > found {
            return Err(ErrorKind::Cut { expected, found }.into());
        }
        Ok(table)
    }

    /// What the library has looked at since the file was opened. Ends the recording: call it once an open.
    ///
    /// # Errors
    /// As pread(2).
    pub fn fingerprint(&self, storage: &dyn StorageFile) -> Result<MetadataFingerprint, Failed> {
        MetadataFingerprint::record(self.source.take_extents(), self.len, storage)
    }

    /// Whether a table has the number of stamps that are in this file, whose ever they are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotATable`], library errors.
    pub fn has_number_of_stamps(&self, path: &str) -> Result<bool, Failed> {
        self.ask(|| {
            let number = number_of(&self.group(path)?)?;
            Ok(number.map(|number| are_there(&self.file, number)).transpose()?.unwrap_or(false))
        })
    }

    /// Whether there is a group at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotATable`], library errors.
    pub fn expect_group(&self, path: &str) -> Result<(), Failed> {
        self.ask(|| self.group(path).map(|_| ()))
    }

    fn group(&self, path: &str) -> Result<Group, Failed> {
        if let Some(group) = self.find_group(path)? {
            return Ok(group);
        }
        let known = self.list()?.into_iter().map(|t| t.table.path).collect();
        Err(ErrorKind::NotFound { what: Item::Table(path.to_owned()), known }.into())
    }

    /// The group at a path, if there is something. Costs the same however many tables there are.
    fn find_group(&self, path: &str) -> Result<Option<Group>, Failed> {
        if path.is_empty() {
            return Ok(Some(self.file.group("/")?));
        }
        let (mut walked, mut here) = (String::new(), self.file.group("/")?);
        for part in path.split('/') {
            if !here.link_exists(part) {
                return Ok(None);
            }
            walked = below(&walked, part);
            let Ok(group) = here.group(part) else {
                return Err(ErrorKind::NotATable { name: walked, what: "a dataset" }.into());
            };
            here = group;
        }
        Ok(Some(here))
    }

    /// All tables: groups that hold datasets with a common first axis.
    ///
    /// # Errors
    /// Library errors.
    pub fn tables(&self) -> Result<Vec<Listing>, Failed> {
        self.ask(|| self.list())
    }

    fn list(&self) -> Result<Vec<Listing>, Failed> {
        let mut listings = Vec::new();
        let mut groups = Groups::of(&self.file)?;
        let mut seen = HashSet::new();
        while let Some((path, group)) = groups.next() {
            let group = group?;
            // Links may lead in circles, and to one group by several names: the first one counts.
            if !seen.insert(format!("{:?}", group.loc_info()?.token)) {
                continue;
            }
            let parts = Parts::read(&self.file, &path, &group)?;
            if !(parts.columns.is_empty() && parts.lost.is_empty()) {
                listings.push(Listing { table: parts.locate()?, attributes: group.attr_names()?.len() as u64 });
            }
            let mut below = members(&group, LocationType::Group)?;
            below.retain(|name| !(path.is_empty() && name == STAMPS_GROUP));
            below.sort_unstable_by(|a, b| b.cmp(a));
            for name in below {
                groups.push(&group, &path, name);
            }
        }
        Ok(listings)
    }

    /// Whether a table may be made at `path`: nothing is there, or groups without datasets.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::NotATable`].
    pub fn may_add(&self, path: &str) -> Result<(), Failed> {
        self.ask(|| {
            let Some(group) = self.find_group(path)? else { return Ok(()) };
            if members(&group, LocationType::Dataset)?.is_empty() {
                Ok(())
            } else {
                Err(ErrorKind::AlreadyExists(Item::Table(path.to_owned())).into())
            }
        })
    }

    /// Whether the name is a group within the table.
    #[must_use]
    pub fn is_group(&self, table: &str, name: &str) -> bool {
        self.file.group(&format!("/{table}/{name}")).is_ok()
    }
}

pub(super) fn read_uuid(file: &hdf5::File) -> Result<Option<Uuid>, Failed> {
    if file.attr_names()?.iter().all(|name| name != UUID_ATTRIBUTE) {
        return Ok(None);
    }
    let found: u64 = file.attr(FORMAT_ATTRIBUTE)?.read_scalar()?;
    if found > NEWEST {
        return Err(ErrorKind::NewerFormat { found, known: NEWEST }.into());
    }
    Ok(Uuid::parse_str(&read_text(file, UUID_ATTRIBUTE)?).ok())
}

/// Names in a group of the objects of one kind. Names that lead nowhere are left out.
pub(super) fn members(group: &Group, kind: LocationType) -> Result<Vec<String>, Failed> {
    let mut names = group.member_names()?;
    names.retain(|name| group.loc_type_by_name(name).is_ok_and(|found| found == kind));
    Ok(names)
}

/// A table's datasets before their chunks are looked up: what is on the path to the columns is
/// part of the digest, the chunk index is not (it changes only with what is).
pub(super) struct Parts {
    path: String,
    pub(super) rows: u64,
    pub(super) columns: Vec<(Column, Dataset)>,
    pub(super) stamps: Option<(u64, Dataset)>,
    pub(super) guards: Vec<Guard>,
    /// With what is left of them.
    pub(super) lost: Vec<(LostColumn, Option<Dataset>)>,
    aliases: Vec<(String, String)>,
    surplus: Vec<(String, u64)>,
    unopenable: Vec<String>,
}

/// What the stamps of a table say of its columns.
#[derive(Default)]
pub(super) struct Stamped {
    /// Name of the column of each stamp; empty: none any more.
    pub(super) names: Vec<String>,
    /// Type and cell shape of each when it was stamped; empty where that is not known.
    types: Vec<String>,
}

impl Stamped {
    pub(super) fn read(stamps: &Dataset) -> Result<Self, Failed> {
        let types = if stamps.attr_names()?.iter().any(|name| name == TYPES_ATTRIBUTE) {
            read_texts(stamps, TYPES_ATTRIBUTE)?
        } else {
            Vec::new()
        };
        Ok(Self { names: read_texts(stamps, COLUMNS_ATTRIBUTE)?, types })
    }

    /// Takes out the columns that are not as they were stamped, and says what became of them.
    fn take_lost(&self, columns: &mut Vec<(Column, Dataset)>, rows: u64) -> Vec<(LostColumn, Option<Dataset>)> {
        let mut lost = Vec::new();
        let at: HashMap<usize, usize> =
            columns.iter().enumerate().filter_map(|(k, (column, _))| Some((column.stamp?, k))).collect();
        // Those that go, by where they are: which lost one each is.
        let mut gone: HashMap<usize, usize> = HashMap::new();
        for (place, name) in self.names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let was = self.types.get(place).filter(|text| !text.is_empty());
            let here = at.get(&place).copied();
            let loss = match here.and_then(|k| columns.get(k)) {
                None => Loss::Gone { renamed: was.and_then(|was| unstamped_like(columns, was, rows)) },
                Some((column, _)) if was.is_some_and(|was| *was != type_text(column)) => {
                    let dtype = column.dtype.as_ref().map_or_else(Clone::clone, Dtype::to_string);
                    Loss::Retyped {
                        now: format!("{dtype} and shape {}", h5part_base::dataspace::shape_text(&column.shape)),
                    }
                }
                Some((_, dataset)) if first_axis(dataset) < rows => Loss::Shortened { rows: first_axis(dataset) },
                Some(_) => continue,
            };
            gone.extend(here.map(|k| (k, lost.len())));
            let shortened = matches!(loss, Loss::Shortened { .. });
            lost.push((LostColumn { name: name.clone(), place, loss, rest: None }, None));
            if !shortened {
                gone.extend(here.map(|k| (k, usize::MAX)));
            }
        }
        for (k, (column, dataset)) in std::mem::take(columns).into_iter().enumerate() {
            match gone.get(&k) {
                None => columns.push((column, dataset)),
                // What is left of a shortened one is still read.
                Some(&number) => {
                    if let Some((lost, left)) = lost.get_mut(number) {
                        (lost.rest, *left) = (Some(Box::new(column)), Some(dataset));
                    }
                }
            }
        }
        lost
    }
}

/// A dataset without stamps that may be the one that had this type.
fn unstamped_like(columns: &[(Column, Dataset)], was: &str, rows: u64) -> Option<String> {
    let like = |(column, dataset): &&(Column, Dataset)| {
        column.stamp.is_none() && first_axis(dataset) == rows && type_text(column) == was
    };
    columns.iter().find(like).map(|(column, _)| column.name.clone())
}

/// Type and cell shape of a column, as noted beside its stamps; empty where the type has no name here.
pub(super) fn type_text(column: &Column) -> String {
    column.dtype.as_ref().map_or_else(|_| String::new(), |dtype| format!("{dtype} {:?}", column.shape))
}

/// What is noted of a dataset that gets stamps.
pub(super) fn type_of(table: &Group, name: &str) -> Result<String, Failed> {
    if name.is_empty() || !table.link_exists(name) {
        return Ok(String::new());
    }
    Ok(type_text(&read_column(&table.dataset(name)?, name.to_owned(), None)?))
}

fn first_axis(dataset: &Dataset) -> u64 {
    dataset.shape().first().map_or(0, |&n| n as u64)
}

impl Parts {
    pub(super) fn read(file: &hdf5::File, path: &str, group: &Group) -> Result<Self, Failed> {
        let stamps = open_stamps(file, group, path)?;
        let stamped = stamps.as_ref().map(|(_, stamps)| Stamped::read(stamps)).transpose()?.unwrap_or_default();
        let elsewhere = Elsewhere::new(file, stamps.as_ref().map(|(number, _)| *number));
        let Datasets { mut columns, aliases, unopenable } = datasets(group, &stamped.names, &elsewhere)?;
        let stamped_rows = stamps.as_ref().map(|(_, stamps)| first_axis(stamps));
        let lost = stamped_rows.map_or_else(Vec::new, |rows| stamped.take_lost(&mut columns, rows));
        let lengths = columns.iter().filter(|(column, _)| column.stamp.is_some()).map(|(_, d)| first_axis(d));
        // Rows are there where all stamped columns have them. Those beyond the stamps were appended by others.
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
        Ok(Self { path: path.to_owned(), rows, columns, stamps, guards, lost, aliases, surplus, unopenable })
    }

    /// Of a table that was just given these stamped columns. Those without stamps are left out.
    pub(super) fn just_made(file: &hdf5::File, path: &str, group: &Group, stamped: &[String]) -> Result<Self, Failed> {
        let stamps = open_stamps(file, group, path)?.ok_or_else(|| ErrorKind::Unstamped(path.to_owned()))?;
        let read = |(place, name): (usize, &String)| {
            let dataset = group.dataset(name)?;
            Ok((read_column(&dataset, name.clone(), Some(place))?, dataset))
        };
        let columns = stamped.iter().enumerate().map(read).collect::<Result<Vec<_>, Failed>>()?;
        let guards = guards::read(&stamps.1, &columns.iter().map(|(column, _)| column).collect::<Vec<_>>())?;
        let (path, rows, stamps) = (path.to_owned(), first_axis(&stamps.1), Some(stamps));
        let (lost, aliases, surplus, unopenable) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { path, rows, columns, stamps, guards, lost, aliases, surplus, unopenable })
    }

    pub(super) fn locate(self) -> Result<Table, Failed> {
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

fn locate_column(column: &mut Column, dataset: &Dataset) -> Result<(), Failed> {
    if column.layout.is_ok()
        && let Ok(dtype) = column.dtype
    {
        let cell_bytes = column.shape.iter().product::<u64>() * dtype.size();
        column.layout = locate(dataset, column.chunk.as_deref(), cell_bytes)?;
    }
    Ok(())
}

/// The stamps of a table that was just given them.
pub(super) fn stamps_of(file: &hdf5::File, group: &Group) -> Result<Stamps, Failed> {
    let (table, dataset) = open_stamps(file, group, group.name().trim_start_matches('/'))?
        .ok_or_else(|| ErrorKind::Unstamped(group.name()))?;
    locate_stamps(table, &dataset, Vec::new())
}

fn locate_stamps(table: u64, dataset: &Dataset, guards: Vec<Guard>) -> Result<Stamps, Failed> {
    let width = dataset.shape().get(1).copied().unwrap_or(0);
    let chunk = dataset.chunk().map(|chunk| chunk.iter().map(|&n| n as u64).collect::<Vec<_>>());
    let layout = locate(dataset, chunk.as_deref(), width as u64 * 8)?;
    let layout = layout.map_err(|reason| ErrorKind::LibraryColumn { column: STAMPS_GROUP.to_owned(), reason })?;
    Ok(Stamps { table, layout, width, guards })
}

/// The first axis that most datasets share: other lengths belong to something else.
fn common_rows(columns: &[(Column, Dataset)]) -> u64 {
    let lengths: Vec<u64> = columns.iter().filter_map(|(_, d)| d.shape().first().map(|&n| n as u64)).collect();
    let votes = |n: u64| lengths.iter().filter(|&&m| m == n).count();
    lengths.iter().copied().max_by_key(|&n| (votes(n), n)).unwrap_or(0)
}

/// The number of a table, and its stamps. A copy of a table that another program made has the number, and none: they
/// are those of the table that was copied, or of no table of this file.
pub(super) fn open_stamps(file: &hdf5::File, group: &Group, path: &str) -> Result<Option<(u64, Dataset)>, Failed> {
    let Some(number) = number_of(group)? else { return Ok(None) };
    if !are_there(file, number)? {
        return Ok(None);
    }
    let stamps = file.dataset(&format!("/{STAMPS_GROUP}/{number}"))?;
    let Some(of) = table_of_stamps(&stamps).filter(|of| of != path) else { return Ok(Some((number, stamps))) };
    // One that was moved, or has several names, is still the one.
    let Ok(other) = file.group(&format!("/{of}")) else { return Ok(Some((number, stamps))) };
    let same = other.loc_info()?.token == group.loc_info()?.token;
    Ok((same || number_of(&other)? != Some(number)).then_some((number, stamps)))
}

/// Whether the file has stamps of this number.
fn are_there(file: &hdf5::File, number: u64) -> Result<bool, Failed> {
    Ok(file.link_exists(STAMPS_GROUP) && file.group(STAMPS_GROUP)?.link_exists(&number.to_string()))
}

fn number_of(table: &Group) -> Result<Option<u64>, Failed> {
    if table.attr_names()?.iter().all(|name| name != TABLE_ATTRIBUTE) {
        return Ok(None);
    }
    Ok(Some(table.attr(TABLE_ATTRIBUTE)?.read_scalar()?))
}

/// Where a dataset of stamps says that its table is.
pub(super) fn table_of_stamps(stamps: &Dataset) -> Option<String> {
    read_text(stamps, PATH_ATTRIBUTE).ok()
}

pub(super) fn read_column(dataset: &Dataset, name: String, stamp: Option<usize>) -> Result<Column, Failed> {
    let datatype = dataset.dtype()?;
    let plist = dataset.dcpl()?;
    let stored = super::filters::stored(&plist)?;
    // Who cannot read the values has no use of their type; they are carried along as they are stored.
    let found = match stored.iter().find(|filter| !filter.can_decode()) {
        Some(filter) => Err(format!("behind the filter {filter}, which h5part cannot decode")),
        None => dtype_of(&datatype),
    };
    let (dtype, big_endian) = found.map_or_else(|other| (Err(other), false), |(dtype, big)| (Ok(dtype), big));
    let frozen = stored.iter().find_map(super::filters::StoredFilter::frozen);
    let filters: Vec<String> = stored.iter().map(ToString::to_string).collect();
    let reason = match (&dtype, plist.get_layout()?) {
        (Err(other), _) => Some(format!("type {other}")),
        (_, layout) if layout == Layout::Virtual || !plist.get_external()?.is_empty() => Some(OUTSIDE.to_owned()),
        _ if big_endian => Some("big-endian".to_owned()),
        _ if !filters.is_empty() => Some(format!("filtered ({})", filters.join(", "))),
        (_, Layout::Compact) => Some("stored in its object header (compact)".to_owned()),
        _ => None,
    };
    let nothing = ColumnLayout { rows: 0, cell_bytes: 0, place: Place::Contiguous { address: 0 } };
    let fill = match &dtype {
        // HDF5 never writes the one that such a dataset has, and reads zeros where nothing was written.
        Ok(dtype) if plist.get_fill_time()? == FillTime::Never => vec![0; usize::try_from(dtype.size()).unwrap_or(0)],
        Ok(dtype) => fill_of(&plist, *dtype)?,
        Err(_) => Vec::new(),
    };
    Ok(Column {
        name,
        fill,
        shape: dataset.shape().iter().skip(1).map(|&n| n as u64).collect(),
        chunk: plist.get_chunk()?.map(|c| c.iter().map(|&n| n as u64).collect()),
        filters: super::chunks::readable(&plist, dtype.is_ok())?,
        big_endian,
        frozen,
        layout: reason.map_or(Ok(nothing), Err),
        dtype,
        stamp,
    })
}

/// Where the rows lie, or why they can only be reached through the library.
fn locate(dataset: &Dataset, chunk: Option<&[u64]>, cell_bytes: u64) -> Result<Result<ColumnLayout, String>, Failed> {
    let shape: Vec<u64> = dataset.shape().iter().map(|&n| n as u64).collect();
    let rows = shape.first().copied().unwrap_or(0);
    let Some(chunk) = chunk else {
        // Of one without storage the library adds the user block to "undefined", which then looks like an address.
        return Ok(match dataset.offset().filter(|_| dataset.storage_size() > 0) {
            Some(address) => Ok(ColumnLayout { rows, cell_bytes, place: Place::Contiguous { address } }),
            None if rows == 0 => Ok(ColumnLayout { rows, cell_bytes, place: Place::Contiguous { address: 0 } }),
            None => Err("no space allocated yet (late allocation)".to_owned()),
        });
    };
    if chunk.get(1..) != shape.get(1..) {
        return Ok(Err("chunks hold parts of rows".to_owned()));
    }
    let chunk_rows = chunk.first().copied().unwrap_or(1).max(1);
    let count = to_usize(rows.div_ceil(chunk_rows));
    if dataset.num_chunks() != Some(count) {
        return Ok(Err("not all chunks are allocated (late allocation)".to_owned()));
    }
    let mut addresses = vec![u64::MAX; count];
    chunk_addresses(dataset, |offset, address| {
        if let Some(place) = addresses.get_mut(to_usize(offset / chunk_rows)) {
            *place = address;
        }
    })?;
    if addresses.contains(&u64::MAX) {
        return Ok(Err("not all chunks are allocated (late allocation)".to_owned()));
    }
    Ok(Ok(ColumnLayout { rows, cell_bytes, place: Place::Chunked { chunk_rows, addresses } }))
}

/// Calls `found(first row, byte address)` for every chunk.
fn chunk_addresses(dataset: &Dataset, mut found: impl FnMut(u64, u64)) -> Result<(), Failed> {
    each_chunk(dataset, |offset, chunk| found(offset.first().copied().unwrap_or(0), chunk.address))
}

/// First byte after the chunks of a dataset.
pub(super) fn chunks_end(dataset: &Dataset) -> Result<u64, Failed> {
    let mut end = 0;
    each_chunk(dataset, |_, chunk| end = end.max(chunk.address.saturating_add(chunk.bytes)))?;
    Ok(end)
}

/// The fill element that a dataset was made with, whether HDF5 writes it or not.
pub(super) fn fill_of(plist: &hdf5::plist::DatasetCreate, dtype: Dtype) -> Result<Vec<u8>, Failed> {
    macro_rules! fill {
        ($type:ty) => {
            plist.get_fill_value_as::<$type>()?.unwrap_or_default().to_le_bytes().to_vec()
        };
    }
    Ok(match dtype {
        Dtype::F32 => fill!(f32),
        Dtype::F64 => fill!(f64),
        Dtype::I8 => fill!(i8),
        Dtype::I16 => fill!(i16),
        Dtype::I32 => fill!(i32),
        Dtype::I64 => fill!(i64),
        Dtype::U8 => fill!(u8),
        Dtype::U16 => fill!(u16),
        Dtype::U32 => fill!(u32),
        Dtype::U64 => fill!(u64),
        // The byte as it is: others may have given it another value than 0 or 1.
        Dtype::Bool => fill!(u8),
    })
}
