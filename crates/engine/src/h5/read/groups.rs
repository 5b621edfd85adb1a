//! Walks through the groups of a file. Each group is opened from its parent, since the path from the root may be long.

use crate::h5::Failed;
use h5part_base::dataspace::path_below;
use hdf5::{Group, LocationInfo, LocationType};

/// Groups still to visit, the last one first.
pub(in crate::h5) struct Groups {
    todo: Vec<(Group, String, String)>,
}

impl Groups {
    /// Begins at the root.
    pub(in crate::h5) fn of(file: &hdf5::File) -> Result<Self, Failed> {
        Ok(Self { todo: vec![(file.group("/")?, ".".to_owned(), String::new())] })
    }

    /// Adds a subgroup of the group at `path`.
    pub(in crate::h5) fn push(&mut self, group: &Group, path: &str, name: String) {
        let below = path_below(path, &name);
        self.todo.push((group.clone(), name, below));
    }
}

/// Identifies an object of a file, whatever its names are.
pub(in crate::h5) fn object_id(info: &LocationInfo) -> String {
    format!("{:?}", info.token)
}

/// Names in a group of the objects of one kind. Dangling names are left out.
pub(in crate::h5) fn members(group: &Group, kind: LocationType) -> Result<Vec<String>, Failed> {
    let mut names = group.member_names()?;
    names.retain(|name| group.loc_type_by_name(name).is_ok_and(|found| found == kind));
    Ok(names)
}

impl Iterator for Groups {
    /// Path and group; the root has an empty path.
    type Item = (String, Result<Group, Failed>);

    fn next(&mut self) -> Option<Self::Item> {
        let (parent, name, path) = self.todo.pop()?;
        Some((path, parent.group(&name).map_err(Failed::from)))
    }
}
