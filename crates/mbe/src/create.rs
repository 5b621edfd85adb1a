//! Creates structures.

use super::elements::mass;
use super::names::{ANGSTROM, DATACLASS, GROUND_TRUTH, SLASH};
use super::structure::Structure;
use super::xyz::Xyz;
use h5part_base::dataspace::{Dtype, shape_text};
use h5part_base::error::{At, ErrorKind, Misfit, Result};
use h5part_base::num::to_usize;
use h5part_engine::h5::{Attribute, NewArray, NextRows};
use h5part_engine::store::AsStore;

/// An array of a structure: its shape, and its rows on demand, little-endian.
pub struct Array<'v> {
    /// Its shape.
    pub shape: Vec<u64>,
    /// f64, or i64 for atomic numbers.
    pub values: NextRows<'v>,
}

/// A structure to create. Shapes are for N frames and A atoms. A single frame may omit its axis.
pub struct NewStructure<'v> {
    /// (N, A, 3), f64 in Å.
    pub positions: Array<'v>,
    /// (A) or (N, A), i64.
    pub atomic_numbers: Vec<i64>,
    /// Shape of the atomic numbers.
    pub atomic_numbers_shape: Vec<u64>,
    /// As many as atomic numbers, f64 in u. Default: standard atomic weights.
    pub masses: Option<Vec<f64>>,
    /// (3, 3) or (N, 3, 3), f64 in Å. The structure is then periodic.
    pub cell_vectors: Option<Array<'v>>,
    /// (N), f64 in eV per atom.
    pub energies: Option<Array<'v>>,
    /// (N, A, 3), f64 in eV/Å.
    pub forces: Option<Array<'v>>,
    /// The level of theory of energies, forces or frames.
    pub level_of_theory: Option<String>,
}

impl Array<'_> {
    /// An array of values in memory.
    #[must_use]
    pub fn of<T: bytemuck::NoUninit>(shape: Vec<u64>, values: Vec<T>) -> Self {
        let mut from = 0;
        let row = to_usize(shape.iter().skip(1).product::<u64>());
        let next = move |rows: u64| {
            let end = usize::try_from(rows).ok().and_then(|n| n.checked_mul(row)).map(|n| from + n);
            let here = end.and_then(|end| values.get(from..end));
            let bytes = here.map(|values| bytemuck::cast_slice(values).to_vec());
            from = end.unwrap_or(from);
            bytes.ok_or_else(|| ErrorKind::bad_values("there are fewer than the shape says"))
        };
        Self { shape, values: Box::new(next) }
    }
}

impl NewStructure<'static> {
    /// A structure with all frames of an XYZ file. What all frames share is stored once.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`].
    pub fn from_xyz(xyz: Xyz, level_of_theory: Option<String>) -> Result<Self, ErrorKind> {
        let (frames, atoms) = (xyz.frames, xyz.atoms);
        let (atomic_numbers, same) = once(xyz.atomic_numbers, frames);
        let cell_vectors = xyz.cell_vectors.map(|cells| {
            let (cells, same) = once(cells, frames);
            Array::of(if same { vec![3, 3] } else { vec![frames, 3, 3] }, cells)
        });
        // The file has energies per frame, the structure per atom.
        #[expect(clippy::cast_precision_loss, reason = "no frame has 2^53 atoms")]
        let an_atom = |energy: &f64| energy / atoms as f64;
        Ok(Self {
            positions: Array::of(vec![frames, atoms, 3], xyz.positions),
            atomic_numbers,
            atomic_numbers_shape: if same { vec![atoms] } else { vec![frames, atoms] },
            masses: None,
            cell_vectors,
            energies: xyz.energies.map(|e| Array::of(vec![frames], e.iter().map(an_atom).collect())),
            forces: xyz.forces.map(|f| Array::of(vec![frames, atoms, 3], f)),
            level_of_theory,
        })
    }
}

