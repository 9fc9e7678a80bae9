//! The sets in the format of MNIST, which share its names and are told apart by their checksums.

use std::fmt;

use crate::{
    error::{DataError, Result},
    mnist_files::Content,
};

/// The set that four files in the format of MNIST are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The official MNIST, bit for bit.
    Mnist,
    /// The official compressed files of Fashion-MNIST: ten kinds of clothes. Source: H. Xiao,
    /// K. Rasul and R. Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    /// Learning Algorithms*, 2017, <https://arxiv.org/abs/1708.07747>.
    FashionMnist,
    /// The official compressed files of KMNIST: ten cursive Japanese characters. Source: T. Clanuwat
    /// et al., *Deep Learning for Classical Japanese Literature*, 2018,
    /// <https://arxiv.org/abs/1812.01718>.
    Kmnist,
    /// No checksum of the files is known: an unpacked relative of MNIST, EMNIST, or a set of your
    /// own.
    Unknown,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mnist => "MNIST",
            Self::FashionMnist => "Fashion-MNIST",
            Self::Kmnist => "KMNIST",
            Self::Unknown => "a set in the format of MNIST, of unknown origin",
        })
    }
}

/// The published checksums of a set, in the order of reading.
pub(crate) struct Known {
    /// The set.
    pub(crate) origin: Origin,
    /// MD5 of the uncompressed files, where they are published.
    pub(crate) md5: Option<[&'static str; 4]>,
    /// MD5 of the official compressed files. A file that was compressed again has another.
    pub(crate) gzip_md5: [&'static str; 4],
}

/// The sets whose checksums are published, those of the relatives in the sources of torchvision.
pub(crate) const KNOWN: [Known; 3] = [
    Known {
        origin: Origin::Mnist,
        md5: Some([
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ]),
        gzip_md5: [
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ],
    },
    Known {
        origin: Origin::FashionMnist,
        md5: None,
        gzip_md5: [
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ],
    },
    Known {
        origin: Origin::Kmnist,
        md5: None,
        gzip_md5: [
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ],
    },
];

/// Says which of the known sets four files are.
///
/// # Errors
///
/// [`DataError::Inconsistent`] for files of two known sets. [`DataError::Checksum`] where a file is
/// of a known set and another is not, though a checksum of it is known: it is damaged, or does not
/// belong there. An unpacked file of a set whose unpacked checksums are not known makes the whole
/// set one of unknown origin.
pub(crate) fn identify(files: &[Content; 4], known: &[Known]) -> Result<Origin> {
    let sets = files.each_ref().map(|file| {
        known.iter().find(|set| {
            let is = |sums: &[&str; 4], sum: &str| sums.contains(&sum);
            set.md5.is_some_and(|sums| is(&sums, &file.md5))
                || (file.packed_md5.as_ref()).is_some_and(|sum| is(&set.gzip_md5, sum))
        })
    });
    let first = sets
        .iter()
        .zip(files)
        .find_map(|(set, file)| Some(((*set)?, file)));
    let Some((set, of_set)) = first else {
        return Ok(Origin::Unknown);
    };
    let mut origin = set.origin;
    for (slot, (file, own)) in files.iter().zip(sets).enumerate() {
        if let Some(own) = own.filter(|own| own.origin != set.origin) {
            return Err(DataError::Inconsistent(format!(
                "{} is of {}, but {} is of {}: put the four files of one set there",
                of_set.path.display(),
                set.origin,
                file.path.display(),
                own.origin
            )));
        }
        let packed_fits = file.packed_md5.as_deref() == Some(set.gzip_md5[slot]);
        let (expected, found) = match (&set.md5, &file.packed_md5) {
            _ if packed_fits => continue,
            (Some(md5), _) => (md5[slot], &file.md5),
            (None, Some(packed_md5)) => (set.gzip_md5[slot], packed_md5),
            (None, None) => {
                origin = Origin::Unknown;
                continue;
            }
        };
        if found != expected {
            return Err(DataError::Checksum {
                path: file.path.clone(),
                algorithm: "MD5",
                expected: expected.to_owned(),
                found: found.clone(),
            });
        }
    }
    Ok(origin)
}
