//! Extended XYZ: a sequence of frames, each with the number of atoms, a line of properties, and one line per atom.
//! Pure.

use super::comment::{items, pairs};
use super::elements::atomic_number;
use h5part_base::error::ErrorKind;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

/// The frames of a file, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Xyz {
    /// Number of frames.
    pub frames: u64,
    /// Number of atoms in each frame.
    pub atoms: u64,
    /// (frames, atoms), in Å; three values per position.
    pub positions: Vec<f64>,
    /// (frames, atoms).
    pub atomic_numbers: Vec<i64>,
    /// (frames, 3, 3) in Å, if the frames are periodic and have lattices.
    pub cell_vectors: Option<Vec<f64>>,
    /// (frames), in eV, for all atoms of a frame together, if the frames have energies.
    pub energies: Option<Vec<f64>>,
    /// (frames, atoms, 3) in eV/Å, if the frames have forces.
    pub forces: Option<Vec<f64>>,
    /// Keys that look like energies or forces, but were not asked for.
    pub not_taken: BTreeSet<String>,
}

/// The keys of energies and forces in a file. Letter case is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XyzKeys {
    /// Key of the energy of all atoms together, in eV.
    pub energy: String,
    /// Name of the column of forces, in eV/Å.
    pub forces: String,
}

impl Default for XyzKeys {
    /// `energy` and `forces`, as in ASE.
    fn default() -> Self {
        Self { energy: "energy".to_owned(), forces: "forces".to_owned() }
    }
}

/// Longest accepted line, in bytes. Lists in a comment line may be long.
const LONGEST: u64 = 1 << 28;

/// Columns of the lines of atoms, by their first index.
#[derive(Debug, Default, PartialEq)]
struct Places {
    species: usize,
    positions: usize,
    forces: Option<usize>,
    columns: usize,
}

impl Xyz {
    /// Reads all frames. They must have the same number of atoms. Either all or none of them have a lattice, an energy,
    /// and forces.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`] with the number of the line, I/O errors.
    pub fn read(input: &mut impl BufRead, keys: &XyzKeys) -> Result<Self, ErrorKind> {
        let keys = XyzKeys { energy: keys.energy.to_lowercase(), forces: keys.forces.to_lowercase() };
        let mut lines = Lines { input, number: 0, first: 0 };
        let mut xyz = Self::default();
        while let Some(head) = lines.next()? {
            if head.trim().is_empty() {
                continue;
            }
            let atoms: u64 = head.trim().parse().map_err(|_| lines.bad("expected the number of atoms"))?;
            if atoms == 0 || (xyz.frames > 0 && atoms != xyz.atoms) {
                let text = format!("a frame of {atoms} atoms after frames of {}", xyz.atoms);
                return Err(lines.bad(if atoms == 0 { "a frame without atoms" } else { &text }));
            }
            xyz.atoms = atoms;
            if xyz.frames == 0 {
                lines.first = lines.number + 1;
            }
            xyz.frame(&mut lines, &keys)?;
            xyz.frames += 1;
        }
        if xyz.frames == 0 {
            return Err(lines.bad("there are no frames"));
        }
        Ok(xyz)
    }

    fn frame<R: BufRead>(&mut self, lines: &mut Lines<'_, R>, keys: &XyzKeys) -> Result<(), ErrorKind> {
        let comment = lines.next()?.ok_or_else(|| lines.bad("the line of properties is missing"))?;
        let properties = pairs(&comment).ok_or_else(|| lines.bad("a quotation mark or a bracket is not closed"))?;
        let is_first = self.frames == 0;
        let lattice = lattice(&properties).map_err(|why| lines.bad(why))?;
        let energy = properties
            .get(&keys.energy)
            .map(|text| number(text).ok_or_else(|| lines.bad("the energy is not a number")));
        let is_energy = |key: &&String| key.contains("energy") && **key != keys.energy && !key.contains("unit");
        self.not_taken.extend(properties.keys().filter(is_energy).cloned());
        let energy = energy.transpose()?.map(|energy| vec![energy]);
        extend(&mut self.cell_vectors, lattice, is_first).map_err(|lacks| lines.without("periodic lattice", lacks))?;
        extend(&mut self.energies, energy, is_first).map_err(|lacks| lines.without("energy", lacks))?;
        let places = match properties.get("properties") {
            Some(text) => Places::parse(text, &keys.forces, &mut self.not_taken)
                .ok_or_else(|| lines.bad("Properties without species:S:1 and pos:R:3"))?,
            None => Places { species: 0, positions: 1, forces: None, columns: 4 },
        };
        extend(&mut self.forces, places.forces.map(|_| Vec::new()), is_first)
            .map_err(|lacks| lines.without("force on its atoms", lacks))?;
        for _ in 0..self.atoms {
            let line = lines.next()?.ok_or_else(|| lines.bad("the file ends within a frame"))?;
            self.atom(&line, &places).map_err(|why| lines.bad(&why))?;
        }
        Ok(())
    }

