//! Bitwise context mixing, specified in `formats/mix.md`.
//!
//! A byte is coded as eight binary decisions. For each of them, many contexts (hashes of the bytes before)
//! look up what followed them earlier ([`slots`], [`state`]) and give a probability; match models
//! ([`matcher`]) and direct counters ([`direct`]) give some more. A mixer that learns as it goes ([`mixer`])
//! weighs all of these, and final stages ([`apm`]) correct its result. The design follows Mahoney's PAQ
//! ("Adaptive weighing of context models for lossless data compression", 2005) and its successors.
//! [`predictor`] puts the parts together.

pub mod ablation;
pub mod apm;
pub mod context;
pub mod direct;
pub mod history;
pub mod jpeg;
pub mod kernel;
pub mod light;
pub mod logistic;
pub mod matcher;
pub mod mixer;
pub mod pages;
pub mod predictor;
mod priming;
pub mod priors;
mod samples;
pub mod shipped;
pub mod slots;
pub mod state;
pub mod x86;
