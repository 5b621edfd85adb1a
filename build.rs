//! Tells the code which HDF5 it is linked with: the file driver and the chunk iterator need 1.14.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(hdf5_1_14)");
    if std::env::var_os("DEP_HDF5_VERSION_1_14_0").is_some() {
        println!("cargo::rustc-cfg=hdf5_1_14");
    }
}
