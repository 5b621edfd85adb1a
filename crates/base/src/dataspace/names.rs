//! Paths of groups and datasets, and the names that h5part reserves for what it writes itself.

use crate::error::ErrorKind;

/// Group that holds the stamps.
pub const STAMPS_GROUP: &str = "__h5part__";
/// Prefix of the names of its attributes.
const PREFIX: &str = "h5part_";

/// Refuses a name, or a path with a part, that is reserved for h5part. Call it for all names that come from users.
///
/// # Errors
/// [`ErrorKind::ReservedName`].
pub fn refuse_reserved(name: &str) -> Result<(), ErrorKind> {
    match name.split('/').find(|part| *part == STAMPS_GROUP || part.starts_with(PREFIX)) {
        Some(part) => Err(ErrorKind::ReservedName(part.to_owned())),
        None => Ok(()),
    }
}

/// The path of a name in the group at `path`, which is empty for the root group.
#[must_use]
pub fn path_below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_reserved() {
        for name in ["h5part_table", "h5part_", "a/h5part_x/b", "__h5part__", "__h5part__/1", "a/__h5part__"] {
            assert!(matches!(refuse_reserved(name), Err(ErrorKind::ReservedName(_))), "{name}");
        }
        for name in ["", "h5part", "h5partx", "my_h5part_x", "__h5part", "E", "a/b"] {
            assert!(refuse_reserved(name).is_ok(), "{name}");
        }
    }
}
