//! `--version`: what this build and this machine support.

use nzip::{Codec, Models, instruction_sets};

/// The version, followed by features, codecs, models and instruction sets, one line each.
pub fn long() -> String {
    let features: Vec<&str> = [("gpu", cfg!(feature = "gpu")), ("train", cfg!(feature = "train"))]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect();
    let codecs: Vec<&str> = Codec::AVAILABLE.iter().map(|c| c.name()).collect();
    let models: Vec<&str> = Models::new().list().iter().filter_map(|m| m.name).collect();
    let sets = instruction_sets();
    let lines = [
        ("features", features),
        ("codecs", codecs),
        ("built-in models", models),
        ("instruction sets (the last one is used)", sets),
    ];
    let mut text = env!("CARGO_PKG_VERSION").to_string();
    for (what, names) in lines {
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        text += &format!("\n{what}: {names}");
    }
    text
}
