//! `nzip quantize` and `nzip evaluate` with checkpoints.

mod cli_support;

use cli_support::Folder;

/// A safetensors file of one F32 matrix.
fn checkpoint(name: &str) -> Vec<u8> {
    let json = format!(r#"{{"{name}":{{"dtype":"F32","shape":[64,128],"data_offsets":[0,32768]}}}}"#);
    let value = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    let data = (0..8192).flat_map(|i| value(i).to_le_bytes());
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat().into_iter().chain(data).collect()
}

#[test]
fn a_checkpoint_is_quantised_and_compared() {
    let folder = Folder::new();
    folder.write("a.safetensors", &checkpoint("a.weight"));
    let out =
        folder.command(&["quantize", "a.safetensors", "--rel-error", "0.1", "-o", "b.safetensors"]).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let out = folder.command(&["evaluate", "b.safetensors", "--against", "a.safetensors"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && text.contains("cosine") && text.contains("a.weight"), "{text}");
}

#[test]
fn texts_need_a_model_that_can_be_run_and_a_size() {
    let folder = Folder::new();
    folder.write("a.safetensors", &checkpoint("conv.weight"));
    folder.write("text", b"A text.\n");
    let run = |target: &[&str]| {
        let arguments =
            [&["quantize", "a.safetensors", "-o", "b.safetensors"], target, &["--calibrate", "text"]];
        let out = folder.command(&arguments.concat()).output().unwrap();
        assert!(!out.status.success() && !folder.exists("b.safetensors"));
        String::from_utf8(out.stderr).unwrap()
    };
    let said = run(&["--bits", "4"]);
    assert!(said.contains("conv.weight") && said.contains("a.safetensors"), "{said}");
    assert!(run(&["--max-error", "0.1"]).contains("--calibrate"));
}

#[test]
fn a_prefix_of_a_progressive_file_is_a_model() {
    let folder = Folder::new();
    folder.write("a.safetensors", &checkpoint("a.weight"));
    let run = |arguments: &[&str]| folder.command(arguments).output().unwrap();
    let good = |arguments: &[&str]| {
        let out = run(arguments);
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let said = good(&["quantize", "a.safetensors", "--progressive", "--bits", "7", "-o", "p.safetensors"]);
    assert!(said.contains(" parts"), "{said}");
    good(&["p.safetensors"]);
    // Any file may be cut, or read in part; one that is not compressed, too.
    let error = |file: &str, budget: &str| -> f64 {
        good(&["tensors", "extract", "--budget", budget, file, "-f", "-o", "b.safetensors"]);
        let json = good(&["evaluate", "b.safetensors", "--against", "a.safetensors", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["tensors"][0]["relative_error"].as_f64().unwrap()
    };
    let all = error("p.safetensors.nz", "1M");
    assert!(all < 0.05 && error("p.safetensors", "1M") == all, "{all}");
    let some = error("p.safetensors", "20000");
    assert!(some > 1.5 * all && some < 0.9, "{all} {some}");
    let out = run(&["tensors", "extract", "--budget", "200", "p.safetensors", "-o", "c.safetensors"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && said.contains("200 bytes are not enough"), "{said}");
    let out = run(&["tensors", "extract", "--budget", "1M", "a.safetensors", "-o", "c.safetensors"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        !out.status.success() && said.contains("--progressive") && !folder.exists("c.safetensors"),
        "{said}"
    );
}

#[test]
fn language_models_are_compared_by_what_they_expect() {
    let folder = Folder::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny-llama/");
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        folder.write(name, &std::fs::read(format!("{data}{name}")).unwrap());
    }
    folder.write("text", b"A text that is not long, and yet has some tokens to expect.\n");
    let good = |arguments: &[&str]| {
        let out = folder.command(arguments).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    good(&["quantize", "model.safetensors", "--rel-error", "0.2", "-o", "small.safetensors"]);
    let json = |model: &str| -> serde_json::Value {
        let text = good(&["evaluate", model, "text", "--against", "model.safetensors", "--json"]);
        serde_json::from_str(&text).unwrap()
    };
    let same = json("model.safetensors");
    let of = |json: &serde_json::Value, key: &str| json["expected"][0][key].as_f64().unwrap();
    assert_eq!((of(&same, "divergence"), of(&same, "agreement")), (0.0, 1.0));
    let small = json("small.safetensors");
    assert!(of(&small, "divergence") > 0.001 && of(&small, "agreement") < 1.0, "{small}");
    assert_eq!(of(&small, "original_bits_per_byte"), of(&same, "bits_per_byte"));
    assert!(small["layers"][1]["relative_error"].as_f64().unwrap() > 0.1);
    assert!((small["tensors"][0]["nuclear_ratio"].as_f64().unwrap() - 1.0).abs() < 0.3);
    let text = good(&["evaluate", "small.safetensors", "text", "text", "--against", "model.safetensors"]);
    assert!(["KL bits", "same top", "nuclear", "layer", "all"].iter().all(|w| text.contains(w)), "{text}");
    let coded: serde_json::Value =
        serde_json::from_str(&good(&["evaluate", "model.safetensors", "text", "--json"])).unwrap();
    assert!(coded["coded"][0]["bits_per_byte"].as_f64().unwrap() > 1.0 && coded["tensors"][0].is_null());
}

#[test]
fn zeros_and_codebooks_are_asked_for_by_options() {
    let folder = Folder::new();
    folder.write("a.safetensors", &checkpoint("a.weight"));
    let run = |arguments: &[&str]| {
        let all = [&["quantize", "a.safetensors", "--bits", "4", "-f", "-o", "b.safetensors"], arguments];
        let out = folder.command(&all.concat()).output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8(said).unwrap())
    };
    for arguments in [&["--sparse", "2:4"][..], &["--sparse", "0.5"], &["--sparse", "1:2", "--codebook", "8"]]
    {
        let (good, said) = run(arguments);
        assert!(good, "{said}");
        let file = std::fs::read(folder.path("b.safetensors")).unwrap();
        let zeros = file[file.len() - 32768..].chunks_exact(4).filter(|v| *v == [0; 4]).count();
        assert!(zeros >= 4096, "{arguments:?}: {zeros}");
    }
    for arguments in [&["--sparse", "4:2"][..], &["--codebook", "1"], &["--codebook", "4", "--progressive"]] {
        let (good, said) = run(arguments);
        assert!(!good && !said.is_empty(), "{arguments:?}: {said}");
    }
}
