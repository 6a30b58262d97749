//! Bitwise context mixing, specified in `formats/mix.md`.

pub mod ablation;
pub mod apm;
pub mod context;
pub mod direct;
pub mod history;
pub mod kernel;
pub mod logistic;
pub mod matcher;
pub mod mixer;
pub mod pages;
pub mod predictor;
pub mod priors;
pub mod slots;
pub mod state;
pub mod x86;
