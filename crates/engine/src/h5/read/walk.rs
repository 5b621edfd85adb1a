//! Visits every object of a file: can it be opened, is its link count right, does it lie within the file?

use crate::h5::Failed;
use crate::h5::H5File;
use crate::h5::bundle::CHECKSUM;
use crate::h5::cells::chunks::has_freed_chunk;
use crate::h5::marks::format::{STAMPS_GROUP, TABLE_ATTRIBUTE};
use crate::h5::read::groups::{Groups, object_id};
use crate::h5::read::load::{chunks_end, table_of_stamps};
use h5part_base::dataspace::path_below;
use hdf5::plist::dataset_create::Layout;
use hdf5::{Dataset, Group, LinkType, LocationInfo, LocationType};
use std::collections::HashMap;

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walk {
    /// Groups, datasets and named types.
    pub objects: u64,
    /// Paths of the groups marked as tables with stamps.
    pub tables: Vec<String>,
    /// Numbers of these tables.
    pub numbers: Vec<u64>,
    /// Paths of the groups marked as bundles.
    pub bundles: Vec<String>,
    /// Numbers of the tables that have a dataset of stamps, each with the table's path as the stamps record it.
    pub stamps: Vec<(u64, Option<String>)>,
    /// What is wrong, or was not looked at.
    pub oddities: Vec<(String, Anomaly)>,
}

/// What is wrong with an object or with a name of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// The name leads to nothing that HDF5 can open.
    Unopenable(String),
    /// An attribute cannot be opened.
    UnopenableAttribute(String),
    /// The object has more names than its link count says: removing one destroys it under the others, too.
    SharedName {
        /// Hard links that lead to it.
        names: u64,
        /// What its link count says.
        count: u64,
    },
    /// Data lies beyond the end of the file.
    BeyondEnd {
        /// Where it ends.
        end: u64,
        /// Length of the file.
        len: u64,
    },
    /// A dataset without elements names a chunk that HDF5 has freed.
    FreedChunk,
    /// A link into another file, or of an unknown kind. It was not followed.
    LeadsOutside,
    /// A dataset whose values lie in other files. It was not read.
    ValuesOutside,
    /// A name that is not UTF-8. It was not looked at.
    NotUtf8,
}

impl Anomaly {
    /// Whether HDF5 cannot open it.
    #[must_use]
    pub fn is_unopenable(&self) -> bool {
        matches!(self, Self::Unopenable(_) | Self::UnopenableAttribute(_))
    }
}

/// One object, and the names that lead to it.
struct Counted {
    path: String,
    names: u64,
    count: u64,
}

impl H5File {
    /// Visits all groups, by hard links only. Reads no values.
    ///
    /// # Errors
    /// Library errors of the root group.
    pub fn walk(&self) -> Result<Walk, Failed> {
        self.ask(|| self.walk_all())
    }

    fn walk_all(&self) -> Result<Walk, Failed> {
        let mut walk = Walker { h5: self, found: Walk::default(), seen: HashMap::new(), todo: Groups::of(&self.file)? };
        let root = self.file.group("/")?;
        walk.count(String::new(), &root.loc_info()?);
        while let Some((path, group)) = walk.todo.next() {
            if let Err(e) = group.and_then(|group| walk.group(&path, &group)) {
                walk.odd(&path, Anomaly::Unopenable(e.to_string()));
            }
        }
        Ok(walk.finish())
    }
}

struct Walker<'a> {
    h5: &'a H5File,
    found: Walk,
    seen: HashMap<String, Counted>,
    todo: Groups,
}