/// The first of `frames` equal parts, if all of them are the same.
fn once<T: PartialEq + Clone>(values: Vec<T>, frames: u64) -> (Vec<T>, bool) {
    let part = values.len() / to_usize(frames).max(1);
    let same = values.chunks_exact(part.max(1)).all(|other| other == &values[..part]);
    if same { (values[..part].to_vec(), true) } else { (values, false) }
}

/// Datasets and attributes of a group.
type Plan<'v> = (Vec<NewArray<'v>>, Vec<(String, Attribute)>);

/// Values are checked in portions of about this many bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// Prefix of our own names in a file.
const OURS: &str = "__h5part__";

impl<'v> NewStructure<'v> {
    /// Reads everything and creates nothing: checks whether [`NewStructure::create`] would accept it.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`], [`ErrorKind::BadRequest`], those of the values.
    pub fn check(self, key: &str) -> Result<(), ErrorKind> {
        for mut array in self.plan(key.trim_matches('/'))?.0 {
            let Some((&rows, cell)) = array.shape.split_first() else { continue };
            let row_bytes = cell.iter().product::<u64>().saturating_mul(array.dtype.size());
            let portion = (PORTION_BYTES / row_bytes.max(1)).max(1);
            for start in (0..rows).step_by(to_usize(portion)) {
                (array.values)(portion.min(rows - start))?;
            }
        }
        Ok(())
    }

