use clap::ValueEnum;
use pixel_iqn::core::Lowering;

/// How causal convolutions become operations of a backend
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoweringName {
    /// What models use
    Fastest,
    /// Gathered taps and one matrix product
    Product,
    /// The backend's convolution with a cropped kernel
    Convolution,
    /// What models use, with operands rounded to bfloat16
    Bfloat16,
}

impl LoweringName {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fastest => "fastest",
            Self::Product => "product",
            Self::Convolution => "convolution",
            Self::Bfloat16 => "bfloat16",
        }
    }

    pub fn lowering(self) -> Lowering {
        match self {
            Self::Fastest => Lowering::Fastest,
            Self::Product => Lowering::Product,
            Self::Convolution => Lowering::Convolution,
            Self::Bfloat16 => Lowering::Bfloat16,
        }
    }
}
