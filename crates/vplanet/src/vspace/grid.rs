//! All trials of an ensemble: names, values, and their list.

use super::axis::Axis;
use super::input::{Input, bad_line, shown};
use h5part_base::error::ErrorKind;

/// Most trials of an ensemble.
const MOST: u64 = 100_000_000;

/// The options that vary, over all files.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    axes: Vec<(usize, Axis)>,
    trial: Vec<u8>,
    /// Names of its files, without their last three letters.
    bodies: Vec<Vec<u8>>,
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialSpec {
    /// Name of its folder.
    pub name: Vec<u8>,
    /// One value per axis.
    pub values: Vec<f64>,
    /// Its line in the list.
    pub line: Vec<u8>,
}

impl Grid {
    /// The grid of a vspace.in.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`]: random values, or lines that cannot be read.
    pub fn of(input: &Input) -> Result<Self, ErrorKind> {
        if let Some((number, word)) = &input.mode {
            match word.first() {
                Some(b'g' | b'G') => {}
                Some(b'r' | b'R') => {
                    return Err(bad_line(
                        *number,
                        "only vspace itself supports random trials: use vspace for this file",
                    ));
                }
                _ => return Err(bad_line(*number, format!("'{}' is neither grid nor random", shown(word)))),
            }
        }
        if let Some((number, word)) = &input.seed {
            let whole = String::from_utf8_lossy(word).parse().is_ok_and(|seed: f64| seed.fract() == 0.0);
            if !whole {
                return Err(bad_line(*number, format!("'{}' is not a whole number", shown(word))));
            }
        }
        if let Some(number) = input.astray.first() {
            return Err(bad_line(*number, "it varies an option before any file is named"));
        }
        let mut axes = Vec::new();
        for (file, section) in input.files.iter().enumerate() {
            for (number, line) in &section.lines {
                axes.extend(Axis::parse(*number, line)?.map(|axis| (file, axis)));
            }
        }
        let trials = axes.iter().try_fold(1, |trials: u64, (_, axis)| trials.checked_mul(axis.values.len() as u64));
        if trials.is_none_or(|trials| trials > MOST) {
            return Err(bad_line(0, "its grid has more than a hundred million trials"));
        }
        let trial = input.trial.clone().unwrap_or_else(|| b"default".to_vec());
        let bodies = input.files.iter().map(|section| section.file[..section.file.len().max(3) - 3].to_vec()).collect();
        Ok(Self { axes, trial, bodies })
    }

    /// Whether no option varies.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.axes.is_empty()
    }

    /// The options of a file that vary, with the numbers of their axes.
    #[must_use]
    pub fn of_file(&self, file: usize) -> Vec<(&[u8], usize)> {
        let axes = self.axes.iter().enumerate().filter(|(_, (of, _))| *of == file);
        axes.map(|(number, (_, axis))| (axis.option.as_slice(), number)).collect()
    }

    /// Number of trials.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.axes.iter().map(|(_, axis)| axis.values.len() as u64).product()
    }

    /// Whether there are no trials.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first line of the list.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let mut header = b"trial ".to_vec();
        for (file, axis) in &self.axes {
            header.extend_from_slice(self.bodies.get(*file).map_or(&[], Vec::as_slice));
            header.push(b'/');
            header.extend_from_slice(&axis.option);
            header.push(b' ');
        }
        header
    }

    /// The trials in order: the last axis varies fastest.
    pub fn trials(&self) -> impl Iterator<Item = TrialSpec> + '_ {
        (0..self.len()).map(|number| self.trial(number))
    }

    fn trial(&self, number: u64) -> TrialSpec {
        let mut rest = number;
        let mut values = vec![0.0; self.axes.len()];
        for (value, (_, axis)) in values.iter_mut().zip(&self.axes).rev() {
            let count = axis.values.len().max(1) as u64;
            let at = usize::try_from(rest % count).unwrap_or(0);
            *value = axis.values.get(at).copied().unwrap_or(f64::NAN);
            rest /= count;
        }
        let names: Vec<Vec<u8>> =
            self.axes.iter().zip(&values).map(|((_, axis), value)| axis.name_of(*value)).collect();
        let mut line = names.join(&b'_');
        let name = [self.trial.as_slice(), &line].concat();
        for value in &values {
            line.extend(format!(" {value:.6}").into_bytes());
        }
        TrialSpec { name, values, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(text: &str) -> Result<Grid, ErrorKind> {
        Grid::of(&Input::parse(text.as_bytes()).expect("parses"))
    }

    #[test]
    fn the_last_axis_varies_fastest() {
        let grid = grid("sTrialName t_\nfile earth.in\ndSemi [1, 2, n2] a\ndEcc [0, 0.5, n11] e\nfile vpl.in\nx 1\n");
        let grid = grid.expect("grid");
        assert_eq!(grid.len(), 22);
        assert_eq!(String::from_utf8_lossy(&grid.header()), "trial earth/dSemi earth/dEcc ");
        let trials: Vec<_> = grid.trials().collect();
        assert_eq!(trials[1].name, b"t_a0_e01");
        assert_eq!(String::from_utf8_lossy(&trials[21].line), "a1_e10 2.000000 0.500000");
        assert_eq!(grid.of_file(0), [(&b"dSemi"[..], 0), (&b"dEcc"[..], 1)]);
        assert!(grid.of_file(1).is_empty());
    }

    #[test]
    fn what_is_not_for_us_is_refused() {
        let refused = |text: &str| grid(text).expect_err("is refused").to_string();
        assert!(refused("sSampleMode random\n").contains("line 1: only vspace itself supports random trials"));
        assert!(refused("sSampleMode x\n").contains("neither grid nor random"));
        assert!(refused("iSeed 1.5\n").contains("not a whole number"));
        assert!(refused("a [1, 2, n3] a\nfile x.in\n").contains("before any file is named"));
        assert!(refused("file x.in\na [1,2,n1e5] a\nb [1,2,n1e5] b\n").contains("hundred million"));
        assert!(grid("samplemode Grid\nseed 4\nfile x.in\n").expect("grid").is_single());
    }
}