    /// Creates it at `key`, in a new or an existing file, as Python would: plain contiguous datasets.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see
    /// [`Store::add_arrays`](h5part_engine::store::Store::add_arrays).
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`]: values of another shape, positions or cell vectors that are not finite, cell
    /// vectors that are zero, negative masses; [`ErrorKind::BadRequest`]: `key` is invalid;
    /// [`ErrorKind::AlreadyExists`]: something exists at `key`; those of `add_arrays`.
    pub fn create(self, store: &impl AsStore, key: &str) -> Result<Structure> {
        let store = store.as_store();
        let key = key.trim_matches('/').to_owned();
        let (arrays, attributes) = self.plan(&key).at("make a structure in", store.path())?;
        store.add_arrays(&key, arrays, &attributes)?;
        Structure::open(store, &key)
    }

    fn plan(self, key: &str) -> Result<Plan<'v>, ErrorKind> {
        check_key(key)?;
        let (frames, atoms) = match *self.positions.shape {
            [frames, atoms, 3] if frames > 0 && atoms > 0 => (frames, atoms),
            [atoms, 3] if atoms > 0 => (1, atoms),
            ref other => return Err(mismatch("positions", "frames x atoms x 3", other)),
        };
        let a_frame = |shape: &[u64], of: &[u64]| shape == of || shape == [&[frames], of].concat();
        if !a_frame(&self.atomic_numbers_shape, &[atoms]) {
            return Err(mismatch(
                "atomic_numbers",
                &format!("{atoms} or {frames}x{atoms}"),
                &self.atomic_numbers_shape,
            ));
        }
        let masses = match self.masses {
            Some(masses) => masses,
            None => self.atomic_numbers.iter().map(|&number| mass(number)).collect::<Result<_, _>>()?,
        };
        if masses.len() != self.atomic_numbers.len() {
            return Err(mismatch("masses", &shape_text(&self.atomic_numbers_shape), &[masses.len() as u64]));
        }
        if let Some(mass) = masses.iter().find(|mass| !mass.is_finite() || **mass < 0.0) {
            return Err(ErrorKind::bad_values(format!("a mass is {mass}")));
        }
        let mut attributes = vec![
            (DATACLASS.to_owned(), Attribute::Text("Structure".to_owned())),
            ("n_frames".to_owned(), Attribute::Int(frames.try_into().unwrap_or(i64::MAX))),
            ("n_atoms".to_owned(), Attribute::Int(atoms.try_into().unwrap_or(i64::MAX))),
            ("periodic".to_owned(), Attribute::Bool(self.cell_vectors.is_some())),
            ("feature_vectors_type".to_owned(), Attribute::Text("none".to_owned())),
        ];
        attributes.extend(self.level_of_theory.map(|name| ("level_of_theory".to_owned(), Attribute::Text(name))));
        let numbers = Array::of(self.atomic_numbers_shape.clone(), self.atomic_numbers);
        let masses = Array::of(self.atomic_numbers_shape, masses);
        let finite = |what: &'static str| move |cell: &[u8]| floats(cell).all(f64::is_finite).then_some(()).ok_or(what);
        let positions = checked(self.positions, finite("positions that are not all finite numbers"));
        let cells = self.cell_vectors.map(|cells| {
            let is_cell = finite("cell vectors that are not all finite numbers");
            checked(cells, move |cell| match is_cell(cell) {
                Ok(()) if floats(cell).all(|x| x == 0.0) => Err("cell vectors that are zero"),
                other => other,
            })
        });
        let mut arrays = vec![f64s(format!("positions ({ANGSTROM})"), positions)];
        arrays.push(NewArray { dtype: Dtype::I64, ..f64s("atomic_numbers".to_owned(), numbers) });
        arrays.push(f64s("masses (u)".to_owned(), masses));
        let optional = [
            (format!("cell_vectors ({ANGSTROM})"), cells, vec![3, 3]),
            (format!("E_pot (eV{SLASH}atom)"), self.energies, vec![]),
            (format!("forces (eV{SLASH}{ANGSTROM})"), self.forces, vec![atoms, 3]),
        ];
        for (name, array, of) in optional {
            let Some(array) = array else { continue };
            // A single number has no axis, but a dataset needs one.
            if array.shape.is_empty() || !a_frame(&array.shape, &of) {
                let expected = shape_text(&[&[frames], of.as_slice()].concat());
                return Err(mismatch(&name, &expected, &array.shape));
            }
            arrays.push(f64s(name, array));
        }
        Ok((arrays, attributes))
    }
}

/// Checks that a structure can have this key, and be found by it.
fn check_key(key: &str) -> Result<(), ErrorKind> {
    let bad = |text: String| Err(ErrorKind::BadRequest(text));
    if key.is_empty() {
        return bad("a structure needs a key, such as training/urea".to_owned());
    }
    for part in key.split('/') {
        if matches!(part, "" | "." | "..") || part.contains(char::is_control) {
            return bad(format!(
                "'{}' is not a key: its parts must have names, as in training/urea",
                key.escape_debug()
            ));
        }
        if part == GROUND_TRUTH || part.starts_with(OURS) {
            return bad(format!("'{key}' is not a key: '{part}' is the name of something else"));
        }
    }
    Ok(())
}

/// Checks each frame as it arrives. A single frame without its axis is checked as it is.
fn checked<'v>(array: Array<'v>, is_fine: impl Fn(&[u8]) -> Result<(), &'static str> + 'v) -> Array<'v> {
    let Array { shape, mut values } = array;
    let row = shape.iter().skip(1).product::<u64>().saturating_mul(8);
    let frame = if shape.len() < 3 { usize::MAX } else { to_usize(row).max(1) };
    let mut number = 0;
    let next = move |rows: u64| {
        let bytes = values(rows)?;
        for cell in bytes.chunks(frame) {
            is_fine(cell).map_err(|what| ErrorKind::bad_values(format!("frame {number} has {what}")))?;
            number += 1;
        }
        Ok(bytes)
    };
    Array { shape, values: Box::new(next) }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap_or_default()))
}

fn f64s(name: String, array: Array<'_>) -> NewArray<'_> {
    NewArray { name, dtype: Dtype::F64, shape: array.shape, values: array.values }
}

fn mismatch(column: &str, expected: &str, found: &[u64]) -> ErrorKind {
    ErrorKind::BadValues(Misfit::Shape {
        column: column.to_owned(),
        expected: expected.to_owned(),
        found: shape_text(found),
    })
}
