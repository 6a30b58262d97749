//! Gives the shared library its name for the dynamic linker.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| ["linux", "freebsd", "android"].contains(&&*os)) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnzip.so.0");
    }
}
