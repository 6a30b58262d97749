//! The nuclear norm of matrices: the sum of their singular values.

use crate::calibrate::product::{Matrix, product_into};

/// Matrices whose shorter side is longer are left out: the work grows with its cube.
pub const MOST_SIDE: usize = 2048;
/// Steps in which an eigenvalue has to be found.
const STEPS: usize = 60;

/// The sum of the singular values of a matrix; `None` where it is too large, or not finite. Singular values are found as
/// roots of the eigenvalues of its square in single precision, which leaves about three digits of the smallest ones.
pub fn nuclear_norm(m: &Matrix) -> Option<f64> {
    let n = m.rows.min(m.columns);
    if n == 0 || n > MOST_SIDE {
        return None;
    }
    let mut square = Matrix::zeros(n, n);
    let view = m.view();
    let (a, b) = if m.columns <= m.rows { (view.turned(), view) } else { (view, view.turned()) };
    product_into(&mut square.values, n, a, b, 1.0, false);
    if square.values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let values: Vec<f64> = square.values.iter().map(|v| f64::from(*v)).collect();
    let found = eigenvalues(values, n)?;
    let sum: f64 = found.iter().map(|v| v.max(0.0).sqrt()).sum();
    sum.is_finite().then_some(sum)
}

/// The eigenvalues of a symmetric matrix of n rows, by Householder's reflections and implicit QL steps (Wilkinson and
/// Reinsch, "Linear algebra", 1971, tred1 and imtql1). `None` where they are not found.
fn eigenvalues(mut a: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    for i in (1..n).rev() {
        let norm = a[i * n..][..i].iter().map(|v| v * v).sum::<f64>().sqrt();
        d[i] = a[i * n + i];
        if norm == 0.0 {
            continue;
        }
        // The reflection that leaves only the last value of the row's start.
        let mut u = a[i * n..][..i].to_vec();
        let alpha = if u[i - 1] > 0.0 { -norm } else { norm };
        u[i - 1] -= alpha;
        e[i] = alpha;
        let half: f64 = u.iter().map(|v| v * v).sum::<f64>() / 2.0;
        if half == 0.0 {
            continue;
        }
        let mut p = vec![0.0; i];
        for (j, value) in p.iter_mut().enumerate() {
            *value = a[j * n..][..i].iter().zip(&u).map(|(x, y)| x * y).sum::<f64>() / half;
        }
        let k = p.iter().zip(&u).map(|(x, y)| x * y).sum::<f64>() / (2.0 * half);
        p.iter_mut().zip(&u).for_each(|(x, y)| *x -= k * y);
        for j in 0..i {
            let (uj, pj) = (u[j], p[j]);
            let row = a[j * n..][..i].iter_mut().zip(u.iter().zip(&p));
            row.for_each(|(v, (x, y))| *v -= uj * y + pj * x);
        }
    }
    d[0] = a[0];
    // e[i] joins d[i] and d[i + 1] from here on.
    e.rotate_left(1);
    e[n - 1] = 0.0;
    for l in 0..n {
        for step in 0.. {
            let small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
            let m = (l..n - 1).find(|m| small(*m)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            if step == STEPS {
                return None;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            g = d[m] - d[l] + e[l] / (g + g.hypot(1.0).copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut whole = true;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    whole = false;
                    break;
                }
                (s, c) = (f / r, g / r);
                let g2 = d[i + 1] - p;
                let r = (d[i] - g2) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g2 + p;
                g = c * r - b;
            }
            if whole {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    Some(d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_are_those_of_known_matrices() {
        let n = 30usize;
        // 2 on the diagonal, -1 beside it.
        let a = (0..n * n).map(|k| match (k / n).abs_diff(k % n) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        let mut found = eigenvalues(a.collect(), n).unwrap();
        found.sort_by(f64::total_cmp);
        for (k, v) in found.iter().enumerate() {
            let exact = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((v - exact).abs() < 1e-12, "{k}: {v} {exact}");
        }
        // A full one: sums of eigenvalues and of their squares are known.
        let a: Vec<f64> = (0..n * n).map(|k| 1.0 / (1 + k / n + k % n) as f64).collect();
        let found = eigenvalues(a.clone(), n).unwrap();
        let trace: f64 = (0..n).map(|i| a[i * n + i]).sum();
        let squares: f64 = a.iter().map(|v| v * v).sum();
        assert!((found.iter().sum::<f64>() - trace).abs() < 1e-12);
        assert!((found.iter().map(|v| v * v).sum::<f64>() - squares).abs() < 1e-12);
    }

    #[test]
    fn a_matrix_has_the_norm_of_its_singular_values() {
        // An outer product of lengths 5 and 13, and another one that is orthogonal to it on both sides.
        let of = |r: usize, c: usize| {
            [3.0, 4.0, 0.0][r] * [5.0, 12.0, 0.0, 0.0][c] + [0.0, 0.0, 2.0][r] * [0.0, 0.0, 0.0, 7.0][c]
        };
        let m = Matrix { rows: 3, columns: 4, values: (0..12).map(|i| of(i / 4, i % 4)).collect() };
        let turned = Matrix { rows: 4, columns: 3, values: (0..12).map(|i| of(i % 3, i / 3)).collect() };
        for m in [m, turned] {
            assert!((nuclear_norm(&m).unwrap() - 79.0).abs() < 1e-2);
        }
        assert_eq!(nuclear_norm(&Matrix::zeros(3, 3)), Some(0.0));
        let holed = Matrix { rows: 1, columns: 2, values: vec![f32::NAN, 1.0] };
        assert_eq!(nuclear_norm(&holed), None);
    }
}
