use super::freqs::reread;
use super::*;
use crate::error::ErrorKind;
use crate::kernel::Kernel;
use crate::random::SplitMix;

/// Symbols below `spread`, low ones more often.
fn symbols(n: usize, spread: u32, rng: &mut SplitMix) -> Vec<u8> {
    (0..n)
        .map(|_| (rng.next_u32() % spread).min(rng.next_u32() % spread).min(rng.next_u32() % spread) as u8)
        .collect()
}

fn counts(symbols: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    symbols.iter().for_each(|s| counts[usize::from(*s)] += 1);
    counts
}

/// The payload, which all kernels make alike, even in memory that was used before.
fn packed(tables: &[Freqs], symbols: &[u8], contexts: Contexts<'_>) -> crate::Result<Vec<u8>> {
    let (encoder, mut memory) = (Encoder::new(tables), Coded::default());
    let mut results = Kernel::supported().map(|kernel| {
        let mut out = vec![1, 2, 3];
        encode(&encoder, kernel, symbols, contexts, symbols.len(), &mut memory)?;
        memory.put(&mut out);
        assert_eq!(out.len(), 3 + 4 * lanes(symbols.len()) + 2 * memory.words());
        Ok(out.split_off(3))
    });
    let first: crate::Result<Vec<u8>> = results.next().unwrap();
    for other in results {
        match (&first, &other) {
            (Ok(a), Ok(b)) => assert!(a == b),
            (a, b) => assert_eq!(a.is_ok(), b.is_ok()),
        }
    }
    first
}

fn decode(
    decoder: &Decoder,
    kernel: Kernel,
    payload: &[u8],
    contexts: Contexts<'_>,
    out: &mut [u8],
) -> crate::Result<()> {
    let mut runs = Runs::new(payload, out.len())?;
    runs.decode(decoder, kernel, contexts, out)?;
    runs.finish()
}

#[test]
fn round_trips_in_all_lengths() {
    let mut rng = SplitMix(1);
    for spread in [1, 2, 3, 30, 256] {
        for n in [0, 1, 3, 4, 5, 100, 2047, 2048, 2049, 2080, 5000, 100_000] {
            let symbols = symbols(n, spread, &mut rng);
            let freqs = Freqs::from_counts(&counts(&symbols));
            assert_eq!(reread(&freqs).unwrap(), freqs);
            let packed = packed(std::slice::from_ref(&freqs), &symbols, Contexts::One).unwrap();
            for kernel in Kernel::supported() {
                let mut out = vec![0xEE; n];
                let decoder = Decoder::new(std::slice::from_ref(&freqs));
                decode(&decoder, kernel, &packed, Contexts::One, &mut out).unwrap();
                assert!(out == symbols, "{spread} {n} {kernel:?}");
            }
        }
    }
}

#[test]
fn contexts_choose_tables() {
    let mut rng = SplitMix(2);
    let n = 30_001;
    let contexts: Vec<u8> = (0..n).map(|i| (i / 7 % 3) as u8).collect();
    let symbols: Vec<u8> =
        contexts.iter().map(|&c| c * 80 + (rng.next_u32() % (3 + u32::from(c))) as u8).collect();
    let tables: Vec<Freqs> = (0..3)
        .map(|c| {
            let of: Vec<u8> = symbols.iter().zip(&contexts).filter(|p| *p.1 == c).map(|p| *p.0).collect();
            Freqs::from_counts(&counts(&of))
        })
        .collect();
    let packed = packed(&tables, &symbols, Contexts::Many(&contexts)).unwrap();
    assert!(packed.len() < n * 26 / 100, "{}", packed.len());
    let decoder = Decoder::new(&tables);
    for kernel in Kernel::supported() {
        let mut out = vec![0; n];
        decode(&decoder, kernel, &packed, Contexts::Many(&contexts), &mut out).unwrap();
        assert!(out == symbols);
    }
    let e = decode(&decoder, Kernel::Scalar, &packed, Contexts::Many(&vec![3; n]), &mut vec![0; n]);
    assert_eq!(e.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn extreme_frequencies() {
    // 4095 and 1; and every symbol once.
    let mut one = [0; 256];
    (one[7], one[8]) = (1_000_000, 1);
    let skewed = Freqs::from_counts(&one);
    assert_eq!((skewed.0[7], skewed.0[8]), (4095, 1));
    let flat = Freqs::from_counts(&[5; 256]);
    assert!(flat.0.iter().all(|f| *f == 16));
    let mut many = [1; 256];
    many[255] = 1 << 30;
    assert_eq!(Freqs::from_counts(&many).0[255], 4096 - 255);
    let mut rng = SplitMix(3);
    for freqs in [skewed, flat, Freqs::from_counts(&many)] {
        let present: Vec<u8> = (0..=255).filter(|s| freqs.0[usize::from(*s)] > 0).collect();
        let symbols: Vec<u8> = (0..9000).map(|_| present[rng.next_u32() as usize % present.len()]).collect();
        let packed = packed(std::slice::from_ref(&freqs), &symbols, Contexts::One).unwrap();
        for kernel in Kernel::supported() {
            let mut out = vec![0; symbols.len()];
            let decoder = Decoder::new(std::slice::from_ref(&freqs));
            decode(&decoder, kernel, &packed, Contexts::One, &mut out).unwrap();
            assert!(out == symbols);
        }
    }
}

#[test]
fn kernels_agree_on_damage() {
    let mut rng = SplitMix(4);
    let symbols = symbols(6000, 40, &mut rng);
    let freqs = Freqs::from_counts(&counts(&symbols));
    let packed = packed(std::slice::from_ref(&freqs), &symbols, Contexts::One).unwrap();
    let decoder = Decoder::new(&[freqs]);
    for _ in 0..300 {
        let mut bad = packed.clone();
        let at = rng.next_u32() as usize % bad.len();
        bad[at] ^= 1 << (rng.next_u32() % 8);
        if rng.next_u32().is_multiple_of(4) {
            bad.truncate(rng.next_u32() as usize % bad.len());
        }
        let results: Vec<_> = Kernel::supported()
            .map(|k| {
                let mut out = vec![0; symbols.len()];
                decode(&decoder, k, &bad, Contexts::One, &mut out).map(|()| out).map_err(|e| e.kind())
            })
            .collect();
        assert!(results.iter().all(|r| *r == results[0]));
    }
    assert!(super::tests::packed(&[Freqs::from_counts(&[1; 256])], &[], Contexts::One).is_ok());
}

#[test]
fn symbols_without_frequency_are_refused() {
    let mut counts = [0; 256];
    (counts[1], counts[2]) = (5, 5);
    let freqs = [Freqs::from_counts(&counts)];
    let mut many = vec![1; 5000];
    many[77] = 3;
    for bad in [&[1, 2, 3, 1][..], &many] {
        assert_eq!(packed(&freqs, bad, Contexts::One).unwrap_err().kind(), ErrorKind::BadArgument);
    }
    for bad in [&[0, 0, 1, 0][..], &[0]] {
        let e = packed(&freqs, &[1, 2, 2, 1], Contexts::Many(bad)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::BadArgument);
    }
}

#[test]
fn cost_is_that_of_the_logarithm() {
    let mut counts = [0; 256];
    (counts[0], counts[1], counts[2]) = (2048, 1024, 1024);
    let cost = Freqs::from_counts(&counts).cost(&counts);
    assert_eq!(cost, 256 * (2048 + 2 * 2 * 1024));
}
