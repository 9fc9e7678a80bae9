//! Every parser of what users bring, behind one signature. The targets of `fuzz/` include this file, too.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use pixel_iqn::core::{AnyModel, PixelModel, weights};
use pixel_iqn::data::{
    ImageDataset, Mask, PngFolder, array_names, cifar10, folder, idx, imagenet32, md5, npz_comment,
    read_npz,
};
use pixel_iqn::train::{Checkpoints, ConfigFile};
use pixel_iqn::{ModelConfig, PixelIqn, RunConfig, RunOverrides, TrainConfig, Trainer};
use pixel_iqn_eval::{GaussianStatistics, InceptionWeights};

/// Reads bytes, with a folder for files, and says whether they were taken. What is wrong with them has to
/// be an error: a panic, a reservation beyond need and a loop without an end are faults.
pub type Read = fn(&Path, &[u8]) -> bool;

/// All parsers, by the names of their targets.
pub const PARSERS: [(&str, Read); 16] = [
    ("idx", read_idx),
    ("cifar10", read_cifar10),
    ("cifar10-archive", read_cifar10_archive),
    ("imagenet32", read_imagenet32),
    ("npz", read_arrays),
    ("npy", read_array),
    ("npy-in-zip", read_array_in_zip),
    ("image", read_image),
    ("image-in-zip", read_image_in_zip),
    ("image-grids", read_image_grids),
    ("safetensors", read_safetensors),
    ("pth", read_pth),
    ("config-toml", read_config_toml),
    ("config-json", read_config_json),
    ("manifest", read_manifest),
    ("checkpoint", read_checkpoint),
];

/// The shape of the images of `image-grids`, and the job of their folder.
pub const GRID: ([usize; 3], &str) = ([3, 4, 4], "job");

/// The model of `safetensors` and `checkpoint`: as small as one can be, so that a mutation is likely to
/// hit what is not weights.
pub fn model() -> ModelConfig {
    ModelConfig::tiny()
        .with_features(3)
        .with_layers(1)
        .with_input_kernel(3)
}

/// The training of `checkpoint`.
pub fn trainer() -> Trainer<PixelIqn> {
    let device = pixel_iqn::device("cpu").expect("the CPU is always there");
    Trainer::new(&model(), TrainConfig::new(1, 1), &device).expect("the smallest model trains")
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
    fs::write(&path, bytes).expect("the file can be written");
    path
}

/// The bytes as images, with a label of 0, and as labels, with an image.
fn read_idx(folder: &Path, bytes: &[u8]) -> bool {
    let input = file(folder, "idx/input", bytes);
    let image = file(
        folder,
        "idx/image",
        &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9],
    );
    let label = file(folder, "idx/label", &[0, 0, 8, 1, 0, 0, 0, 1, 0]);
    idx::load(&input, &label, 10).is_ok() | idx::load(&image, &input, 10).is_ok()
}

fn read_cifar10(_: &Path, bytes: &[u8]) -> bool {
    cifar10::parse(Path::new("data_batch_1.bin"), bytes).is_ok()
}

fn read_cifar10_archive(folder: &Path, bytes: &[u8]) -> bool {
    let path = file(folder, "cifar10/cifar-10-binary.tar.gz", bytes);
    cifar10::load(&path).is_ok()
}

fn read_imagenet32(folder: &Path, bytes: &[u8]) -> bool {
    imagenet32::load_batches([file(folder, "imagenet32/batch.npz", bytes)]).is_ok()
}

fn read_arrays(folder: &Path, bytes: &[u8]) -> bool {
    let path = file(folder, "npz/input.npz", bytes);
    array_names(&path).is_ok()
        & npz_comment(&path).is_ok()
        & read_npz(&path, ["mu", "arr_0"]).is_ok()
        & (GaussianStatistics::load(&path).is_ok() | ImageDataset::from_archive(&path).is_ok())
}

fn read_array(folder: &Path, bytes: &[u8]) -> bool {
    ImageDataset::from_archive(file(folder, "npy/input.npy", bytes)).is_ok()
}

/// The bytes as a member of an archive whose checksums are right, which a mutation of all would not be.
fn read_array_in_zip(folder: &Path, bytes: &[u8]) -> bool {
    let path = file(folder, "npy/input.npz", &zip(&[("arr_0.npy", bytes)]));
    read_npz(&path, ["arr_0"]).is_ok() & ImageDataset::from_archive(&path).is_ok()
}

