//! Walks through the groups of a file. Each group is opened from its parent, since the path from the root may be long.

use crate::h5::Failed;
use h5part_base::dataspace::path_below;
use hdf5::{Group, LocationInfo, LocationType};

/// Groups still to visit, the last one first.
pub(super) struct Groups {
    todo: Vec<(Group, String, String)>,
}

impl Groups {
    /// Begins at the root.
    pub(super) fn of(file: &hdf5::File) -> Result<Self, Failed> {
        Ok(Self { todo: vec![(file.group("/")?, ".".to_owned(), String::new())] })
    }

    /// Adds a subgroup of the group at `path`.
    pub(super) fn push(&mut self, group: &Group, path: &str, name: String) {
        let below = path_below(path, &name);
        self.todo.push((group.clone(), name, below));
    }
}

/// Identifies an object of a file, whatever its names are.
pub(super) fn object_id(info: &LocationInfo) -> String {
    format!("{:?}", info.token)
}

/// Names in a group of the objects of one kind. Dangling names are left out.
pub(super) fn members(group: &Group, kind: LocationType) -> Result<Vec<String>, Failed> {
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