impl Walker<'_> {
    fn odd(&mut self, path: &str, what: Anomaly) {
        self.found.oddities.push((format!("/{path}"), what));
    }

    /// Counts a name of an object. Returns whether it is the first.
    fn count(&mut self, path: String, info: &LocationInfo) -> bool {
        let links = info.num_links as u64;
        let counted = self.seen.entry(object_id(info));
        let counted = counted.or_insert(Counted { path, names: 0, count: links });
        counted.names += 1;
        counted.names == 1
    }

    fn group(&mut self, path: &str, group: &Group) -> Result<(), Failed> {
        self.attributes(path, group);
        for name in group.attr_names()? {
            match name.as_str() {
                TABLE_ATTRIBUTE => {
                    self.found.tables.push(path.to_owned());
                    self.found.numbers.extend(group.attr(TABLE_ATTRIBUTE).and_then(|a| a.read_scalar::<u64>()).ok());
                }
                CHECKSUM => self.found.bundles.push(path.to_owned()),
                _ => {}
            }
        }
        for (name, link) in group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Native)? {
            match link.link_type {
                LinkType::Hard => self.object(path, group, name),
                // A soft link leads to an object with another name, or to nothing, which is allowed.
                LinkType::Soft => {}
                LinkType::External => self.odd(&path_below(path, &name), Anomaly::LeadsOutside),
            }
        }
        Ok(())
    }

    fn object(&mut self, parent: &str, group: &Group, name: String) {
        let path = path_below(parent, &name);
        let info = match group.loc_info_by_name(&name) {
            Ok(info) => info,
            Err(_) if name.contains(char::REPLACEMENT_CHARACTER) => return self.odd(&path, Anomaly::NotUtf8),
            Err(e) => return self.odd(&path, Anomaly::Unopenable(Failed::from(e).to_string())),
        };
        if !self.count(path.clone(), &info) {
            return;
        }
        match info.loc_type {
            LocationType::Group => self.todo.push(group, parent, name),
            LocationType::Dataset => match group.dataset(&name) {
                Ok(dataset) => self.dataset(&path, &dataset),
                Err(e) => self.odd(&path, Anomaly::Unopenable(Failed::from(e).to_string())),
            },
            _ => {
                if let Err(e) = group.committed_datatype(&name) {
                    self.odd(&path, Anomaly::Unopenable(Failed::from(e).to_string()));
                }
            }
        }
    }

    fn dataset(&mut self, path: &str, dataset: &Dataset) {
        self.attributes(path, dataset);
        if let Some(number) = path.strip_prefix(STAMPS_GROUP).and_then(|rest| rest.strip_prefix('/')?.parse().ok()) {
            self.found.stamps.push((number, table_of_stamps(dataset)));
        }
        if has_freed_chunk(dataset) {
            self.odd(path, Anomaly::FreedChunk);
        }
        match Self::end(dataset) {
            Ok(Some(end)) if end > self.h5.len => self.odd(path, Anomaly::BeyondEnd { end, len: self.h5.len }),
            Ok(Some(_)) => {}
            Ok(None) => self.odd(path, Anomaly::ValuesOutside),
            Err(e) => self.odd(path, Anomaly::Unopenable(e.to_string())),
        }
    }

    /// First byte after the dataset's raw data. `None`: it lies in other files.
    fn end(dataset: &Dataset) -> Result<Option<u64>, Failed> {
        let plist = dataset.dcpl()?;
        let layout = plist.get_layout()?;
        if layout == Layout::Virtual || !plist.get_external()?.is_empty() {
            return Ok(None);
        }
        dataset.space()?;
        dataset.dtype()?;
        let mut end = dataset.offset().map_or(0, |start| start.saturating_add(dataset.storage_size()));
        if layout == Layout::Chunked {
            end = chunks_end(dataset)?;
        }
        Ok(Some(end))
    }

    fn attributes(&mut self, path: &str, object: &hdf5::Location) {
        let opened =
            object.attr_names().map(|names| names.into_iter().find_map(|name| Some((object.attr(&name).err()?, name))));
        match opened {
            Ok(None) => {}
            Ok(Some((_, name))) if name.contains(char::REPLACEMENT_CHARACTER) => {}
            Ok(Some((_, name))) => self.odd(path, Anomaly::UnopenableAttribute(name)),
            Err(e) => self.odd(path, Anomaly::Unopenable(Failed::from(e).to_string())),
        }
    }

    fn finish(mut self) -> Walk {
        self.found.objects = self.seen.len() as u64;
        let mut counted: Vec<Counted> = self.seen.into_values().filter(|c| c.names > c.count).collect();
        counted.sort_by(|a, b| a.path.cmp(&b.path));
        let shared = counted
            .into_iter()
            .map(|c| (format!("/{}", c.path), Anomaly::SharedName { names: c.names, count: c.count }));
        self.found.oddities.extend(shared);
        self.found.oddities.sort_by(|a, b| a.0.cmp(&b.0));
        self.found.tables.sort_unstable();
        self.found.bundles.sort_unstable();
        self.found.stamps.sort_unstable();
        self.found
    }
}
