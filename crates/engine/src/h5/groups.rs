//! The way through the groups of a file. Each is opened from its parent: the way from the root may be long.

use crate::h5::Failed;
use hdf5::Group;

/// Groups that are still to be gone into, the last one first.
pub(super) struct Groups {
    todo: Vec<(Group, String, String)>,
}

impl Groups {
    /// Begins at the root.
    pub(super) fn of(file: &hdf5::File) -> Result<Self, Failed> {
        Ok(Self { todo: vec![(file.group("/")?, ".".to_owned(), String::new())] })
    }

    /// Notes a group below the one of this path.
    pub(super) fn push(&mut self, group: &Group, path: &str, name: String) {
        let below = below(path, &name);
        self.todo.push((group.clone(), name, below));
    }
}

/// Path of what has this name in the group of that path.
pub(super) fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

impl Iterator for Groups {
    /// Path and group; the root has an empty path.
    type Item = (String, Result<Group, Failed>);

    fn next(&mut self) -> Option<Self::Item> {
        let (parent, name, path) = self.todo.pop()?;
        Some((path, parent.group(&name).map_err(Failed::from)))
    }
}
