use pixel_iqn::RunConfig;
use pixel_iqn::score::{Estimate, Scores};
use pixel_iqn_eval::{ImageSetScores, LevelDistance};

use super::command::CompareCommand;
use super::comparison::SCORE_SEED;
use super::evaluated::Evaluated;
use crate::estimates::ESTIMATES;

/// Reads one score over sets of images.
type ReadScore = fn(&ImageSetScores) -> Option<f64>;

const IMAGE_SET_SCORES: [(&str, ReadScore); 5] = [
    ("FID", |s| s.frechet_inception_distance),
    ("Inception score", |s| s.inception_score_mean),
    ("KID", |s| s.kernel_inception_distance_mean),
    ("precision", |s| s.precision),
    ("recall", |s| s.recall),
];

/// The scores as a table in Markdown: a row for each, with a column for each training.
pub fn table(
    command: &CompareCommand,
    about: &RunConfig,
    all: &[Evaluated],
    chance: &[LevelDistance],
) -> String {
    let mut rows = Rows {
        all,
        lines: heading(command, about, all),
    };
    // Every interval takes a thousand resamples, so they are computed before the rows.
    let estimates = all
        .iter()
        .map(|model| model.conditional.estimates(SCORE_SEED));
    let estimates: Vec<Scores<Estimate>> = estimates.collect();
    for (name, read) in ESTIMATES {
        let cells = estimates.iter().map(|scores| interval(read(scores)));
        rows.push_cells(name, cells.collect());
    }
    rows.push("calibration error", |model| {
        format!("{:.5}", model.conditional.calibration_error)
    });
    rows.push("skill", |model| model.conditional.skill_text(5));
    if let Some(first) = all.first() {
        let name = format!("CRPS less that of {}", first.kind.name);
        rows.push(&name, |model| difference(model, first, all));
    }
    for (
        level,
        LevelDistance {
            height, distance, ..
        },
    ) in chance.iter().enumerate()
    {
        let name = format!("SWD at {height} pixels (training images: {distance:.2})");
        rows.push(&name, |model| {
            format!("{:.2}", model.sliced_wasserstein[level].distance)
        });
    }
    if all.iter().any(|model| model.image_sets.is_some()) {
        for (name, read) in IMAGE_SET_SCORES {
            rows.push(name, |model| {
                let found = model.image_sets.as_ref();
                let score = found.and_then(|found| read(&found.scores));
                score.map_or("-".to_owned(), |score| format!("{score:.4}"))
            });
        }
    }
    rows.push("seconds of training", |model| {
        format!("{:.0}", model.train_seconds)
    });
    rows.lines.push(String::new());
    rows.lines.extend(notes(all));
    rows.lines.join("\n")
}

/// What is to be known of the scores over sets of images, below the table.
fn notes(all: &[Evaluated]) -> Vec<String> {
    let mut notes = Vec::new();
    for found in all.iter().filter_map(|model| model.image_sets.as_ref()) {
        let warnings = found.warnings.iter();
        let warnings = warnings.map(|warning| format!("{}: {}.\n", warning.score, warning.because));
        let left_out = found.left_out.iter();
        let left_out = left_out.map(|left| format!("No {}: {}.\n", left.score, left.because));
        for note in warnings.chain(left_out) {
            // All models are evaluated on as many images.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// The lines of a table.
struct Rows<'a> {
    all: &'a [Evaluated],
    lines: Vec<String>,
}

impl Rows<'_> {
    fn push(&mut self, name: &str, cell: impl Fn(&Evaluated) -> String) {
        self.push_cells(name, self.all.iter().map(cell).collect());
    }

    fn push_cells(&mut self, name: &str, cells: Vec<String>) {
        self.lines
            .push(format!("| {name} | {} |", cells.join(" | ")));
    }
}

fn heading(command: &CompareCommand, about: &RunConfig, all: &[Evaluated]) -> Vec<String> {
    let title = |model: &Evaluated| format!("{}, seed {}", model.kind.title, model.seed);
    let titles: Vec<String> = all.iter().map(title).collect();
    vec![
        format!(
            "{}. {} held-out images, {} tau, {} samples; brackets are 95% bootstrap intervals over \
             images.\n",
            about.data.description, command.images, command.taus, command.samples
        ),
        format!(
            "{} layers of {} features, {} steps of {} images.\n",
            about.model.layers, about.model.features, about.train.steps, about.train.batch
        ),
        format!("| | {} |", titles.join(" | ")),
        format!("|---|{}", "---|".repeat(titles.len())),
    ]
}

fn interval(estimate: Estimate) -> String {
    let Estimate {
        mean, low, high, ..
    } = estimate;
    format!("{mean:.5} [{low:.5}, {high:.5}]")
}

/// The CRPS of a model less that of the first kind with the same seed.
fn difference(model: &Evaluated, first: &Evaluated, all: &[Evaluated]) -> String {
    let is_base = |other: &&Evaluated| other.kind == first.kind && other.seed == model.seed;
    match all.iter().find(is_base) {
        Some(base) if model.kind != first.kind => {
            let [model, base] = [model, base].map(|model| &model.conditional);
            interval(model.difference(base, |image| image.crps, SCORE_SEED))
        }
        _ => "-".to_owned(),
    }
}
