//! The names of the data sets that this crate opens.

use std::{fmt, str::FromStr};

/// A kind of data set that [`open`](crate::open) opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatasetKind {
    /// CIFAR-10, read by [`cifar10`](crate::cifar10).
    Cifar10,
    /// MNIST or a set in its format, read by [`mnist`](crate::mnist).
    Mnist,
    /// ImageNet 32x32, read by [`imagenet32`](crate::imagenet32).
    Imagenet32,
    /// Any folder of image files, read by [`folder`](crate::folder).
    Folder,
    /// The set that this crate draws itself, made by [`builtin`](crate::builtin).
    Builtin,
}

impl DatasetKind {
    /// All kinds, in the order in which messages list them.
    pub const ALL: &'static [Self] = &[
        Self::Cifar10,
        Self::Mnist,
        Self::Imagenet32,
        Self::Folder,
        Self::Builtin,
    ];

    /// Returns the name that [`FromStr`] reads and [`Display`](fmt::Display) writes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Mnist => "mnist",
            Self::Imagenet32 => "imagenet32",
            Self::Folder => "folder",
            Self::Builtin => "builtin",
        }
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DatasetKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let kind = Self::ALL.iter().find(|kind| kind.name() == name);
        kind.copied().ok_or_else(|| UnknownKind {
            given: name.to_owned(),
        })
    }
}

/// The error for a name that no [`DatasetKind`] has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown data set {given:?}: choose one of {}", choices())]
#[non_exhaustive]
pub struct UnknownKind {
    /// The name that was given.
    pub given: String,
}

/// Lists all names, for messages.
fn choices() -> String {
    let names: Vec<&str> = DatasetKind::ALL.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for &kind in DatasetKind::ALL {
            assert_eq!(kind.to_string().parse::<DatasetKind>().unwrap(), kind);
        }
        let error = "cifar".parse::<DatasetKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown data set \"cifar\": \
             choose one of cifar10, mnist, imagenet32, folder, builtin"
        );
    }
}
