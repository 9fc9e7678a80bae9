use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use pixel_iqn::train::plot::color;

/// A kind of output that a model can have, with what tables and charts show of it.
#[derive(Debug, PartialEq, Eq)]
pub struct OutputKind {
    /// The name, one of [`Output::KINDS`](pixel_iqn::Output::KINDS).
    pub name: &'static str,
    /// The model, for headings.
    pub title: &'static str,
    /// The line in `--help`.
    help: &'static str,
    /// The colour of its lines.
    pub color: [u8; 3],
}

const OUTPUT_KINDS: [OutputKind; 4] = [
    OutputKind {
        name: "gates",
        title: "PixelIQN, tau in the gates",
        help: "PixelIQN with tau in the gates of every layer, as published",
        color: color::BLUE,
    },
    OutputKind {
        name: "head",
        title: "PixelIQN, tau in the head",
        help: "PixelIQN with tau after the trunk alone",
        color: color::GREEN,
    },
    OutputKind {
        name: "monotone",
        title: "PixelIQN, monotone",
        help: "PixelIQN with whole quantile functions, which never cross",
        color: color::PURPLE,
    },
    OutputKind {
        name: "categorical",
        title: "Gated PixelCNN",
        help: "Gated PixelCNN: the probabilities of the intensity levels",
        color: color::ORANGE,
    },
];

impl OutputKind {
    /// Reads the name of a kind from a flag.
    pub fn parser() -> impl TypedValueParser<Value = &'static Self> {
        let value = |kind: &Self| PossibleValue::new(kind.name).help(kind.help);
        let names = PossibleValuesParser::new(OUTPUT_KINDS.iter().map(value));
        names.map(|name| {
            let kind = OUTPUT_KINDS.iter().find(|kind| kind.name == name);
            kind.expect("the parser lets no other name through")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_output_is_there() {
        let names = OUTPUT_KINDS.map(|kind| kind.name);
        assert_eq!(names[..], pixel_iqn::Output::KINDS[..]);
    }
}
