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
