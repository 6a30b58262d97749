//! What the metadata of a progressive file says: the tensors that it stands for, and what levels of its parts mean.

use super::chain::{MOST_HALVINGS, Places};
use nzip::tensor::Dtype;
use nzip::{Error, ErrorKind, Result};
use serde_json::{Value, json};

/// The key of the metadata.
pub const KEY: &str = "nzip.progressive";
/// The version of this description.
const VERSION: u64 = 1;
/// The most parts of a run.
const MOST_PARTS: usize = 2 * MOST_HALVINGS + 1;

/// A tensor in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Whether rows and columns have exponents: a value is divided by 2 to the power of both.
    pub scaled: bool,
    pub runs: Vec<Run>,
}

/// Values of a tensor that have a chain of parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub values: u64,
    /// The first step.
    pub step: f32,
    /// The places of levels for each part that is in the file.
    pub parts: Vec<Places>,
}

impl Described {
    /// The name of a part's tensor.
    pub fn part(name: &str, run: usize, part: usize) -> String {
        format!("{name}@{run}.{part}")
    }

    /// The names of the tensors with the exponents of rows and columns.
    pub fn exponents(name: &str) -> [String; 2] {
        [format!("{name}@rows"), format!("{name}@columns")]
    }

    /// The number of values.
    pub fn values(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Rows and columns as a matrix: all dimensions but the last one are rows.
    pub fn sides(&self) -> (u64, u64) {
        let columns = self.shape.last().copied().unwrap_or(1);
        (self.shape.iter().rev().skip(1).product(), columns)
    }
}

/// The description as text.
pub fn written(tensors: &[Described]) -> String {
    // As short as the number allows.
    let number = |v: f32| v.to_string().parse::<f64>().unwrap_or(f64::from(v));
    let part = |places: &Places| places.iter().map(|v| json!(number(*v))).collect::<Value>();
    let run = |r: &Run| {
        let parts: Vec<Value> = r.parts.iter().map(part).collect();
        json!({ "values": r.values, "step": number(r.step), "parts": parts })
    };
    let tensor = |t: &Described| {
        json!({
            "name": t.name, "dtype": t.dtype.name(), "shape": t.shape, "scaled": t.scaled,
            "runs": t.runs.iter().map(run).collect::<Vec<_>>(),
        })
    };
    json!({ "version": VERSION, "tensors": tensors.iter().map(tensor).collect::<Vec<_>>() }).to_string()
}

/// Reads a description.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for one that says nothing that can be, [`ErrorKind::NewerVersion`] for one of a later release.
pub fn read(text: &str) -> Result<Vec<Described>> {
    let json: Value = serde_json::from_str(text).map_err(|e| corrupt(e.to_string()))?;
    match json["version"].as_u64() {
        Some(VERSION) => {}
        Some(later) => {
            let message = format!("a newer nzip is needed (version {later} of progressive files)");
            return Err(Error::new(ErrorKind::NewerVersion, message));
        }
        None => return Err(corrupt("no version")),
    }
    list(&json["tensors"], "tensors")?.iter().map(tensor).collect()
}

fn tensor(json: &Value) -> Result<Described> {
    let name = json["name"].as_str().ok_or_else(|| corrupt("a tensor without name"))?;
    let wrong = |what: &str| corrupt(format!("tensor {name:?}: {what}"));
    let dtype = json["dtype"].as_str().and_then(Dtype::from_name).filter(|d| crate::values::is_float(*d));
    let shape = list(&json["shape"], "shape")?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>();
    let found = Described {
        name: name.to_string(),
        dtype: dtype.ok_or_else(|| wrong("no float type"))?,
        shape: shape.ok_or_else(|| wrong("a shape of other than numbers"))?,
        scaled: json["scaled"].as_bool().unwrap_or(false),
        runs: list(&json["runs"], "runs")?.iter().map(run).collect::<Result<_>>()?,
    };
    // A dimension of 0 must not hide that the others have no product.
    let product = found.shape.iter().try_fold(1u64, |n, d| n.checked_mul((*d).max(1)));
    let values = product.map(|_| found.values());
    let in_runs = found.runs.iter().try_fold(0u64, |n, r| n.checked_add(r.values));
    if values.is_none() || values != in_runs {
        return Err(wrong(&format!("{values:?} values expected, {in_runs:?} in its runs")));
    }
    Ok(found)
}

fn run(json: &Value) -> Result<Run> {
    let values = json["values"].as_u64().ok_or_else(|| corrupt("a run without a number of values"))?;
    let number = |v: &Value| v.as_f64().map(|v| v as f32).filter(|v| v.is_finite());
    let step = number(&json["step"]).filter(|s| *s > 0.0);
    let step = step.ok_or_else(|| corrupt("a run whose step is no positive number"))?;
    let part = |json: &Value| {
        let places = list(json, "a part")?.iter().map(number).collect::<Option<Places>>();
        places
            .filter(|p| p.iter().all(|v| (0.0..=1.0).contains(v)))
            .ok_or_else(|| corrupt("a part with places that are not within a step"))
    };
    let parts = list(&json["parts"], "parts")?.iter().map(part).collect::<Result<Vec<_>>>()?;
    if parts.is_empty() || parts.len() > MOST_PARTS {
        return Err(corrupt(format!("a run of {} parts, 1 to {MOST_PARTS} expected", parts.len())));
    }
    Ok(Run { values, step, parts })
}

fn list<'a>(json: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    json.as_array().ok_or_else(|| corrupt(format!("{name}: no list")))
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message).within(KEY)
}
