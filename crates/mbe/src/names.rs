//! Names and units as `mbe_automation` writes them. Two of their characters have look-alikes in Unicode. A name with
//! one of those is a different name, and its data would not be found.

use h5part_base::error::ErrorKind;

/// Å as in the names of datasets: U+212B, not U+00C5.
pub const ANGSTROM: char = '\u{212B}';
/// The slash of units, and the replacement of `/` in names of methods: U+2215.
pub const SLASH: char = '\u{2215}';
/// Attribute of a group with its kind.
pub const DATACLASS: &str = "dataclass";
/// Attribute of `ground_truth` that lists its methods by their original names, sorted.
pub const LEVELS_OF_THEORY: &str = "levels_of_theory";
/// The group of a structure that holds its computed values.
pub const GROUND_TRUTH: &str = "ground_truth";
/// The group in a `FiniteSubsystem` that holds its structure.
pub const CLUSTER: &str = "cluster_of_molecules";

/// A level of theory, and the names of its datasets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    name: String,
}

impl Method {
    /// A method with this name, such as `r2scan-d4/def2-tzvp`.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: it is empty, or has characters that cannot be printed.
    pub fn new(name: &str) -> Result<Self, ErrorKind> {
        if name.contains(char::is_control) {
            let text = format!(
                "'{}' is not a name of a method: it has characters that cannot be printed",
                name.escape_debug()
            );
            return Err(ErrorKind::BadRequest(text));
        }
        if name.trim().is_empty() || name == "." {
            return Err(ErrorKind::BadRequest("a method needs a name, such as r2scan-d4/def2-tzvp".to_owned()));
        }
        Ok(Self { name: name.to_owned() })
    }

    /// Its original name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form for names of datasets, where `/` would make a group.
    fn sanitised(&self) -> String {
        self.name.replace('/', &SLASH.to_string())
    }

    /// The dataset of statuses, i64 (frames).
    #[must_use]
    pub fn status(&self) -> String {
        format!("status_{}", self.sanitised())
    }

    /// The dataset of energies, f64 (frames), in eV per atom.
    #[must_use]
    pub fn energies(&self) -> String {
        format!("E_{} (eV{SLASH}atom)", self.sanitised())
    }

    /// The dataset of forces, f64 (frames, atoms, 3), in eV/Å.
    #[must_use]
    pub fn forces(&self) -> String {
        format!("forces_{} (eV{SLASH}{ANGSTROM})", self.sanitised())
    }
}

/// A quantity of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Energies, f64 (frames), in eV per atom.
    Energies,
    /// Forces, f64 (frames, atoms, 3), in eV/Å.
    Forces,
}

impl Quantity {
    /// Both, in the order in which they are written.
    pub const ALL: [Self; 2] = [Self::Energies, Self::Forces];

    /// The name of the quantity.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Energies => "energies",
            Self::Forces => "forces",
        }
    }

    /// Its dataset.
    #[must_use]
    pub fn dataset(self, method: &Method) -> String {
        match self {
            Self::Energies => method.energies(),
            Self::Forces => method.forces(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_other_side_byte_by_byte() {
        let method = Method::new("r2scan-d4/def2-tzvp").expect("a name");
        assert_eq!(method.status().as_bytes(), b"status_r2scan-d4\xe2\x88\x95def2-tzvp");
        assert_eq!(method.energies().as_bytes(), b"E_r2scan-d4\xe2\x88\x95def2-tzvp (eV\xe2\x88\x95atom)");
        let forces = b"forces_r2scan-d4\xe2\x88\x95def2-tzvp (eV\xe2\x88\x95\xe2\x84\xab)";
        assert_eq!(method.forces().as_bytes(), forces);
        for bad in ["", " ", "a\0b", "a\nb", "."] {
            assert!(Method::new(bad).is_err(), "{bad:?}");
        }
    }
}
