//! Walks the links in their original order, and copies the objects that they lead to.

use super::copier::{Copier, Late, copy_comment};
use super::raw::{Link, LinkKind, attribute_names, below, group_creation, links, open, text, token};
use super::shells::Shell;
use super::values::{contains_references, open_attribute};
use super::{Copied, Copying, shells, whole};
use crate::h5::Failed;
use crate::h5::cells::chunks::has_freed_chunk;
use crate::h5::dimensions;
use crate::h5::library::raw::{call, own};
use crate::h5::marks::format::{FORMAT_ATTRIBUTE, GENERATION_ATTRIBUTE, STAMPS_GROUP, TABLE_ATTRIBUTE, UUID_ATTRIBUTE};
use crate::h5::marks::published::MARK as PUBLISHED_MARK;
use h5part_base::error::{ErrorKind, Item};
use hdf5::globals::{H5P_LINK_CREATE, H5P_OBJECT_COPY};
use hdf5::{Dataset, Location, LocationType, Object};
use hdf5_sys::h5a::H5Aget_type;
use hdf5_sys::h5d::{H5Dget_create_plist, H5Dget_type, H5Dopen2};
use hdf5_sys::h5g::{H5Gcreate2, H5Gget_create_plist};
use hdf5_sys::h5l::{H5L_type_t, H5Lcreate_hard, H5Lcreate_soft, H5Lcreate_ud, H5Ldelete, H5Lexists, H5Lget_val};
use hdf5_sys::h5o::{H5O_COPY_MERGE_COMMITTED_DTYPE_FLAG, H5Ocopy};
use hdf5_sys::h5p::{
    H5P_DEFAULT, H5Padd_merge_committed_dtype_path, H5Pcreate, H5Pset_char_encoding, H5Pset_copy_object,
};
use hdf5_sys::h5t::H5T_cset_t;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::rc::Rc;

/// Temporary group of named types, until the links to them are made.
const TYPES: &CStr = c"/__h5part_types__";
/// Attributes of h5part's own.
const OURS: [&str; 5] = [UUID_ATTRIBUTE, FORMAT_ATTRIBUTE, GENERATION_ATTRIBUTE, TABLE_ATTRIBUTE, PUBLISHED_MARK];

/// Copies what `into` lacks.
pub(super) fn copy(from: &hdf5::File, into: &hdf5::File, what: &Copying) -> Result<Copied, Failed> {
    let sizes = shells::sizes(from)?;
    let mut copier = Copier {
        from: open(from, c"/")?,
        into: open(into, c"/")?,
        what,
        address_bytes: sizes.0,
        no_limit: shells::largest(sizes.1),
        other_sizes: sizes != shells::sizes(into)?,
        shells: HashMap::new(),
        there: HashMap::new(),
        types: 0,
        link_creation: [link_creation(H5T_cset_t::H5T_CSET_ASCII)?, link_creation(H5T_cset_t::H5T_CSET_UTF8)?],
        late: Vec::new(),
        done: Copied::default(),
    };
    copier.find_shells(&what.shells)?;
    copier.named_types()?;
    copier.groups()?;
    if copier.types > 0 {
        call!(H5Ldelete, copier.into.id(), TYPES.as_ptr(), H5P_DEFAULT)?;
    }
    copier.references();
    Ok(copier.done)
}

fn link_creation(encoding: H5T_cset_t) -> Result<Object, Failed> {
    let plist: Object = own!(H5Pcreate, *H5P_LINK_CREATE)?;
    call!(H5Pset_char_encoding, plist.id(), encoding)?;
    Ok(plist)
}

impl<'a> Copier<'a> {
    fn find_shells(&mut self, shells: &'a [Shell]) -> Result<(), Failed> {
        for shell in shells {
            let (table, column) = shell.path.rsplit_once('/').unwrap_or(("", &shell.path));
            let missing = || ErrorKind::not_found(Item::Column { table: table.to_owned(), column: column.to_owned() });
            let name = CString::new(shell.path.as_str()).map_err(|_| missing())?;
            let dataset = open(&self.from, &name).map_err(|_| missing())?;
            if dataset.loc_info()?.loc_type != LocationType::Dataset {
                return Err(missing().into());
            }
            self.shells.insert(token(&dataset)?, shell);
        }
        Ok(())
    }

    /// Whether a link is one of h5part's own that must not be copied.
    fn is_kept_out(&self, group: &CStr, link: &CStr) -> bool {
        !self.what.stamps && group == c"/" && link.to_bytes() == STAMPS_GROUP.as_bytes()
    }

