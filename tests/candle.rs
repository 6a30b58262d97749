//! Weights of `.nz` files through candle's `VarBuilder`.

use candle_core::{DType, Device, IndexOp};
use nzip::Options;

/// A safetensors file with a matrix of single precision, a vector of half precision, and a packed one.
fn file() -> Vec<u8> {
    let matrix: Vec<u8> = (0..64 * 32).flat_map(|i| (i as f32 / 7.0).to_le_bytes()).collect();
    // 1.5, -2 and 0 in half precision.
    let vector: Vec<u8> = [0x3E00u16, 0xC000, 0].iter().flat_map(|h| h.to_le_bytes()).collect();
    let json = format!(
        r#"{{"a.weight":{{"dtype":"F32","shape":[64,32],"data_offsets":[0,8192]}},"a.bias":{{"dtype":"F16","shape":[3],"data_offsets":[8192,8198]}},"a.odd":{{"dtype":"U16","shape":[1],"data_offsets":[8198,8200]}}}}{}"#,
        " "
    );
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &matrix, &vector, &[7, 0]].concat()
}

#[test]
fn a_var_builder_reads_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors.nz");
    std::fs::write(&path, nzip::compress_with(&file(), Options::new()).unwrap()).unwrap();
    let weights = nzip::candle::var_builder(&path, DType::F32, &Device::Cpu).unwrap();
    let a = weights.pp("a");
    let matrix = a.get((64, 32), "weight").unwrap();
    assert_eq!(matrix.i((63, 31)).unwrap().to_scalar::<f32>().unwrap(), 2047.0 / 7.0);
    assert_eq!(a.get(3, "bias").unwrap().to_vec1::<f32>().unwrap(), [1.5, -2.0, 0.0]);
    let half = a.get_with_hints_dtype(3, "bias", Default::default(), DType::F16).unwrap();
    assert_eq!(half.dtype(), DType::F16);
    assert!(a.contains_tensor("weight") && !a.contains_tensor("gate"));
    assert!(a.get((32, 64), "weight").unwrap_err().to_string().contains("shape"));
    assert!(a.get(3, "gate").unwrap_err().to_string().contains("a.gate"));
    assert!(a.get(1, "odd").unwrap_err().to_string().contains("U16"));
}

#[test]
fn damage_is_an_error() {
    let mut packed = nzip::compress_with(&file(), Options::new().level(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.nz");
    // Inside the matrix's payload.
    let middle = packed.len() / 2;
    packed[middle] ^= 4;
    std::fs::write(&path, packed).unwrap();
    let failed = match nzip::candle::var_builder(&path, DType::F32, &Device::Cpu) {
        Ok(weights) => weights.get((64, 32), "a.weight").is_err(),
        Err(_) => true,
    };
    assert!(failed);
}
