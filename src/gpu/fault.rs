//! What goes wrong on a GPU and not on a CPU.

/// Why a GPU could not finish some work: missing, lost, out of memory, or beyond its limits. The work is then
/// done by the CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

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