    /// Whether neither a path nor anything below it is wanted.
    fn is_left(&self, path: &CStr) -> bool {
        let path = path.to_bytes();
        let is_skipped = |skip: &String| path.strip_prefix(b"/").is_some_and(|path| path == skip.as_bytes());
        let Some(only) = &self.what.only else { return self.what.skip.iter().any(is_skipped) };
        let leads = |longer: &[u8], shorter: &[u8]| {
            longer.strip_prefix(shorter).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let path = path.strip_prefix(b"/").unwrap_or(path);
        self.what.skip.iter().any(|skip| path == skip.as_bytes())
            || !only
                .iter()
                .any(|table| leads(path, table.as_bytes()) || leads(table.as_bytes(), path) || table.is_empty())
    }

    /// Calls `meet` for every hard link of the source, and enters each group by its first link.
    fn each_hard_link(
        &mut self,
        mut meet: impl FnMut(&mut Self, &Location, &Link, &Location, &CStr) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut seen = HashSet::from([token(&self.from)?]);
        // Each group is opened from its parent, since the path from the root may be long.
        let mut todo = vec![(Rc::new(open(&self.from, c"/")?), c".".to_owned(), c"/".to_owned())];
        while let Some((parent, name, path)) = todo.pop() {
            let group = Rc::new(open(&parent, &name)?);
            let creation: Object = own!(H5Gget_create_plist, group.id())?;
            for link in links(&group, &creation)? {
                if !matches!(link.kind, LinkKind::Hard) || self.is_kept_out(&path, &link.name) {
                    continue;
                }
                // What cannot be opened is reported when it is to be copied.
                let Ok(object) = open(&group, &link.name) else { continue };
                let below = below(&path, &link.name);
                meet(self, &group, &link, &object, &below)?;
                if object.loc_info()?.loc_type == LocationType::Group && seen.insert(token(&object)?) {
                    todo.push((Rc::clone(&group), link.name.clone(), below));
                }
            }
        }
        Ok(())
    }

    /// Copies named types first, since datasets and attributes use them.
    fn named_types(&mut self) -> Result<(), Failed> {
        self.each_hard_link(|this, group, link, object, path| {
            if object.loc_info()?.loc_type != LocationType::NamedDatatype || this.there.contains_key(&token(object)?) {
                return Ok(());
            }
            if open(&this.into, path).is_ok_and(|other| is_type(&other)) {
                this.there.insert(token(object)?, path.to_owned());
                return Ok(());
            }
            if this.types == 0 {
                let plain = &this.link_creation[0];
                let (parent, default) = (this.into.id(), H5P_DEFAULT);
                own!(H5Gcreate2, parent, TYPES.as_ptr(), plain.id(), default, default).map(|_: Location| ())?;
            }
            let kept = below(TYPES, &CString::new(this.types.to_string()).unwrap_or_default());
            let (from, to, copying) = (group.id(), this.into.id(), H5P_DEFAULT);
            let plain = this.link_creation[0].id();
            match call!(H5Ocopy, from, link.name.as_ptr(), to, kept.as_ptr(), copying, plain) {
                Ok(_) => {
                    this.types += 1;
                    this.there.insert(token(object)?, kept);
                    this.late_attributes(object, None, path)?;
                }
                Err(e) => this.left_out(path, None, &Failed::from(e).to_string()),
            }
            Ok(())
        })
    }

    fn groups(&mut self) -> Result<(), Failed> {
        self.there.insert(token(&self.from)?, c"/".to_owned());
        copy_comment(&self.from, &self.into)?;
        let roots = (open(&self.from, c"/")?, open(&self.into, c"/")?);
        // Each group is opened from its parent, since the path from the root may be long.
        let mut todo = vec![(Rc::new(roots), c".".to_owned(), c"/".to_owned())];
        while let Some((parents, name, path)) = todo.pop() {
            let both = Rc::new((open(&parents.0, &name)?, open(&parents.1, &name)?));
            let (source, copy) = &*both;
            let creation: Object = own!(H5Gget_create_plist, source.id())?;
            let stamps = self.what.stamps;
            self.attributes(source, &creation, copy, &path, |name| {
                !stamps && OURS.iter().any(|ours| ours.as_bytes() == name.to_bytes())
            })?;
            for link in links(source, &creation)? {
                if self.is_kept_out(&path, &link.name) || self.is_left(&below(&path, &link.name)) {
                    continue;
                }
                match self.link(source, copy, &path, &link) {
                    Ok(Some(path)) => todo.push((Rc::clone(&both), link.name.clone(), path)),
                    Ok(None) => {}
                    Err(e) => self.left_out(&below(&path, &link.name), None, &e.to_string()),
                }
            }
        }
        Ok(())
    }

    /// Copies a link, and the object that it leads to. Returns the path of a group to enter.
    fn link(
        &mut self,
        source: &Location,
        copy: &Location,
        path: &CStr,
        link: &Link,
    ) -> Result<Option<CString>, Failed> {
        let path = below(path, &link.name);
        let is_there = call!(H5Lexists, copy.id(), link.name.as_ptr(), H5P_DEFAULT)? > 0;
        let LinkKind::Hard = link.kind else {
            if is_there {
                self.done.already_there.push(text(&path));
                return Ok(None);
            }
            return self.symbolic(source, copy, link).map(|()| None);
        };
        let object = open(source, &link.name)?;
        let (token, kind) = (token(&object)?, object.loc_info()?.loc_type);
        if is_there {
            return self.met(&object, copy, link, (&token, kind), path);
        }
        if let Some(there) = self.there.get(&token) {
            let (name, plain) = (link.name.as_ptr(), self.creation_of(link).id());
            call!(H5Lcreate_hard, self.into.id(), there.as_ptr(), copy.id(), name, plain, H5P_DEFAULT)?;
            if there.as_bytes().starts_with(TYPES.to_bytes()) {
                self.done.objects += 1;
                self.there.insert(token, path);
            }
            return Ok(None);
        }
        let group = (kind == LocationType::Group).then(|| path.clone());
        if group.is_some() {
            self.new_group(&object, copy, link)?;
        } else {
            self.dataset(&object, source, copy, link, &path, &token)?;
        }
        self.done.objects += 1;
        self.there.insert(token, path);
        Ok(group)
    }

    /// Handles a link whose name the copy already has.
    fn met(
        &mut self,
        object: &Location,
        copy: &Location,
        link: &Link,
        (token, kind): (&str, LocationType),
        path: CString,
    ) -> Result<Option<CString>, Failed> {
        let there = open(copy, &link.name).ok();
        let other = there.as_ref().and_then(|other| Some(other.loc_info().ok()?.loc_type));
        let first = !self.there.contains_key(token);
        if other == Some(kind) {
            self.there.entry(token.to_owned()).or_insert_with(|| path.clone());
        }
        if other == Some(LocationType::Group) && kind == LocationType::Group {
            return Ok(first.then_some(path));
        }
        if first && other == Some(kind) && kind == LocationType::Dataset && self.is_same_dimension(&path)? {
            return Ok(None);
        }
        self.done.already_there.push(text(&path));
        if let Some(there) = there.filter(|_| first && other == Some(kind) && kind == LocationType::Dataset) {
            self.dataset_there(object, &there, &path)?;
        }
        Ok(None)
    }

    /// Whether a dataset is a named dimension of a table, and the copy has the same one.
    fn is_same_dimension(&self, path: &CStr) -> Result<bool, Failed> {
        let open = |at: &Location| -> hdf5::Result<Dataset> { own!(H5Dopen2, at.id(), path.as_ptr(), H5P_DEFAULT) };
        dimensions::are_same(&open(&self.from)?, &open(&self.into)?)
    }

    /// Handles a dataset that the copy already has: compares its attributes, and lays rows over it if asked to.
    fn dataset_there(&mut self, object: &Location, there: &Location, path: &CStr) -> Result<(), Failed> {
        let (what, name) = (self.what, text(path));
        let name = name.trim_start_matches('/');
        if what.completed.contains(name) {
            let creation: Object = own!(H5Dget_create_plist, object.id())?;
            self.attributes(object, &creation, there, path, |_| false)?;
        } else {
            self.compare_attributes(object, there, path)?;
        }
        if let Some(how) = what.rows.get(name) {
            self.lay_rows(object, there, path, how);
        }
        Ok(())
    }

    fn symbolic(&self, source: &Location, copy: &Location, link: &Link) -> Result<(), Failed> {
        let (LinkKind::Soft(size) | LinkKind::External(size)) = link.kind else {
            return Err(ErrorKind::Hdf5("a link of a class that only the program that made it knows".to_owned()).into());
        };
        let mut value = vec![0u8; size + 1];
        call!(H5Lget_val, source.id(), link.name.as_ptr(), value.as_mut_ptr().cast(), size, H5P_DEFAULT)?;
        let (group, name, plain, value) = (copy.id(), link.name.as_ptr(), self.creation_of(link).id(), value.as_ptr());
        if let LinkKind::Soft(_) = link.kind {
            call!(H5Lcreate_soft, value.cast(), group, name, plain, H5P_DEFAULT)?;
        } else {
            let class = H5L_type_t::H5L_TYPE_EXTERNAL;
            call!(H5Lcreate_ud, group, name, class, value.cast(), size, plain, H5P_DEFAULT)?;
        }
        Ok(())
    }

    fn new_group(&self, source: &Location, copy: &Location, link: &Link) -> Result<(), Failed> {
        let creation = group_creation(&own!(H5Gget_create_plist, source.id())?)?;
        let (name, plain) = (link.name.as_ptr(), self.creation_of(link).id());
        let group: Location = own!(H5Gcreate2, copy.id(), name, plain, creation.id(), H5P_DEFAULT)?;
        copy_comment(source, &group)
    }

    fn dataset(
        &mut self,
        object: &Location,
        source: &Location,
        copy: &Location,
        link: &Link,
        path: &CStr,
        token: &str,
    ) -> Result<(), Failed> {
        let datatype: Object = own!(H5Dget_type, object.id())?;
        let creation: Object = own!(H5Dget_create_plist, object.id())?;
        if whole::is_outside(&creation) && contains_references(&datatype)? {
            // Values outside the file are not changed.
            self.left_out(path, None, "its references are stored outside the file, and lead to objects of the source");
        }
        if let Some(&shell) = self.shells.get(token) {
            let as_there = self.datatype(&datatype)?;
            let space = shells::space_of(object, self.no_limit)?;
            let made = shells::make(object, shell, (&as_there, &space), (copy, &link.name), self.creation_of(link))?;
            copy_comment(object, &made)?;
            self.attributes(object, &creation, &made, path, |_| false)?;
            if let Some(how) = self.what.rows.get(shell.path.as_str()) {
                self.lay_rows(object, &made, path, how);
            }
            return Ok(());
        }
        // The library would copy whatever lies where a freed chunk was.
        let freed = has_freed_chunk(&object.as_dataset()?);
        if self.other_sizes || freed || whole::has_pointers(&datatype, &creation)? {
            return self.whole(object, (&datatype, &creation), copy, link, path);
        }
        let pending = self.late.len();
        match self.by_library(object, (&datatype, &creation), source, copy, link, path) {
            Ok(()) => Ok(()),
            Err(e) => {
                // The library may have recorded part of what it did not finish.
                self.late.truncate(pending);
                if call!(H5Lexists, copy.id(), link.name.as_ptr(), H5P_DEFAULT)? > 0 {
                    call!(H5Ldelete, copy.id(), link.name.as_ptr(), H5P_DEFAULT)?;
                }
                // The first error says more than the second.
                self.whole(object, (&datatype, &creation), copy, link, path).map_err(|_| e)
            }
        }
    }

    /// Lets the library copy a dataset. Its stored bytes are copied as they are, unless its values must change.
    fn by_library(
        &mut self,
        object: &Location,
        (datatype, creation): (&Object, &Object),
        source: &Location,
        copy: &Location,
        link: &Link,
        path: &CStr,
    ) -> Result<(), Failed> {
        let copying: Object = own!(H5Pcreate, *H5P_OBJECT_COPY)?;
        let mut named = self.named(datatype)?.into_iter().collect::<Vec<_>>();
        named.extend(self.late_attributes(object, Some(creation), path)?);
        for path in &named {
            call!(H5Pset_copy_object, copying.id(), H5O_COPY_MERGE_COMMITTED_DTYPE_FLAG)?;
            call!(H5Padd_merge_committed_dtype_path, copying.id(), path.as_ptr())?;
        }
        let (name, plain) = (link.name.as_ptr(), self.creation_of(link).id());
        call!(H5Ocopy, source.id(), name, copy.id(), name, copying.id(), plain)?;
        if contains_references(datatype)? && whole::holds_values(object, creation)? {
            self.late.push(Late::Dataset(path.to_owned()));
        }
        Ok(())
    }

    /// Records those attributes of an object copied by the library that hold references. Returns the named types that
    /// its attributes use.
    fn late_attributes(
        &mut self,
        object: &Location,
        creation: Option<&Object>,
        path: &CStr,
    ) -> Result<Vec<CString>, Failed> {
        let mut named = Vec::new();
        for name in attribute_names(object, creation)? {
            let attribute = open_attribute(object, &name)?;
            let datatype: Object = own!(H5Aget_type, attribute.id())?;
            named.extend(self.named(&datatype)?);
            if contains_references(&datatype)? {
                self.late.push(Late::Attribute(path.to_owned(), name));
            }
        }
        Ok(named)
    }
}

fn is_type(object: &Location) -> bool {
    object.loc_info().is_ok_and(|info| info.loc_type == LocationType::NamedDatatype)
}
