use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use pixel_iqn::data::{Claim, print_result, say, tell};
use pixel_iqn::terminal::{Show, Terminal};
use pixel_iqn::{Images, Model, Order, Sampling, Saved};

use crate::flags::{self, ImageSize, ModelFlags, Shard, ShowFlag, TauRange};
use crate::outcome::Outcome;

/// Draw samples of a trained model
///
/// Image number i of a seed is always the same, in whatever batch and beside whichever images, so
/// that a large job can be divided over machines with --shard.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SampleCommand {
    #[command(flatten)]
    model: ModelFlags,
    /// Images to draw
    #[arg(long, default_value_t = 16, value_parser = flags::number::count)]
    count: usize,
    /// Seed of the images
    #[arg(long, default_value_t = 0, value_parser = flags::number::seed)]
    seed: u64,
    /// Height and width of the images in pixels, as 32x48, or 32 for both [default: those of the
    /// images that the run was trained on]
    #[arg(long, value_name = "HxW", allow_hyphen_values = true)]
    size: Option<ImageSize>,
    /// Classes of the images: a name or a number such as #2 for all of them, one for each image
    /// separated by commas, `spread` to go round the classes, or `none` after a training with label
    /// dropout [default for a model with classes: spread]
    #[arg(long)]
    labels: Option<String>,
    /// Print the classes of the model, and draw nothing
    #[arg(long)]
    classes: bool,
    /// Take the same tau for every value, in (0, 1); 0.5 draws the image of medians
    #[arg(long, conflicts_with = "tau_range", value_parser = flags::number::tau)]
    tau: Option<f32>,
    /// Draw tau from a narrower interval than (0, 1), as 0.1,0.9, which keeps to the middle of every
    /// distribution
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true)]
    tau_range: Option<TauRange>,
    /// Generation order, for a model of several, from 0, raster order, to 7
    #[arg(long, value_name = "INDEX", default_value = "0", value_parser = flags::parse_order)]
    order: Order,
    /// Guide the images towards their classes with this weight, for a class-conditional model that was
    /// trained with label dropout: they are read as their class more often, and vary less. It takes a little
    /// more than twice the time, and a model of output monotone or categorical, on the device cpu.
    /// 1 to 3 are common
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.0, value_parser = flags::number::weight)]
    guidance: f32,
    /// Images sampled together: more are faster and take more memory
    #[arg(long, value_name = "IMAGES", default_value_t = 64, value_parser = flags::number::count)]
    batch: usize,
    /// Draw part K of N of the images alone, K from 1; together the parts equal the whole
    #[arg(
        long,
        value_name = "K/N",
        default_value = "1/1",
        allow_hyphen_values = true
    )]
    shard: Shard,
    /// Where to write: FILE.png is a picture of all images side by side; FILE.npz is an array uint8
    /// [N, H, W, C], as evaluation tools read it; a name without an ending is a folder of single
    /// PNGs. The last two are written as the images come, and the same command continues after it was
    /// stopped
    #[arg(long, value_name = "PATH", default_value = "samples.png")]
    out: PathBuf,
    #[command(flatten)]
    show: ShowFlag,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn sample --model shapes --show
  pixel-iqn sample --model mnist --guidance 3 --tau-range 0.01,0.99
  pixel-iqn sample --run runs/first --count 64 --out samples.png
  pixel-iqn sample --run runs/first --labels cat --count 9
  pixel-iqn sample --run runs/first --count 50000 --out samples.npz
  pixel-iqn sample --run runs/first --count 50000 --shard 1/4 --out samples/";

/// What `--out` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Grid,
    Npz,
    Folder,
}

