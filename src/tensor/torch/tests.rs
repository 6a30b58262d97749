use super::*;
use crate::tensor::zip::build;

/// Name, storage, type, offset, size and stride of a tensor.
type Pickled<'a> = (&'a str, &'a str, &'a str, u32, &'a [u8], &'a [u8]);

/// A pickle that makes a dictionary of tensors.
fn pickle(tensors: &[Pickled<'_>]) -> Vec<u8> {
    let text = |s: &str| [&b"X"[..], &(s.len() as u32).to_le_bytes(), s.as_bytes()].concat();
    let tuple = |n: &[u8]| [&b"("[..], &n.iter().flat_map(|n| [b'K', *n]).collect::<Vec<_>>(), b"t"].concat();
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (name, key, kind, offset, size, stride) in tensors {
        out.extend(text(name));
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        out.extend(text("storage"));
        out.extend(format!("ctorch\n{kind}Storage\n").bytes());
        out.extend(text(key));
        out.extend(text("cpu"));
        out.extend(b"K\x09tQJ");
        out.extend(offset.to_le_bytes());
        out.extend(tuple(size));
        out.extend(tuple(stride));
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u}X\x09\0\0\0_metadataK\x01sb.");
    out
}

fn layout(file: &Vec<u8>) -> Result<Option<Layout>> {
    parse(file, &zip::directory(file)?)
}

fn names(layout: &Layout) -> Vec<(&str, Dtype, &[u64])> {
    layout.tensors.iter().map(|t| (t.name.as_str(), t.dtype, &t.shape[..])).collect()
}

#[test]
fn tensors_of_storages() {
    let pickle = pickle(&[
        ("a.weight", "0", "Float", 0, &[2, 3], &[3, 1]),
        ("a.bias", "0", "Float", 6, &[2], &[1]),
        // The same bytes once more, and another order of elements.
        ("tied", "0", "Float", 0, &[2, 3], &[3, 1]),
        ("turned", "1", "BFloat16", 0, &[2, 4], &[1, 2]),
        // More than the storage has, and one that is not there.
        ("long", "2", "Long", 1, &[1, 2], &[7, 1]),
        ("missing", "3", "Long", 0, &[1], &[1]),
    ]);
    let file = build::archive(
        &[("m/data.pkl", &pickle), ("m/data/0", &[1; 32]), ("m/data/1", &[2; 16]), ("m/data/2", &[3; 16])],
        false,
    );
    let found = layout(&file).unwrap().unwrap();
    let expected: [(&str, Dtype, &[u64]); 4] = [
        ("a.weight", Dtype::F32, &[2, 3]),
        ("a.bias", Dtype::F32, &[2]),
        ("data/1", Dtype::Bf16, &[8]),
        ("data/2", Dtype::I64, &[2]),
    ];
    assert_eq!(names(&found), expected);
    for (t, byte) in found.tensors.iter().zip([1, 1, 2, 3]) {
        assert!(file[t.start as usize..t.end() as usize].iter().all(|b| *b == byte));
    }
    assert_eq!(found.kind, FileKind::Torch);
    for cut in 0..file.len() {
        assert!(layout(&file[..cut].to_vec()).is_err());
    }
}

#[test]
fn nothing_runs_and_nothing_grows() {
    let archive = |pickle: &[u8]| build::archive(&[("m/data.pkl", pickle), ("m/data/0", &[1; 32])], false);
    let evil = archive(b"cos\nsystem\nX\x02\0\0\0ls\x85R.");
    assert_eq!(layout(&evil).unwrap().unwrap().tensors, []);
    // Each list holds the one before twice: 2^40 places for one tensor.
    let mut bytes = pickle(&[("a", "0", "Float", 0, &[2], &[1])]);
    bytes.pop();
    for _ in 0..40 {
        bytes.extend(b"q\x07h\x07\x86");
    }
    bytes.push(b'.');
    let deep = layout(&archive(&bytes)).unwrap().unwrap();
    assert!(deep.tensors.len() <= 1);
    // A dictionary in itself.
    let own = b"}q\0X\x01\0\0\0ah\0s.";
    assert_eq!(layout(&archive(own)).unwrap().unwrap().tensors, []);
    // Numbers of the other byte order.
    let good = pickle(&[("a", "0", "Float", 0, &[2], &[1])]);
    let big = build::archive(&[("m/data.pkl", &good), ("m/byteorder", b"big"), ("m/data/0", &[1; 32])], true);
    assert!(layout(&big).is_err());
    assert!(layout(&build::archive(&[("a.npy", b"x")], false)).unwrap().is_none());
}

#[test]
fn files_of_old_releases() {
    let mut file = OLD_MAGIC.to_vec();
    file.extend(b".\x80\x02M\xE9\x03.\x80\x02}.");
    file.extend(pickle(&[
        ("w", "5", "Float", 0, &[2, 3], &[3, 1]),
        ("v", "7", "Half", 1, &[3], &[1]),
        ("gone", "8", "Half", 0, &[3], &[1]),
    ]));
    file.extend(b"\x80\x02](X\x01\0\0\x005X\x01\0\0\x007X\x01\0\0\x008e.");
    for (count, bytes) in [(6u64, &[1; 24][..]), (4, &[2; 8]), (u64::MAX, &[])] {
        file.extend(count.to_le_bytes());
        file.extend(bytes);
    }
    let found = parse_old(&file).unwrap();
    let expected: [(&str, Dtype, &[u64]); 2] = [("w", Dtype::F32, &[2, 3]), ("v", Dtype::F16, &[3])];
    assert_eq!(names(&found), expected);
    for (t, byte) in found.tensors.iter().zip([1, 2]) {
        assert!(file[t.start as usize..t.end() as usize].iter().all(|b| *b == byte));
    }
    for cut in 0..file.len() {
        if let Ok(found) = parse_old(&&file[..cut]) {
            assert!(found.tensors.iter().all(|t| t.end() <= cut as u64));
        }
    }
}