    fn atom(&mut self, line: &str, places: &Places) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.len() < places.columns {
            return Err(format!("{} columns instead of {}", words.len(), places.columns));
        }
        let three = |from: usize| -> Result<Vec<f64>, String> {
            let read = |word: &&str| number(word).ok_or_else(|| format!("'{word}' is not a number"));
            words[from..from + 3].iter().map(read).collect()
        };
        self.atomic_numbers.push(atomic_number(words[places.species]).map_err(|e| e.to_string())?);
        self.positions.extend(three(places.positions)?);
        if let (Some(from), Some(forces)) = (places.forces, &mut self.forces) {
            forces.extend(three(from)?);
        }
        Ok(())
    }
}

/// Appends the values of a frame, or begins with them. It is an error if some frames have values and others do not. The
/// error tells whether the first frame or this one lacks them.
fn extend(values: &mut Option<Vec<f64>>, more: Option<Vec<f64>>, is_first: bool) -> Result<(), Lacks> {
    match (values, more) {
        (values, more) if is_first => *values = more,
        (Some(values), Some(more)) => values.extend(more),
        (Some(_), None) => return Err(Lacks::This),
        (None, Some(_)) => return Err(Lacks::First),
        (None, None) => {}
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Lacks {
    First,
    This,
}

/// The cell vectors of a frame. It is periodic if it has a lattice, unless `pbc` says F in all directions.
fn lattice(properties: &BTreeMap<String, String>) -> Result<Option<Vec<f64>>, &'static str> {
    let numbers = |text: &String| items(text)?.into_iter().map(number).collect::<Option<Vec<f64>>>();
    let lattice = match properties.get("lattice").map(numbers) {
        Some(Some(lattice)) if lattice.len() == 9 => Some(lattice),
        Some(_) => return Err("the lattice is not nine numbers"),
        None => None,
    };
    let periodic = match properties.get("pbc") {
        Some(text) => is_periodic(text)?,
        None => lattice.is_some(),
    };
    match lattice {
        Some(lattice) if periodic && lattice.iter().all(|x| *x == 0.0) => Err("the lattice is zero"),
        None if periodic => Err("it is periodic (pbc), but has no lattice"),
        lattice => Ok(lattice.filter(|_| periodic)),
    }
}

fn is_periodic(pbc: &str) -> Result<bool, &'static str> {
    let flag = |word: &str| match word.to_lowercase().as_str() {
        "t" | "true" | "1" => Some(true),
        "f" | "false" | "0" => Some(false),
        _ => None,
    };
    let flags: Option<Vec<bool>> = items(pbc).and_then(|words| words.into_iter().map(flag).collect());
    match flags.as_deref() {
        Some([all]) => Ok(*all),
        Some([a, b, c]) if a == b && b == c => Ok(*a),
        Some([_, _, _]) => {
            Err("it is periodic in some directions only (pbc): a structure must be periodic in all or none")
        }
        _ => Err("pbc is not T or F for each of the three directions"),
    }
}

/// A finite number. Fortran writes exponents with D.
fn number(text: &str) -> Option<f64> {
    text.replace(['d', 'D'], "e").parse::<f64>().ok().filter(|value| value.is_finite())
}

impl Places {
    /// Parses `species:S:1:pos:R:3:forces:R:3`. Other columns that look like forces are added to `not_taken`.
    fn parse(text: &str, forces: &str, not_taken: &mut BTreeSet<String>) -> Option<Self> {
        let words: Vec<&str> = text.split(':').collect();
        let (mut places, mut species, mut positions) = (Self::default(), None, None);
        for word in words.chunks(3) {
            let &[name, kind, count] = word else { return None };
            let count: usize = count.parse().ok()?;
            match (name.to_lowercase().as_str(), kind, count) {
                ("species" | "z" | "numbers", "S" | "I", 1) => species = species.or(Some(places.columns)),
                ("pos", "R", 3) => positions = Some(places.columns),
                (name, "R", 3) if name == forces || (forces == "forces" && name == "force") => {
                    places.forces = Some(places.columns);
                }
                (name, "R", 3) if name.contains("force") => {
                    not_taken.insert(name.to_owned());
                }
                _ => {}
            }
            places.columns = places.columns.checked_add(count)?;
        }
        (places.species, places.positions) = (species?, positions?);
        Some(places)
    }
}

