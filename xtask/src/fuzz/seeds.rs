use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use pixel_iqn::core::{AnyModel, PixelModel, weights};
use pixel_iqn::data::{NpzArray, NpzWriter, PngFolder, builtin, write_npz};
use pixel_iqn::train::{DataConfig, Manifest};
use pixel_iqn::{ModelConfig, RunConfig, TrainConfig};

use super::parsers::{GRID, model, trainer, zip};

/// Files of PyTorch 2.15, of its two formats: `torch.save` of tensors of three names.
const PTH: [&[u8]; 2] = [
    include_bytes!("../../../fuzz/seeds/new.pth"),
    include_bytes!("../../../fuzz/seeds/old.pth"),
];

/// Valid inputs of a parser, which mutations begin from. `folder` is for files on the way.
pub fn of(parser: &str, folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    Ok(match parser {
        "idx" => {
            let images = [
                &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2][..],
                &[7; 4],
            ]
            .concat();
            vec![gzip(&images)?, images, vec![0, 0, 8, 1, 0, 0, 0, 1, 3]]
        }
        "cifar10" => {
            let record = |label| [&[label][..], &[100; 3072]].concat();
            vec![record(3), [record(0), record(9)].concat()]
        }
        "cifar10-archive" => {
            let tar = tar(
                "cifar-10-batches-bin/data_batch_1.bin",
                b"not the official one",
            );
            vec![gzip(&tar)?, tar]
        }
        "imagenet32" => vec![batch()],
        "npz" => vec![batch(), statistics(folder)?, images(folder)?],
        "npy" | "npy-in-zip" => vec![
            npy("|u1", "(1, 2, 2, 3)", &[5; 12]),
            npy("<i8", "(2,)", &[0; 16]),
            npy("<f8", "(1, 2)", &[0; 16]),
        ],
        "image" | "image-in-zip" => vec![
            picture(ImageFormat::Png)?,
            picture(ImageFormat::Jpeg)?,
            picture(ImageFormat::WebP)?,
            picture(ImageFormat::Bmp)?,
        ],
        "image-grids" => {
            let (shape, job) = GRID;
            let folder = folder.join("image-grids");
            PngFolder::open(&folder, shape, job)?.save(0, &[9; 2 * 48])?;
            vec![fs::read(folder.join("job.txt"))?]
        }
        "safetensors" => {
            let model = AnyModel::init(&model(), &pixel_iqn::device("cpu")?);
            vec![weights::to_safetensors(&model)?]
        }
        "pth" => PTH.map(<[u8]>::to_vec).into(),
        "config-toml" => vec![
            config()?.to_toml().into_bytes(),
            b"[model]\npreset = \"paper_small\"\noutput = \"head\"\n[train]\nsteps = 9\n".to_vec(),
        ],
        "config-json" => vec![
            ModelConfig::quick().to_json().into_bytes(),
            model().to_json().into_bytes(),
        ],
        "manifest" => {
            let manifest = serde_json::json!({
                "format": Manifest::FORMAT,
                "version": Manifest::VERSION,
                "crate_version": "0.1.0",
                "git_revision": "unknown",
                "written": 1_800_000_000_u64,
                "counters": trainer().state()?.0,
                "held_out": null,
                "best": { "step": 1, "loss": 0.5, "worse_since": 0 },
                "seconds": 1.5,
                "config": config()?,
            });
            vec![manifest.to_string().into_bytes()]
        }
        "checkpoint" => vec![trainer().state()?.1],
        other => anyhow::bail!("there are no seeds for `{other}`"),
    })
}

fn config() -> anyhow::Result<RunConfig> {
    let [train, held_out] = [
        builtin::generate(0, 0..2, 8, 3)?,
        builtin::generate(0, 2..3, 8, 3)?,
    ];
    let data = DataConfig::new("builtin", &train, &held_out);
    Ok(RunConfig::new(data, model(), TrainConfig::new(9, 2)))
}

fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// One file, in the form of tar that all read (`ustar`).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut archive = [&header, content].concat();
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [
        b"\x93NUMPY\x01\0",
        &(header.len() as u16).to_le_bytes()[..],
        header.as_bytes(),
        data,
    ]
    .concat()
}

/// A batch of ImageNet 32x32 of one image.
fn batch() -> Vec<u8> {
    let data = npy("|u1", "(1, 3072)", &[7; 3072]);
    let labels = npy("<i8", "(1,)", &1_u64.to_le_bytes());
    zip(&[("data.npy", &data), ("labels.npy", &labels)])
}

fn statistics(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("statistics.npz");
    let array = |shape: &[usize]| NpzArray {
        shape: shape.to_vec(),
        values: vec![0.0; shape.iter().product()],
    };
    write_npz(&path, &[("mu", &array(&[2])), ("sigma", &array(&[2, 2]))])?;
    Ok(fs::read(path)?)
}

/// An archive of images as `sample` writes it.
fn images(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("images.npz");
    let mut writer = NpzWriter::open(&path, [1, 3, 2, 2], "job")?;
    writer.append(&[3; 12])?;
    writer.finish()?;
    Ok(fs::read(path)?)
}

fn picture(format: ImageFormat) -> anyhow::Result<Vec<u8>> {
    let pixel = |x: u32, y: u32| image::Rgb([(16 * x) as u8, (16 * y) as u8, 128]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(RgbImage::from_fn(9, 7, pixel)).write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}
