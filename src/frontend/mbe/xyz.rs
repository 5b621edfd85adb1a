//! Extended XYZ: frames one after the other, each a number of atoms, a line of properties, and a line an atom. Pure.

use super::elements::atomic_number;
use crate::error::ErrorKind;
use std::collections::BTreeMap;
use std::io::BufRead;

/// What all frames of a file have, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Xyz {
    /// Number of frames.
    pub frames: u64,
    /// Number of atoms in each frame.
    pub atoms: u64,
    /// (frames, atoms), in Å: three a position.
    pub positions: Vec<f64>,
    /// (frames, atoms).
    pub atomic_numbers: Vec<i64>,
    /// (frames, 3, 3) in Å, where every frame has a lattice.
    pub cell_vectors: Option<Vec<f64>>,
    /// (frames), in eV, of all atoms together, where every frame has an energy.
    pub energies: Option<Vec<f64>>,
    /// (frames, atoms, 3) in eV/Å, where every frame has forces.
    pub forces: Option<Vec<f64>>,
}

/// Longest line that is read, in bytes: others are no XYZ.
const LONGEST: u64 = 1 << 20;

/// Columns of the lines of atoms, by their first place.
#[derive(Debug, Default, PartialEq)]
struct Places {
    species: usize,
    positions: usize,
    forces: Option<usize>,
    columns: usize,
}

impl Xyz {
    /// Reads all frames. They have as many atoms each.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`] with the number of the line, I/O errors.
    pub fn read(input: &mut impl BufRead) -> Result<Self, ErrorKind> {
        let mut lines = Lines { input, number: 0 };
        let mut xyz = Self {
            cell_vectors: Some(Vec::new()),
            energies: Some(Vec::new()),
            forces: Some(Vec::new()),
            ..Self::default()
        };
        while let Some(head) = lines.next()? {
            if head.trim().is_empty() {
                continue;
            }
            let atoms: u64 = head.trim().parse().map_err(|_| lines.bad("the number of atoms is expected"))?;
            if atoms == 0 || (xyz.frames > 0 && atoms != xyz.atoms) {
                let text = format!("a frame of {atoms} atoms after frames of {}", xyz.atoms);
                return Err(lines.bad(if atoms == 0 { "a frame without atoms" } else { &text }));
            }
            xyz.atoms = atoms;
            xyz.frame(&mut lines)?;
            xyz.frames += 1;
        }
        if xyz.frames == 0 {
            return Err(lines.bad("there are no frames"));
        }
        Ok(xyz)
    }

    fn frame<R: BufRead>(&mut self, lines: &mut Lines<'_, R>) -> Result<(), ErrorKind> {
        let comment = lines.next()?.ok_or_else(|| lines.bad("the line of properties is missing"))?;
        let properties = properties(&comment).ok_or_else(|| lines.bad("a quotation mark is not closed"))?;
        let numbers = |text: &String| text.split_whitespace().map(number).collect::<Option<Vec<f64>>>();
        match properties.get("lattice").map(numbers) {
            Some(Some(lattice)) if lattice.len() == 9 => extend(&mut self.cell_vectors, &lattice),
            Some(_) => return Err(lines.bad("the lattice is not nine numbers")),
            None => self.cell_vectors = None,
        }
        match properties.get("energy").map(|text| number(text)) {
            Some(Some(energy)) => extend(&mut self.energies, &[energy]),
            Some(None) => return Err(lines.bad("the energy is not a number")),
            None => self.energies = None,
        }
        let places = match properties.get("properties") {
            Some(text) => Places::parse(text).ok_or_else(|| lines.bad("Properties without species:S:1 and pos:R:3"))?,
            None => Places { species: 0, positions: 1, forces: None, columns: 4 },
        };
        if places.forces.is_none() {
            self.forces = None;
        }
        for _ in 0..self.atoms {
            let line = lines.next()?.ok_or_else(|| lines.bad("the file ends within a frame"))?;
            self.atom(&line, &places).map_err(|why| lines.bad(&why))?;
        }
        Ok(())
    }

    fn atom(&mut self, line: &str, places: &Places) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.len() < places.columns {
            return Err(format!("{} columns where {} are expected", words.len(), places.columns));
        }
        let three = |from: usize| -> Result<Vec<f64>, String> {
            let read = |word: &&str| number(word).ok_or_else(|| format!("'{word}' is not a number"));
            words[from..from + 3].iter().map(read).collect()
        };
        self.atomic_numbers.push(atomic_number(words[places.species]).map_err(|e| e.to_string())?);
        self.positions.extend(three(places.positions)?);
        if let Some(from) = places.forces.filter(|_| self.forces.is_some()) {
            extend(&mut self.forces, &three(from)?);
        }
        Ok(())
    }
}

fn extend(values: &mut Option<Vec<f64>>, more: &[f64]) {
    if let Some(values) = values {
        values.extend_from_slice(more);
    }
}

/// A finite number; Fortran writes its exponents with D.
fn number(text: &str) -> Option<f64> {
    text.replace(['d', 'D'], "e").parse::<f64>().ok().filter(|value| value.is_finite())
}

/// `key=value` pairs with keys in lower case; values may be in quotation marks. Words without `=` are no properties.
/// `None`: a quotation mark is not closed.
fn properties(line: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(value) = after.strip_prefix('=') else {
            rest = after.trim_start();
            continue;
        };
        let mark = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match mark {
            Some(mark) => value[1..].split_once(mark)?,
            None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        found.insert(key.to_lowercase(), value.to_owned());
        rest = after.trim_start();
    }
    Some(found)
}

impl Places {
    /// `species:S:1:pos:R:3:forces:R:3`.
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(':').collect();
        let (mut places, mut species, mut positions) = (Self::default(), None, None);
        for word in words.chunks(3) {
            let &[name, kind, count] = word else { return None };
            let count: usize = count.parse().ok()?;
            match (name.to_lowercase().as_str(), kind, count) {
                ("species" | "z" | "numbers", "S" | "I", 1) => species = species.or(Some(places.columns)),
                ("pos", "R", 3) => positions = Some(places.columns),
                ("forces" | "force", "R", 3) => places.forces = Some(places.columns),
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
        ErrorKind::BadValues(format!("line {}: {what}", self.number))
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
        Xyz::read(&mut text.as_bytes())
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
        // What not every frame has, the file has not.
        let some = TWO.replace("note Lattice='4 0 0 0 4 0 0 0 5' energy=-3.25", "");
        let xyz = read(&some).expect("reads");
        assert!(xyz.cell_vectors.is_none() && xyz.energies.is_none() && xyz.forces.is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [
            ("", "line 1: there are no frames"),
            ("two\n", "line 1: the number of atoms"),
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
            ("1\n\nXx 0 0 0\n", "'Xx' is no chemical element"),
            ("1\n\nH 0 0 0\n2\n", "line 4: a frame of 2 atoms after frames of 1"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(line), "{text:?}: {error}");
        }
        assert!(
            Xyz::read(&mut &b"1\n\xff\n"[..]).is_err_and(|e| e.to_string().contains("line 2: the line is not UTF-8"))
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
