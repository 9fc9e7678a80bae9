use std::fmt::Write;
use std::fs;
use std::path::Path;

use pixel_iqn::Run;
use pixel_iqn::data::write_atomically;
use pixel_iqn::score::{ConditionalScores, Estimate};
use serde_json::Value;

use super::narrow::Floats;

/// The lines between which the facts of a card stand.
const BEGIN: &str = "<!-- The lines down to the next mark are written by `cargo xtask model`. -->";
const END: &str = "<!-- End of the lines of `cargo xtask model`. -->";

/// What is known of a model without a hand.
pub struct Facts<'a> {
    pub name: &'a str,
    pub run: &'a Run,
    pub command: Option<&'a str>,
    pub floats: Floats,
    pub bytes: usize,
    pub parameters: usize,
    /// How far its samples are from those of the float32 weights.
    pub difference: String,
    pub commit: Option<String>,
}

/// Writes the facts into a card, which keeps all its other lines.
pub fn write(path: &Path, facts: &Facts<'_>) -> anyhow::Result<()> {
    let block = format!("{BEGIN}\n\n{}\n{END}\n", facts.text()?);
    let old = fs::read_to_string(path).unwrap_or_else(|_| format!("# {}\n\n", facts.name));
    let text = match (old.find(BEGIN), old.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            let rest = old[end + END.len()..].trim_start_matches('\n');
            let rest = if rest.is_empty() {
                String::new()
            } else {
                format!("\n{rest}")
            };
            format!("{}{block}{rest}", &old[..begin])
        }
        _ => format!("{}\n\n{block}", old.trim_end()),
    };
    Ok(write_atomically(path, text.as_bytes())?)
}

impl Facts<'_> {
    fn text(&self) -> anyhow::Result<String> {
        let config = self.run.config();
        let (model, train) = (&config.model, &config.train);
        let [height, width] = config.data.size;
        let mut text = String::new();
        writeln!(
            text,
            "![{} samples](samples.png)\n\nThe picture has the first 100 samples of seed 0, not chosen:\n\n\
             ```sh\npixel-iqn sample --model {} --count 100\n```\n",
            self.name, self.name
        )?;
        let classes = match model.classes {
            0 => "none".to_owned(),
            count => format!(
                "{count}, left out for {:.0}% of the images in training",
                100.0 * train.label_dropout
            ),
        };
        for (name, fact) in [
            ("Images", format!("{} x {height} x {width}", model.channels)),
            ("Trained on", config.data.description.clone()),
            (
                "Network",
                format!(
                    "{} layers of {} features, dilations {:?}, output `{}`: {} parameters",
                    model.layers,
                    model.features,
                    model.dilations,
                    model.output.kind(),
                    self.parameters
                ),
            ),
            ("Classes", classes),
            ("Generation orders", model.orders.to_string()),
            (
                "Training",
                format!(
                    "{} steps of {} images, highest learning rate {}, seed {}{}",
                    train.steps,
                    train.batch,
                    train.learning_rate,
                    train.seed,
                    self.duration()
                ),
            ),
            (
                "Weights",
                format!(
                    "the average (decay {}) as {}, {} bytes{}",
                    train.ema_decay,
                    self.floats.name(),
                    self.bytes,
                    match self.floats {
                        Floats::F32 => String::new(),
                        _ => format!("; {}", self.difference),
                    }
                ),
            ),
            (
                "Packed at commit",
                self.commit.clone().unwrap_or_else(|| "unknown".to_owned()),
            ),
        ] {
            writeln!(text, "- {name}: {fact}")?;
        }
        let repeats = format!("pixel-iqn train --config models/{}/config.toml", self.name);
        let command = self.command.unwrap_or(&repeats);
        writeln!(
            text,
            "\nThe command of the training:\n\n```sh\n{command}\n```"
        )?;
        self.scores(&mut text)?;
        Ok(text)
    }

    /// How long the run says that it has trained, or nothing.
    fn duration(&self) -> String {
        let metrics = fs::read_to_string(self.run.dir().file("metrics.jsonl")).unwrap_or_default();
        let last = metrics.lines().last().unwrap_or_default();
        let last: Value = serde_json::from_str(last).unwrap_or_default();
        match last.get("seconds").and_then(Value::as_f64) {
            Some(seconds) => format!(", {:.0} minutes", (seconds / 60.0).ceil()),
            None => String::new(),
        }
    }

    /// A table of the scores of the run, where it was evaluated.
    fn scores(&self, text: &mut String) -> anyhow::Result<()> {
        let Ok(json) = fs::read_to_string(self.run.dir().file("scores.json")) else {
            return Ok(());
        };
        let scores: ConditionalScores = serde_json::from_str(&json)?;
        let means = scores.estimates(0);
        writeln!(
            text,
            "\nScores of the float32 weights on {} held-out images, raster order, with 95% bootstrap \
             intervals over images; the skill is {}:\n\n| Score | Mean | Interval |\n| --- | --- | --- |",
            scores.images,
            scores.skill_text(3)
        )?;
        let rows: [(&str, Estimate); 5] = [
            ("CRPS", means.crps),
            ("bits per dimension", means.bits_per_dim),
            ("coverage of 50% intervals", means.coverage_50),
            ("coverage of 90% intervals", means.coverage_90),
            ("crossing rate", means.crossing_rate),
        ];
        for (
            name,
            Estimate {
                mean, low, high, ..
            },
        ) in rows
        {
            writeln!(text, "| {name} | {mean:.5} | {low:.5} to {high:.5} |")?;
        }
        Ok(())
    }
}
