use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use pixel_iqn::data::folder::{self, Fit};
use pixel_iqn::data::{
    ImageDataset, Mask, OpenOptions, Region, print_result, say, write_atomically,
};
use pixel_iqn::terminal::Terminal;
use pixel_iqn::{DatasetKind, Images, Model, Order, Run};

use crate::flags::{self, DataFlags, ModelFlags, ShowFlag};
use crate::outcome::Outcome;

/// Complete images of which a part is missing
///
/// The images are held-out ones of the data set of the run, or those of --images. The picture has a
/// row for each image: the image with its missing pixels grey, its completions, and the original.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InpaintCommand {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    /// Images to complete, cut and scaled to the size of the model: a folder, or files separated by
    /// commas [default: held-out images of the data set]
    #[arg(long, value_name = "PATH", value_delimiter = ',', help_heading = "Images",
          conflicts_with_all = ["data", "dataset"])]
    images: Vec<PathBuf>,
    /// Classes of the images, for a class-conditional model: a name or a number such as #2 for all
    /// of them, one for each separated by commas, or `none` after a training with label dropout [default: the labels of the data set, and the
    /// names of the subfolders of --images]
    #[arg(long, help_heading = "Images")]
    labels: Option<String>,
    /// Print the classes of the model, and complete nothing
    #[arg(long, help_heading = "Images")]
    classes: bool,
    /// Index of the first image
    #[arg(
        long,
        value_name = "INDEX",
        default_value_t = 0,
        help_heading = "Images", value_parser = flags::number::from_zero)]
    first: usize,
    /// Images to complete [default: 6, or all if there are fewer]
    #[arg(long, help_heading = "Images", value_parser = flags::number::count)]
    count: Option<usize>,
    /// What is missing: lower, upper, left, right, centre, stroke, or a picture in black and white, of
    /// the size of the model's images, in which what is missing is white
    #[arg(
        long,
        value_name = "NAME|FILE.png",
        default_value = "lower",
        conflicts_with = "known_rows",
        help_heading = "Images"
    )]
    region: String,
    /// Rows of pixels that are known, from the top: all below them are missing
    #[arg(long, value_name = "ROWS", help_heading = "Images", value_parser = flags::number::from_zero)]
    known_rows: Option<usize>,
    /// Generation order, from 0, raster order, to 7 [default: of the orders of the model, the one in
    /// which most of the known pixels come before the missing ones]
    #[arg(long, value_name = "INDEX", value_parser = flags::parse_order, help_heading = "Results")]
    order: Option<Order>,
    /// Go over the completions this often: each block of 8 x 8 missing pixels is sampled again given
    /// everything else, in the order that suits it (a Gibbs sampler over blocks, approximate)
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 0,
        help_heading = "Results", value_parser = flags::number::from_zero)]
    sweeps: usize,
    /// Completions of each image
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 4,
        help_heading = "Results", value_parser = flags::number::count)]
    completions: usize,
    /// Seed of the completions
    #[arg(long, default_value_t = 0, help_heading = "Results", value_parser = flags::number::seed)]
    seed: u64,
    /// Leave the originals out, for images that are broken themselves
    #[arg(long, help_heading = "Results")]
    no_originals: bool,
    /// Also write scores of the completions against the originals to this file: the CRPS of the
    /// missing values in the order taken and in raster order, the energy score of the completions, and
    /// the jump at the seam beside that of the originals
    #[arg(long, value_name = "FILE.json", help_heading = "Results")]
    scores: Option<PathBuf>,
    /// Picture to write
    #[arg(
        long,
        value_name = "FILE.png",
        default_value = "inpainting.png",
        help_heading = "Results"
    )]
    out: PathBuf,
    #[command(flatten, next_help_heading = "Results")]
    show: ShowFlag,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn inpaint --model shapes --show
  pixel-iqn inpaint --run runs/first --count 8 --out filled.png
  pixel-iqn inpaint --run runs/first --region left --sweeps 2
  pixel-iqn inpaint --run runs/first --images a.png,b.png --region mask.png --no-originals";

