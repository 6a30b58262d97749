//! Inner parts that `nzip-train`, tests, benchmarks and fuzz targets use. No part of the interface: may change in any
//! release.

pub use crate::kernel::Kernel;
pub use crate::random::SplitMix;

pub mod codec {
    pub use crate::codec::{circuit, deflate, light, llm, lm, mix, table, window};
}
pub mod model {
    pub use crate::model::{circuit, llm, lm};
    #[cfg(feature = "ablation")]
    pub mod mix {
        pub use crate::model::mix::ablation;
    }
}