impl SampleCommand {
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        let left = match self.format()? {
            Format::Grid => "interrupted: nothing was written",
            Format::Npz | Format::Folder => {
                "interrupted: what is written stays, and the same command continues there"
            }
        };
        Outcome::of(self.sample(terminal), left)
    }

    fn sample(&self, terminal: &Terminal) -> anyhow::Result<()> {
        let format = self.format()?;
        let model = self.model.open()?;
        if self.classes {
            let classes = format!("{}\n", model.classes());
            return print_result(&classes).context("cannot print the classes");
        }
        ensure!(
            self.guidance == 0.0 || self.labels.as_deref() != Some("none"),
            "--guidance guides towards a class: leave out --labels none"
        );
        ensure!(
            !self.show.is_given() || format == Format::Grid,
            "--show goes with --out FILE.png: other images are not kept in memory"
        );
        if let Some(show) = self.show.prepare(terminal) {
            let _claim = Claim::file(&self.out)?;
            self.model
                .warn_without_label_dropout(self.labels.as_deref(), self.guidance);
            return self.sample_in_view(terminal, &model, show);
        }
        let bar = terminal.bar("sampling");
        let request = self.request(model.sample(self.count).progress(&bar));
        // Before anything is sampled or written.
        let options = request.options()?;
        if format == Format::Grid {
            let [height, width] = options.size;
            Images::check_picture([options.count, model.config().channels, height, width])?;
        }
        let cannot = || format!("cannot sample to {}", self.out.display());
        let claim = match format {
            Format::Grid | Format::Npz => Some(Claim::file(&self.out)).transpose()?,
            // Several processes may fill it.
            Format::Folder => None,
        };
        self.model
            .warn_without_label_dropout(self.labels.as_deref(), self.guidance);
        let saved = match format {
            Format::Grid => request.run().and_then(|images| {
                images.save_grid(&self.out)?;
                Ok(Saved::default())
            }),
            Format::Npz => request.save_npz(&self.out),
            Format::Folder => request.save_folder(&self.out),
        }
        .with_context(cannot)?;
        drop((bar, claim));
        for note in saved.notes(&self.out, self.count) {
            tell!("NOTE: {note}");
        }
        say!("wrote {}", self.out.display());
        Ok(())
    }

    /// Samples the images while the terminal shows them.
    fn sample_in_view(&self, terminal: &Terminal, model: &Model, show: Show) -> anyhow::Result<()> {
        let request = self.request(model.sample(self.count));
        let view = request.view(terminal, show)?;
        let images = request.progress(&view).run()?;
        images.save_grid(&self.out)?;
        view.finish(&images, false)?;
        say!("wrote {}", self.out.display());
        Ok(())
    }

    fn request<'a>(&self, mut request: Sampling<'a>) -> Sampling<'a> {
        request = request
            .seed(self.seed)
            .batch(self.batch)
            .order(self.order)
            .guidance(self.guidance)
            .shard(self.shard.part, self.shard.parts);
        if let Some(ImageSize { height, width }) = self.size {
            request = request.size(height, width);
        }
        if let Some(labels) = &self.labels {
            request = request.labels(labels);
        }
        if let Some(tau) = self.tau {
            request = request.tau(tau);
        }
        if let Some(TauRange { low, high }) = self.tau_range {
            request = request.tau_range(low, high);
        }
        request
    }

    fn format(&self) -> anyhow::Result<Format> {
        let extension = self.out.extension().unwrap_or_default();
        match extension.to_string_lossy().to_lowercase().as_str() {
            "png" => Ok(Format::Grid),
            "npz" => Ok(Format::Npz),
            "" => Ok(Format::Folder),
            _ => bail!(
                "--out {}: give FILE.png, FILE.npz, or the name of a folder without an ending",
                self.out.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(flags: &[&str]) -> Result<SampleCommand, clap::Error> {
        let arguments = ["pixel-iqn", "sample", "--run", "run"].iter().chain(flags);
        match Cli::try_parse_from(arguments)?.command {
            Command::Sample(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_have_their_types() {
        let command = parse(&[
            "--shard",
            "2/4",
            "--size",
            "8x16",
            "--labels",
            "cat, small",
            "--tau-range",
            "0.1,0.9",
            "--guidance",
            "2",
        ]);
        let command = command.unwrap();
        assert_eq!(command.guidance, 2.0);
        assert_eq!(command.shard, Shard { part: 2, parts: 4 });
        assert_eq!(
            command.size.map(|size| [size.height, size.width]),
            Some([8, 16])
        );
        assert_eq!(command.labels.as_deref(), Some("cat, small"));
        assert_eq!(command.tau_range.map(|tau| tau.high), Some(0.9));
        for wrong in [
            &["--shard", "5/4"][..],
            &["--size", "8x"],
            &["--tau", "0.5", "--tau-range", "0.1,0.9"],
            &["--count", "-1"],
            &["--guidance", "-1"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_ending_says_what_to_write() {
        let format = |out: &str| parse(&["--out", out]).unwrap().format();
        assert_eq!(format("a/b.PNG").unwrap(), Format::Grid);
        assert_eq!(format("b.npz").unwrap(), Format::Npz);
        assert_eq!(format("a.b/samples").unwrap(), Format::Folder);
        assert_eq!(format("samples/").unwrap(), Format::Folder);
        assert!(format("samples.jpg").is_err());
    }
}