impl InpaintCommand {
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        let mut drawn = false;
        let work = self.inpaint(terminal, &mut drawn);
        let message = match drawn {
            false => "interrupted: nothing was written",
            true => "interrupted: the picture is written, and the scores are not",
        };
        Outcome::of(work, message)
    }

    fn inpaint(&self, terminal: &Terminal, drawn: &mut bool) -> anyhow::Result<()> {
        if self.classes {
            let classes = format!("{}\n", self.model.open()?.classes());
            return print_result(&classes).context("cannot print the classes");
        }
        if self.is_named_region() {
            // Before the model is opened and the images are read.
            self.named_region()?;
        }
        let region = Path::new(&self.region);
        let inputs = self.images.iter().map(PathBuf::as_path).chain([region]);
        let outputs = || self.scores.iter().chain([&self.out]);
        flags::keep_inputs(outputs(), inputs)?;
        flags::keep_run(outputs(), self.model.run())?;
        let _claims = flags::claim([Some(&self.out)], [self.scores.as_ref()])?;
        if self.scores.is_some() {
            ensure!(
                self.completions > 1,
                "--scores needs two --completions of each image or more"
            );
        }
        let model = self.model.open()?;
        let images = self.chosen(self.all_images(&model)?)?;
        let [channels, height, width] = images.shape();
        // A row has the image with its missing pixels, the completions, and the original.
        let columns = self.completions.saturating_add(2);
        let count = images.len().saturating_mul(columns);
        Images::check_picture([count, channels, height, width])?;
        let mask = self.mask([height, width])?;
        let mut request = model
            .inpaint(&images, &mask)
            .completions(self.completions)
            .seed(self.seed)
            .sweeps(self.sweeps)
            .originals(!self.no_originals);
        if let Some(labels) = &self.labels {
            request = request.labels(labels);
        }
        if let Some(order) = self.order {
            request = request.order(order);
        }
        self.model
            .warn_without_label_dropout(self.labels.as_deref(), 0.0);
        let view = self
            .show
            .prepare(terminal)
            .map(|show| request.view(terminal, show));
        let completions = match &view {
            Some(view) => request.progress(view).run()?,
            None => {
                let bar = terminal.bar("inpainting");
                request.progress(&bar).run()?
            }
        };
        completions.save_grid(&self.out)?;
        *drawn = true;
        if let Some(view) = view {
            view.finish(&completions.figure, true)?;
        }
        say!(
            "wrote {}, completed in order {}",
            self.out.display(),
            completions.order.index()
        );
        self.hint_of_orders(&model, &mask);
        if let Some(file) = &self.scores {
            let bar = terminal.bar("scoring");
            let scores = completions.scores(&model, &images, &mask, &bar)?;
            let json = serde_json::to_string_pretty(&scores)?;
            write_atomically(file, format!("{json}\n").as_bytes())?;
            drop(bar);
            say!("wrote {}", file.display());
        }
        Ok(())
    }

    /// Says where a model of eight orders would have known more.
    fn hint_of_orders(&self, model: &Model, mask: &Mask) {
        let best = Order::for_region(mask.missing(), mask.size(), Order::COUNT);
        if model.config().orders == 1 && best != Order::RASTER {
            say!(
                "NOTE: this model knows raster order alone, in which much of what surrounds the region \
                 comes after it: one that was trained with --all-orders would take order {}",
                best.index()
            );
        }
    }

    /// The images of `--images`, or held-out images.
    fn all_images(&self, model: &Model) -> anyhow::Result<ImageDataset> {
        if !self.images.is_empty() {
            return self.image_files(model);
        }
        let held_out = match self.data.dataset {
            Some(kind) => self.held_out(kind, model)?,
            None => {
                ensure!(
                    self.data.size.is_none(),
                    "held-out images of the run have the size of the model: --size goes with --images \
                     and --dataset"
                );
                let folder = self.model.folder()?;
                ensure!(
                    folder.join("config.toml").exists(),
                    "{} is no run, and without a run there are no held-out images: give --images, or \
                     --dataset",
                    folder.display()
                );
                let run = Run::open(&folder)?;
                let images = flags::images_of(&run, self.data.data.as_deref())?;
                images.held_out.as_ref().clone()
            }
        };
        Ok(held_out)
    }

    fn held_out(&self, kind: DatasetKind, model: &Model) -> anyhow::Result<ImageDataset> {
        let size = match (self.data.size, model.size()) {
            (None, Some([height, width])) if height == width => Some(height),
            (size, _) => size,
        };
        // Those of a set with channels of its own stay as they are.
        let options = OpenOptions::new()
            .with_size(size)
            .with_channels(model.config().channels);
        let images = flags::open(kind, self.data.folder(), &options)?;
        Ok(images.held_out.as_ref().clone())
    }

    fn image_files(&self, model: &Model) -> anyhow::Result<ImageDataset> {
        let size = match (self.data.size, model.size()) {
            (Some(size), _) => size,
            (None, Some([height, _])) => height,
            (None, None) => {
                anyhow::bail!("the model does not say how large its images are: give --size")
            }
        };
        let channels = model.config().channels;
        match &self.images[..] {
            [folder] if folder.is_dir() => {
                Ok(folder::load(folder, size, channels, Fit::CropAndScale)?)
            }
            files => {
                let images = ImageDataset::from_files(files, size)?;
                match channels {
                    1 => Ok(images.into_grey()?),
                    _ => Ok(images),
                }
            }
        }
    }

    /// The images of `--first` and `--count`.
    fn chosen(&self, images: ImageDataset) -> anyhow::Result<ImageDataset> {
        let available = images.len().saturating_sub(self.first);
        let count = self.count.unwrap_or(available.min(6));
        ensure!(
            (1..=available).contains(&count),
            "there are {} images: choose some of them with --first and --count",
            images.len()
        );
        Ok(images.slice(self.first..self.first + count)?)
    }

    /// Whether `--region` is a name, and no file.
    fn is_named_region(&self) -> bool {
        Path::new(&self.region).extension().is_none()
    }

    fn named_region(&self) -> anyhow::Result<Region> {
        (self.region.parse()).context("--region takes one of the names, or the FILE.png of a mask")
    }

    fn mask(&self, size @ [height, _]: [usize; 2]) -> anyhow::Result<Mask> {
        if let Some(rows) = self.known_rows {
            ensure!(
                rows < height,
                "--known-rows {rows} leaves nothing to complete: the images have {height} rows"
            );
            return Ok(Mask::rows_below(size, rows));
        }
        if !self.is_named_region() {
            return Ok(Mask::from_png(&self.region)?);
        }
        Ok(Mask::of_region(self.named_region()?, size))
    }
}
