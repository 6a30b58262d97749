//! Inner parts that `nzip-train`, tests, benchmarks and fuzz targets use, item by item. They are not part of
//! the interface, and may change in any release.

pub use crate::kernel::Kernel;
pub use crate::random::SplitMix;

/// Codecs as functions, without streams around them.
pub mod codec {
    pub mod circuit {
        pub use crate::codec::circuit::{decode, encode};

        pub mod layout {
            pub use crate::codec::circuit::layout::{Arrangement, Known, Layout, detect};
        }
    }

    pub mod deflate {
        pub use crate::codec::deflate::restore;
    }

    pub mod jpeg {
        pub use crate::codec::jpeg::rebuild;
    }

    pub mod sort {
        pub use crate::codec::sort::{decode_block, encode_block};
    }
    pub mod light {
        pub use crate::codec::light::{BlockDecoder, encode_block};
    }

    pub mod llm {
        pub use crate::codec::llm::{
            ChainJob, MIN_PAYLOAD, decode_chains_with_lanes, decode_windows, decode_with_lanes,
            encode_blocks, encode_chains, kept_of,
        };
    }

    pub mod lm {
        pub use crate::codec::lm::{decode_windows, encode_blocks};
    }

    pub mod mix {
        pub use crate::codec::hints::Guide;
        pub use crate::codec::mix::{BlockDecoder, MixOptions, encode_block, learn_priors};
    }

    pub mod table {
        pub use crate::codec::table::{decode, inspect, payloads, restore};
    }

    pub mod window {
        pub use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits};
    }
}

/// Models, as the trainer learns them and tests step them.
pub mod model {
    pub mod circuit {
        pub use crate::model::circuit::{Alphabet, Likelihood, Model, Patch, Shape, Weights};

        pub mod learn {
            pub use crate::model::circuit::learn::{
                Dataset, Network, Partition, Products, Pseudo, Workspace,
            };

            pub mod em {
                pub use crate::model::circuit::learn::em::{full_pass, measure, stochastic_pass};
            }
            pub mod export {
                pub use crate::model::circuit::learn::export::export;
            }
            pub mod network {
                pub use crate::model::circuit::learn::network::{LearnedNode, Network};
            }
            pub mod random {
                pub use crate::model::circuit::learn::random::Random;
            }
            pub mod start {
                pub use crate::model::circuit::learn::start::{
                    from_clusters, grow, prune, prune_edges, states,
                };
            }
            pub mod structure {
                pub use crate::model::circuit::learn::structure::{Tree, learn};
            }
        }
    }

    pub mod llm {
        pub use crate::model::llm::{
            Adaptive, BitEncoder, Coder, Column, Distribution, Encode, Layer, MAX_COLUMNS, MAX_TOKEN, Matrix,
            Merge, Model, Scale, Session, Shape, Tokenizer, Weights, powers, sigmoid_table,
        };
    }

    pub mod lm {
        pub use crate::model::lm::{Adaptive, Lanes, MAX_COLUMNS, Model, Single, Timeline, WeightSums};

        pub mod weights {
            pub use crate::model::lm::weights::{Config, Layer, Matrix, TableConfig, Weights};
        }
    }

    #[cfg(feature = "ablation")]
    pub mod mix {
        pub use crate::model::mix::ablation;
    }
}
