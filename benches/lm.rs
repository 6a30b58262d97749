//! Speed of the language model with random weights of the two shipped shapes.
//! `cargo bench --bench lm`

use std::time::Instant;

use nzip::model::lm::weights::{Config, TableConfig, Weights};
use nzip::model::lm::{Kernel, Lanes, Model, Timeline};

/// The shape of a shipped model.
fn shape(width: usize, table_width: usize, tables: u8) -> Config {
    let tables = (1..=tables).map(|order| TableConfig { order, log2_rows: if order == 1 { 8 } else { 13 } });
    Config { width, state: width, hidden: 2 * width, layers: 3, table_width, tables: tables.collect() }
}

/// Bytes per second of `pass`, which handles `bytes` bytes, over about a second.
fn rate(bytes: usize, mut pass: impl FnMut()) -> f64 {
    pass();
    let start = Instant::now();
    let mut passes = 0;
    while start.elapsed().as_millis() < 700 {
        pass();
        passes += 1;
    }
    (passes * bytes) as f64 / start.elapsed().as_secs_f64()
}

fn steps(name: &str, model: &Model) {
    let window: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
    for columns in [1, 2, 4, 8, 16, 32, 48, 64] {
        let mut timeline = Timeline::new(model, columns).unwrap();
        let time = rate(columns, || {
            timeline.run(&window, 100, columns);
        });
        let mut lanes = Lanes::new(model, columns).unwrap();
        let lane = rate(columns, || {
            for i in 0..columns {
                lanes.set_history(i, &window[..500 + i]);
            }
            lanes.step();
        });
        let macs = model.config().multiply_adds() as f64 * 1e-9;
        println!(
            "{name} {columns:2} columns: time {:7.1} KB/s ({:5.1} G multiply-adds/s), lanes {:7.1} KB/s ({:5.1})",
            time * 1e-3,
            time * macs,
            lane * 1e-3,
            lane * macs
        );
    }
}

fn main() {
    let kernel = if std::env::var_os("NZIP_SCALAR").is_some() { Kernel::Scalar } else { Kernel::best() };
    for (name, config) in [("base", shape(192, 32, 6)), ("tiny", shape(96, 16, 5))] {
        let model = Model::with_kernel(Weights::seeded(config, 1), kernel).unwrap();
        println!("{name}: {} multiply-adds a byte", model.config().multiply_adds());
        steps(name, &model);
    }
}
