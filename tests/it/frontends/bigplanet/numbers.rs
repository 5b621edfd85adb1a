//! Numbers come into an archive with the bits that pandas gives them.

use super::toy::{Random, Toy};
use crate::common::planets::planet;
use crate::common::support::finished;
use std::fmt::Write as _;

#[test]
fn numbers_have_the_bits_that_pandas_gives_them() {
    let Some(mut python) = planet("python") else { return };
    let toy = Toy::new(1);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut text = String::new();
    for _ in 0..50_000 {
        for _ in 0..4 {
            let digits = (random.next() % 20) as usize;
            let exponent = (random.next() % 640) as i64 - 325;
            let whole = random.next() % 10u64.pow((random.next() % 16) as u32);
            let word = match random.next() % 5 {
                0 => random.value(),
                1 => format!("{:.digits$}", random.next() as f64 / 1e9),
                2 => format!("-{whole}.{:06}", random.next() % 1_000_000),
                3 => format!("0.{:020}", random.next()),
                _ => format!("{}.{:05}e{exponent}", random.next() % 10, random.next() % 100_000),
            };
            // A word that is too large is a number for neither program.
            let word = if word.parse::<f64>().is_ok_and(|x| x.abs() < 1e300) { word } else { "0.5".to_owned() };
            let _ = write!(text, "{word} ");
        }
        text += "\n";
    }
    toy.write("MP/a0/toy.planet.forward", text);
    toy.ok(&["-a", "bpl.in"]);
    let script = r"
import h5py, warnings, numpy as np, pandas as pd
warnings.simplefilter('ignore')
table = pd.read_csv('MP/a0/toy.planet.forward', header=None, delim_whitespace=True).to_numpy().transpose()
for name, theirs in zip(['Time', 'TCore', 'Ecc', 'Flux'], table):
    ours = h5py.File('MP.bpa')['a0/planet:%s:forward' % name][0]
    assert ours.dtype == theirs.dtype
    bad = np.flatnonzero(ours.view('i8') != np.ascontiguousarray(theirs).view('i8'))
    assert len(bad) == 0, (len(bad), name, bad[0], ours[bad[0]], theirs[bad[0]])
";
    let (code, _, err) = finished(&python.arg("-c").arg(script).current_dir(toy.folder()).output().expect("starts"));
    assert_eq!(code, 0, "{err}");
}
