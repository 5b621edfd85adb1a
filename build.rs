//! Tells the code which HDF5 it is linked with: the file driver and the chunk iterator need 1.14,
//! references have other names since 1.12, switching off the library's own locks 1.10.7 or 1.12.1; reading
//! a stored chunk is another call since 2.0.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(hdf5_2)");
    println!("cargo::rustc-check-cfg=cfg(hdf5_1_14)");
    println!("cargo::rustc-check-cfg=cfg(hdf5_1_12)");
    println!("cargo::rustc-check-cfg=cfg(hdf5_locking_option)");
    let is_at_least = |version: &str| std::env::var_os(format!("DEP_HDF5_VERSION_{version}")).is_some();
    for (version, name) in [("2_0_0", "hdf5_2"), ("1_14_0", "hdf5_1_14"), ("1_12_0", "hdf5_1_12")] {
        if is_at_least(version) {
            println!("cargo::rustc-cfg={name}");
        }
    }
    if (is_at_least("1_10_7") && !is_at_least("1_12_0")) || is_at_least("1_12_1") {
        println!("cargo::rustc-cfg=hdf5_locking_option");
    }
}