fn read_image(folder: &Path, bytes: &[u8]) -> bool {
    let path = file(folder, "image/input", bytes);
    let size = folder::first_size(path.parent().expect("it has a folder")).is_ok();
    size & (ImageDataset::from_files([&path], 8).is_ok() | Mask::from_png(&path).is_ok())
}

fn read_image_in_zip(folder: &Path, bytes: &[u8]) -> bool {
    let path = file(folder, "image-in-zip/input.zip", &zip(&[("a.png", bytes)]));
    ImageDataset::from_archive_scaled(path, 8).is_ok()
}

/// A folder of samples whose notes are the bytes, and an image grid in it that is read back.
fn read_image_grids(folder: &Path, bytes: &[u8]) -> bool {
    let (shape, job) = GRID;
    file(folder, "image-grids/job.txt", bytes);
    let folder = folder.join("image-grids");
    let Ok(images) = PngFolder::open(&folder, shape, job) else {
        return false;
    };
    images.contains(0) & images.content(&(0..2), &(0..4)).is_ok()
}

fn read_safetensors(folder: &Path, bytes: &[u8]) -> bool {
    thread_local! {
        static MODEL: RefCell<AnyModel> = RefCell::new(AnyModel::init(
            &model(),
            &pixel_iqn::device("cpu").expect("the CPU is always there"),
        ));
    }
    let path = file(folder, "safetensors/input.safetensors", bytes);
    MODEL.with_borrow_mut(|model| {
        weights::load_safetensors(model, bytes).is_ok()
            | weights::begin_from_safetensors(model, bytes).is_ok()
            | InceptionWeights::open(&path).is_ok()
    })
}

fn read_pth(folder: &Path, bytes: &[u8]) -> bool {
    InceptionWeights::open(file(folder, "pth/input.pth", bytes)).is_ok()
}

fn read_config_toml(_: &Path, bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let whole = RunConfig::from_toml(text).is_ok();
    let Ok(file) = ConfigFile::parse(text) else {
        return false;
    };
    let _ = (file.dataset(), file.data_path(), file.size());
    whole | RunConfig::check_changes::<&str>(&file, &RunOverrides::new(), &[]).is_ok()
}

fn read_config_json(_: &Path, bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| ModelConfig::from_json(text).is_ok())
}

fn read_manifest(folder: &Path, bytes: &[u8]) -> bool {
    load(&folder.join("manifest"), bytes, b"").is_ok()
}

/// The tensors of a checkpoint, whose checksum is right.
fn read_checkpoint(_: &Path, bytes: &[u8]) -> bool {
    thread_local! {
        static TRAINER: RefCell<Trainer<PixelIqn>> = RefCell::new(trainer());
    }
    TRAINER.with_borrow_mut(|trainer| {
        let (counters, _) = trainer.state().expect("a trainer has a state");
        trainer.restore(counters, bytes).is_ok()
    })
}

/// Loads a checkpoint of a manifest and tensors that have their checksums.
fn load(folder: &Path, manifest: &[u8], tensors: &[u8]) -> Result<(), pixel_iqn::train::RunError> {
    let sums = format!(
        "{}  manifest.json\n{}  state.safetensors\n",
        md5(manifest),
        md5(tensors)
    );
    file(folder, "00000001/manifest.json", manifest);
    file(folder, "00000001/state.safetensors", tensors);
    file(folder, "00000001/checksums.md5", sums.as_bytes());
    Checkpoints::new(folder, 1).load(1).map(drop)
}

/// An archive of members that are not compressed, with the right checksums.
pub fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let [sum, length] = [sum.sum(), bytes.len() as u32].map(u32::to_le_bytes);
        let name_length = (name.len() as u16).to_le_bytes();
        // The version, no flags, no compression, the first day that there is.
        let start = &[20, 0, 0, 0, 0, 0, 0, 0, 33, 0][..];
        let fields = [start, &sum, &length, &length, &name_length, &[0, 0]].concat();
        let at = (archive.len() as u32).to_le_bytes();
        list.extend(
            [
                &b"PK\x01\x02\x14\0"[..],
                &fields,
                &[0; 10],
                &at,
                name.as_bytes(),
            ]
            .concat(),
        );
        archive.extend([&b"PK\x03\x04"[..], &fields, name.as_bytes(), bytes].concat());
    }
    let [at, length] = [archive.len(), list.len()].map(|number| (number as u32).to_le_bytes());
    let count = (members.len() as u16).to_le_bytes();
    let end = [
        &b"PK\x05\x06\0\0\0\0"[..],
        &count,
        &count,
        &length,
        &at,
        &[0, 0],
    ]
    .concat();
    [archive, list, end].concat()
}