struct Lines<'a, R> {
    input: &'a mut R,
    number: u64,
    /// Number of the line with the properties of the first frame.
    first: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<String>, ErrorKind> {
        let mut line = Vec::new();
        self.number += 1;
        let read = std::io::Read::take(&mut *self.input, LONGEST).read_until(b'\n', &mut line)?;
        if read as u64 == LONGEST {
            return Err(self.bad("the line is too long"));
        }
        let text = String::from_utf8(line).map_err(|_| self.bad("the line is not UTF-8"))?;
        Ok((read > 0).then_some(text))
    }

    fn bad(&self, what: &str) -> ErrorKind {
        ErrorKind::bad_values(format!("line {}: {what}", self.number))
    }

    fn without(&self, what: &str, lacks: Lacks) -> ErrorKind {
        let line = match lacks {
            Lacks::First => self.first,
            Lacks::This => self.number,
        };
        ErrorKind::bad_values(format!("line {line}: it has no {what}, but other frames do"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO: &str = "2\nLattice=\"4 0 0 0 4 0 0 0 4\" Properties=species:S:1:pos:R:3:tag:I:1:forces:R:3 energy=-3.5 pbc=\"T T T\"\n\
        O 0 0 0.5 7 1 2 3\nH 1.0 0 0 8 -1 -2 -3D0\n\
        2\nnote Lattice='4 0 0 0 4 0 0 0 5' energy=-3.25 Properties=species:S:1:pos:R:3:tag:I:1:forces:R:3\n\
        O 0 0 0 7 0 0 0\nH 1e0 0 0 8 0 0 0\n\n";

    fn read(text: &str) -> Result<Xyz, ErrorKind> {
        Xyz::read(&mut text.as_bytes(), &XyzKeys::default())
    }

    #[test]
    fn frames_are_read_with_all_they_have() {
        let xyz = read(TWO).expect("reads");
        assert_eq!((xyz.frames, xyz.atoms, &xyz.atomic_numbers[..]), (2, 2, &[8, 1, 8, 1][..]));
        assert_eq!(xyz.positions[..6], [0.0, 0.0, 0.5, 1.0, 0.0, 0.0]);
        assert_eq!(xyz.cell_vectors.expect("lattice")[9..], [4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 5.0]);
        assert_eq!(xyz.energies.expect("energies"), [-3.5, -3.25]);
        assert_eq!(xyz.forces.expect("forces")[..6], [1.0, 2.0, 3.0, -1.0, -2.0, -3.0]);
    }

    #[test]
    fn plain_files_have_positions_alone() {
        let xyz = read("1\nwater, almost\n8 0.0 1 2\n1\n\nO 0 0 1").expect("reads");
        assert_eq!((xyz.frames, xyz.positions.len(), &xyz.atomic_numbers[..]), (2, 6, &[8, 8][..]));
        assert!(xyz.cell_vectors.is_none() && xyz.energies.is_none() && xyz.forces.is_none());
    }

    #[test]
    fn what_one_frame_has_all_of_them_have() {
        for (from, to, says) in [
            (" energy=-3.25", "", "line 6: it has no energy"),
            (" energy=-3.5", "", "line 2: it has no energy"),
            ("Lattice='4 0 0 0 4 0 0 0 5'", "", "line 6: it has no periodic lattice"),
            ("Lattice=\"4 0 0 0 4 0 0 0 4\"", "pbc='F F F'", "line 2: it has no periodic lattice"),
            ("note", "pbc='F F F'", "line 6: it has no periodic lattice"),
            ("tag:I:1:forces:R:3\n", "tag:I:4\n", "line 6: it has no force"),
        ] {
            let text = TWO.replacen(" pbc=\"T T T\"", "", 1);
            assert!(text.contains(from), "{from}");
            let error = read(&text.replacen(from, to, 1)).expect_err(from).to_string();
            assert!(error.contains(says) && error.contains("but other frames do"), "{from}: {error}");
        }
    }

    #[test]
    fn pbc_says_what_is_periodic() {
        let frame = |properties: &str| format!("1\n{properties}\nH 0 0 0\n");
        let cell = "Lattice=\"4 0 0 0 4 0 0 0 4\"";
        let has_cell = |properties: String| read(&frame(&properties)).expect(&properties).cell_vectors.is_some();
        assert!(has_cell(cell.to_owned()) && has_cell(format!("{cell} pbc=\"T T T\"")));
        assert!(!has_cell(format!("{cell} pbc=\"F F F\"")) && !has_cell("pbc=\"F F F\"".to_owned()));
        for (bad, says) in [
            (format!("{cell} pbc=\"T T F\""), "line 2: it is periodic in some directions only"),
            (format!("{cell} pbc=\"T T\""), "line 2: pbc is not T or F"),
            ("pbc=\"T T T\"".to_owned(), "line 2: it is periodic (pbc), but has no lattice"),
            ("Lattice=\"0 0 0 0 0 0 0 0 0\"".to_owned(), "line 2: the lattice is zero"),
        ] {
            let error = read(&frame(&bad)).expect_err(&bad).to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    /// What ASE reads is read or reported.
    #[test]
    fn keys_are_chosen_and_none_is_passed_over_silently() {
        let text = "1\nProperties=species:S:1:pos:R:3:dft_forces:R:3 free_energy = -2 REF_energy=-1 energy_unit=eV\nH 0 0 0 1 2 3\n";
        let xyz = read(text).expect("reads");
        assert!(xyz.energies.is_none() && xyz.forces.is_none());
        assert_eq!(Vec::from_iter(&xyz.not_taken), ["dft_forces", "free_energy", "ref_energy"]);
        let keys = XyzKeys { energy: "REF_energy".to_owned(), forces: "DFT_forces".to_owned() };
        let xyz = Xyz::read(&mut text.as_bytes(), &keys).expect("reads");
        assert_eq!((xyz.energies, xyz.forces), (Some(vec![-1.0]), Some(vec![1.0, 2.0, 3.0])));
        assert_eq!(Vec::from_iter(&xyz.not_taken), ["free_energy"]);
        let xyz = read("1\nLattice={4 0 0 0 4 0 0 0 4} pbc=[T, T, T] energy = -3.5\nH 0 0 0\n").expect("reads");
        assert_eq!((xyz.cell_vectors.map(|cell| cell[0]), xyz.energies), (Some(4.0), Some(vec![-3.5])));
        let long = format!("1\nnote=\"{}\" energy=-1\nH 0 0 0\n", "x".repeat(3 << 20));
        assert_eq!(read(&long).expect("reads").energies, Some(vec![-1.0]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [
            ("", "line 1: there are no frames"),
            ("two\n", "line 1: expected the number of atoms"),
            ("0\n\n", "line 1: a frame without atoms"),
            ("1\n", "line 2: the line of properties"),
            ("1\nLattice=\"1 2\nH 0 0 0\n", "line 2: a quotation mark"),
            ("1\nLattice=\"1 2\"\nH 0 0 0\n", "line 2: the lattice"),
            ("1\nenergy=low\nH 0 0 0\n", "line 2: the energy"),
            ("1\nProperties=pos:R:3\n0 0 0\n", "line 2: Properties"),
            ("1\nProperties=species:S:1:pos:R\nH 0 0 0\n", "line 2: Properties"),
            ("2\n\nH 0 0 0\n", "line 4: the file ends"),
            ("1\n\nH 0 0\n", "line 3: 3 columns"),
            ("1\n\nH 0 0 nan\n", "line 3: 'nan' is not a number"),
            ("1\n\nXx 0 0 0\n", "'Xx' is not a chemical element"),
            ("1\n\nH 0 0 0\n2\n", "line 4: a frame of 2 atoms after frames of 1"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(line), "{text:?}: {error}");
        }
        assert!(
            Xyz::read(&mut &b"1\n\xff\n"[..], &XyzKeys::default())
                .is_err_and(|e| e.to_string().contains("line 2: the line is not UTF-8"))
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9HO =:\"'SRpos\n.e-]{0,80}") {
            let _ = read(&text);
            let _ = read(&format!("1\n{text}"));
        }
    }
}
