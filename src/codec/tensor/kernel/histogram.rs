//! Counts symbols.

/// How often each symbol occurs in some sequences together.
pub fn histogram<'a>(sequences: impl Iterator<Item = &'a [u8]>) -> [u32; 256] {
    // Four tables, so that a symbol that follows itself does not wait until its count has been written.
    let mut parts = [[0u32; 256]; 4];
    for symbols in sequences {
        let (eights, rest) = symbols.as_chunks::<8>();
        for eight in eights {
            let eight = u64::from_le_bytes(*eight);
            for k in 0..8 {
                parts[k % 4][(eight >> (8 * k)) as usize & 255] += 1;
            }
        }
        rest.iter().for_each(|s| parts[0][usize::from(*s)] += 1);
    }
    let mut all = [0; 256];
    for part in &parts {
        all.iter_mut().zip(part).for_each(|(a, p)| *a += p);
    }
    all
}
