//! What is computed: solid argon with vacancies. Nothing here knows of files.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small counts, and random numbers of which only some bits are wanted"
)]

use ndarray::Array2;

/// Atoms of a frame.
pub const ATOMS: usize = 100;
/// Depth of the Lennard-Jones well, in eV (k x 119.8 K).
pub const EPSILON_EV: f64 = 0.010_323_6;
/// Distance at which the energy of a pair is zero, in Å.
pub const SIGMA_A: f64 = 3.405;
/// Edge of the periodic box, in Å: 3 x 3 x 3 cells of face-centred cubic argon.
pub const BOX_A: f64 = CELLS as f64 * CELL_A;
/// Pairs farther apart are left out, in Å. The sum converges slowly; this far out, what is left
/// out is 0.05 meV an atom, and no correction for it is needed.
pub const CUTOFF_A: f64 = 40.0;

const CELLS: u8 = 3;
const CELL_A: f64 = 5.26;
/// Sites of a cell, in units of its edge.
const SITES: [[f64; 3]; 4] = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
/// Atoms are off their sites by at most this along each axis, in Å.
const DISPLACEMENT_A: f64 = 0.25;

/// One arrangement of the atoms with its energy and forces.
pub struct Frame {
    /// Shape (atoms, 3), in Å.
    pub positions: Array2<f64>,
    /// Of all atoms together, in eV.
    pub energy: f64,
    /// Shape (atoms, 3), in eV/Å.
    pub forces: Array2<f64>,
}

impl Frame {
    /// The frame of this number: always the same, to the last bit.
    pub fn compute(number: u64) -> Self {
        let positions = arrange(number);
        let (energy, forces) = lennard_jones(&positions);
        Self { positions: to_array(&positions), energy, forces: to_array(&forces) }
    }
}

/// Atoms on [`ATOMS`] of the 108 sites, which ones and how far off them being random.
fn arrange(number: u64) -> Vec<[f64; 3]> {
    let mut random = SplitMix(number);
    let cells = || (0..CELLS).map(f64::from);
    let mut sites = Vec::new();
    for (x, y, z) in cells().flat_map(|x| cells().flat_map(move |y| cells().map(move |z| (x, y, z)))) {
        sites.extend(SITES.map(|[a, b, c]| [(x + a) * CELL_A, (y + b) * CELL_A, (z + c) * CELL_A]));
    }
    while sites.len() > ATOMS {
        sites.swap_remove(random.below(sites.len()));
    }
    for coordinate in sites.iter_mut().flatten() {
        *coordinate += DISPLACEMENT_A * (2.0 * random.unit() - 1.0);
    }
    sites
}

/// Energy and forces, summed over all pairs of an atom with another one and with every periodic
/// image of it within the cutoff.
fn lennard_jones(positions: &[[f64; 3]]) -> (f64, Vec<[f64; 3]>) {
    let images = images();
    let mut energy = energy_of_own_images(&images) * positions.len() as f64;
    let mut forces = vec![[0.0; 3]; positions.len()];
    for i in 0..positions.len() {
        for j in i + 1..positions.len() {
            let apart: [f64; 3] = std::array::from_fn(|axis| nearest(positions[j][axis] - positions[i][axis]));
            let (pair_energy, force) = sum_over_images(apart, &images);
            energy += pair_energy;
            for axis in 0..3 {
                forces[i][axis] -= force[axis];
                forces[j][axis] += force[axis];
            }
        }
    }
    (energy, forces)
}

/// Energy of a pair and the force on its second atom, with all images of that one.
fn sum_over_images(apart: [f64; 3], images: &[[f64; 3]]) -> (f64, [f64; 3]) {
    let (mut energy, mut force) = (0.0, [0.0; 3]);
    for image in images {
        let [x, y, z] = [apart[0] + image[0], apart[1] + image[1], apart[2] + image[2]];
        let r2 = x * x + y * y + z * z;
        if r2 < CUTOFF_A * CUTOFF_A {
            let inverse = 1.0 / r2;
            let s2 = SIGMA_A * SIGMA_A * inverse;
            let s6 = s2 * s2 * s2;
            energy += 4.0 * EPSILON_EV * s6 * (s6 - 1.0);
            let slope = 24.0 * EPSILON_EV * s6 * (2.0 * s6 - 1.0) * inverse;
            force = [force[0] + slope * x, force[1] + slope * y, force[2] + slope * z];
        }
    }
    (energy, force)
}

/// Half the energy of an atom with its own images; their forces on it cancel.
fn energy_of_own_images(images: &[[f64; 3]]) -> f64 {
    let is_other = |image: &[f64; 3]| image.iter().any(|&shift| shift != 0.0);
    let others: Vec<[f64; 3]> = images.iter().copied().filter(is_other).collect();
    sum_over_images([0.0; 3], &others).0 / 2.0
}

/// The images of the box that may hold an atom within the cutoff of one in the box.
fn images() -> Vec<[f64; 3]> {
    let reach = CUTOFF_A + BOX_A * 3f64.sqrt() / 2.0;
    let most = (reach / BOX_A) as i32;
    let shifts = || (-most..=most).map(|n| f64::from(n) * BOX_A);
    let all = shifts().flat_map(|x| shifts().flat_map(move |y| shifts().map(move |z| [x, y, z])));
    all.filter(|[x, y, z]| x * x + y * y + z * z < reach * reach).collect()
}

/// The distance along an axis to the nearest image.
fn nearest(apart: f64) -> f64 {
    apart - BOX_A * (apart / BOX_A).round()
}

fn to_array(vectors: &[[f64; 3]]) -> Array2<f64> {
    Array2::from(vectors.to_vec())
}

/// The generator "splitmix64": one state a frame, the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}
