//! Failures of a GPU.

/// The reason why a GPU could not do some work: it is missing, lost or out of memory, or the work is beyond
/// its limits. The CPU then does the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

/// The result of work on a GPU.
pub type Outcome<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
