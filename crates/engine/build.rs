//! Refuses an HDF5 older than 1.14, whose file drivers and iterators over chunks the engine needs. Reading a stored chunk
//! is another call since 2.0.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(hdf5_2)");
    let is_at_least = |version: &str| std::env::var_os(format!("DEP_HDF5_VERSION_{version}")).is_some();
    if !is_at_least("1_14_0") {
        println!("cargo::error=h5part needs HDF5 1.14 or newer: install it, or build with the feature 'static'");
    }
    if is_at_least("2_0_0") {
        println!("cargo::rustc-cfg=hdf5_2");
    }
}
