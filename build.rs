//! Compiles the C side of the transaction driver against the headers of the HDF5 that is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/storage/hdf5/transaction/driver.c");
    let include = std::env::var("DEP_HDF5_INCLUDE")
        .expect("hdf5-metno-sys tells its dependents where HDF5's headers are");
    cc::Build::new()
        .file("src/storage/hdf5/transaction/driver.c")
        .include(include)
        .std("c11")
        .warnings(true)
        .extra_warnings(true)
        .compile("pixelmill_driver");
    for version in ["1_12", "1_14", "2_0"] {
        println!("cargo::rustc-check-cfg=cfg(hdf5_{version})");
        if std::env::var_os(format!("DEP_HDF5_VERSION_{version}_0")).is_some() {
            println!("cargo::rustc-cfg=hdf5_{version}");
        }
    }
}
