//! The crate in one page: a table, two writers at the same time, a reader that knows what is there.
//!
//! `cargo run --release --example crate_tour`

use h5part::publish::{Packing, Publishing, Snapshot};
use h5part::{Durability, Store, Table};
use ndarray::{Array1, Array3};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;

    // A table of 100 rows: an energy and five vectors in each. Missing floats are NaN.
    let table = Table::new("run/results", 100).column::<f64>("E", []).column::<f64>("forces", [5, 3]);
    let store = Store::create(dir.path().join("tour.h5"), table)?;

    // Another writer of other rows: here in a thread, usually in another process. None waits.
    let other = store.clone();
    let thread = std::thread::spawn(move || -> Result<()> {
        let mut writer = other.writer("run/results")?;
        for row in 50..80 {
            writer.commit(row).set("E", -0.5).run()?;
        }
        Ok(())
    });

    // This one commits ten rows of both columns: value i goes to row i of the selection.
    let mut writer = store.writer("run/results")?;
    writer.set_durability(Durability::Process); // survives kill -9; the default, a loss of power too
    let (energies, forces) = (Array1::linspace(0.0, 0.9, 10), Array3::<f64>::zeros((10, 5, 3)));
    let commit = writer.commit(0..10).set("E", &energies).set("forces", &forces).run()?;
    println!("committed {} rows, {} bytes", commit.rows, commit.bytes);
    thread.join().map_err(|_| "the other writer panicked")??;

    // A mistake is an error that says what to do, and nothing is written.
    let mistake = writer.commit(0..10).set("E", &[1.0, 2.0]).run();
    println!("two values for ten rows: {}", mistake.err().ok_or("it was accepted")?);

    // Rows in any order; the mask says which of them are there.
    let block = store.reader("run/results")?.read("E", [9, 50, 99])?;
    println!("E of rows 9, 50, 99: {}, there: {}", block.array::<f64>()?, block.mask());

    for column in store.status("run/results")?.columns {
        println!("{}: {} rows committed, {} missing", column.name, column.committed, column.missing);
    }

    // For many readers: a copy of what is committed. They keep the one that they opened.
    let published = dir.path().join("published.h5");
    store.publish(&published, Publishing { packing: Packing::Plain, ..Publishing::default() })?;
    let snapshot = Snapshot::open(&published)?;
    let energies = snapshot.view::<f64>("run/results", "E")?; // of the file's pages, without a copy
    println!("published: {} energies, the last one that is there is {}", energies.len(), energies[[79]]);
    Ok(())
}
