//! Finds structures in a file, and counts their frames and atoms.

use super::names::{CLUSTER, DATACLASS, GROUND_TRUTH, LEVELS_OF_THEORY};
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_engine::h5::{Attribute, H5File};
use h5part_engine::store::{AsStore, Store};

/// Frames of equal size in one group of the file.
#[derive(Clone, Debug)]
pub struct Structure {
    store: Store,
    path: String,
    class: String,
    frames: u64,
    atoms: u64,
    periodic: bool,
}

impl Structure {
    /// The structure at `key`: a `Structure`, a `Trajectory`, or that of a `FiniteSubsystem`. It creates nothing, and
    /// keeps nobody waiting.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotAStructure`], which lists those that exist; those of [`Store::reader`].
    pub fn open(store: &impl AsStore, key: &str) -> Result<Self> {
        let store = store.as_store();
        let key = key.trim_matches('/');
        store.with_h5(|h5, _| Self::find(store, h5, key)).at("open a structure of", store.path())
    }

    /// All structures of the file, sorted by path. For one that cannot be used, the reason.
    ///
    /// # Errors
    /// Those of [`Store::reader`].
    pub fn all(store: &impl AsStore) -> Result<Vec<(String, Result<Self>)>> {
        let store = store.as_store();
        let read = |h5: &H5File, path: String, class| {
            let structure = Self::read(store, h5, path.clone(), class).at("open a structure of", store.path());
            (path, structure)
        };
        let all = |h5: &H5File| {
            let groups = h5.groups_with(DATACLASS)?.into_iter().filter(|(_, class)| is_structure(class));
            Ok(groups.map(|(path, class)| read(h5, path, class)).collect())
        };
        store.with_h5(|h5, _| all(h5)).at("list the structures of", store.path())
    }

    fn find(store: &Store, h5: &H5File, key: &str) -> Result<Self, ErrorKind> {
        let found = match h5.attribute(key, DATACLASS).map_err(ErrorKind::from) {
            Ok(Some(Attribute::Text(class))) if class == "FiniteSubsystem" => {
                let path = format!("{key}/{CLUSTER}");
                match h5.attribute(&path, DATACLASS) {
                    Ok(Some(Attribute::Text(class))) if is_structure(&class) => Ok((path, class)),
                    _ => Err(format!("a FiniteSubsystem without a '{CLUSTER}'")),
                }
            }
            Ok(Some(Attribute::Text(class))) if is_structure(&class) => Ok((key.to_owned(), class)),
            Ok(Some(Attribute::Text(class))) => Err(format!("a {class}")),
            Ok(_) => Err(format!("a group without the attribute '{DATACLASS}'")),
            Err(ErrorKind::NotFound { what: Item::Table(_), .. }) => Err("not in the file".to_owned()),
            Err(ErrorKind::WrongObject { .. }) => Err("a dataset".to_owned()),
            Err(other) => return Err(other),
        };
        match found {
            Ok((path, class)) => Self::read(store, h5, path, class),
            Err(what) => {
                let groups = h5.groups_with(DATACLASS)?.into_iter().filter(|(_, class)| is_structure(class));
                let known = groups.map(|(path, _)| path).collect();
                Err(crate::ErrorKind::NotAStructure { key: key.to_owned(), what, known }.into())
            }
        }
    }

    fn read(store: &Store, h5: &H5File, path: String, class: String) -> Result<Self, ErrorKind> {
        let bad = |what: String| {
            ErrorKind::from(crate::ErrorKind::NotAStructure { key: path.clone(), what, known: Vec::new() })
        };
        let count = |name: &str| match h5.attribute(&path, name)? {
            Some(Attribute::Int(n)) if n > 0 => Ok(n.unsigned_abs()),
            Some(other) => Err(bad(format!("a {class} whose '{name}' is {other:?}"))),
            None => Err(bad(format!("a {class} without the attribute '{name}'"))),
        };
        let (frames, atoms) = (count("n_frames")?, count("n_atoms")?);
        let periodic = h5.attribute(&path, "periodic")? == Some(Attribute::Bool(true));
        Ok(Self { store: store.clone(), path, class, frames, atoms, periodic })
    }

    /// The store that it is in, for the programs of this project.
    #[doc(hidden)]
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Path of its group.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `Structure` or `Trajectory`.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Number of its frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Number of atoms in each frame.
    #[must_use]
    pub fn atoms(&self) -> u64 {
        self.atoms
    }

    /// Whether it has cell vectors.
    #[must_use]
    pub fn is_periodic(&self) -> bool {
        self.periodic
    }

    /// Path of the table of its ground truth.
    #[must_use]
    pub fn table(&self) -> String {
        format!("{}/{GROUND_TRUTH}", self.path)
    }

    /// Its levels of theory, by their original names, as listed in the file.
    ///
    /// # Errors
    /// Those of [`Store::reader`].
    pub fn methods(&self) -> Result<Vec<String>> {
        match self.store.attribute(&self.table(), LEVELS_OF_THEORY) {
            Ok(Some(Attribute::Texts(names))) => Ok(names),
            Ok(_) => Ok(Vec::new()),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound { what: Item::Table(_), .. }) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

fn is_structure(class: &str) -> bool {
    matches!(class, "Structure" | "Trajectory")
}
