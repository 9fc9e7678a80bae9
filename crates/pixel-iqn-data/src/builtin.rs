//! The built-in set, which is drawn instead of read: shaded shapes and landscapes in ten classes.
//!
//! The set needs no download and has any size and length, so programs, tests and first experiments
//! can start at once. A model can learn from it smooth shading, sharp edges and a class that shows
//! in the form and in the hue, under little noise.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::{
    dataset::ImageDataset,
    error::{Result, option},
    memory,
    rng::{below, stream, uniform},
    sizes::check_image_options,
};

/// The names of the classes, in the order of the labels.
pub const CLASS_NAMES: [&str; 10] = [
    "disc", "ring", "square", "triangle", "cross", "star", "moon", "ball", "checker", "hills",
];

type Rgb = [f32; 3];

/// Draws images of the set that belongs to a seed: those with the indices `range`, each `size` x
/// `size` pixels with 3 channels (colour) or 1 (grey).
///
/// Image `i` depends on `seed` and `i` alone, so disjoint ranges are disjoint subsets of one set.
/// Only additions, multiplications, divisions and square roots are used, which IEEE 754 fixes to
/// the last bit: every platform draws the same bytes.
///
/// ```
/// use pixel_iqn_data::builtin;
///
/// let train = builtin::generate(7, 0..100, 32, 3)?;
/// let held_out = builtin::generate(7, 100..120, 32, 3)?;
/// assert_eq!(held_out.image(0), builtin::generate(7, 100..101, 32, 3)?.image(0));
/// # Ok::<(), pixel_iqn_data::DataError>(())
/// ```
///
/// # Errors
///
/// [`DataError::Option`](crate::DataError::Option) for an empty range, a size of 0 or above 4096,
/// or a number of channels other than 1 and 3, and [`DataError::Memory`](crate::DataError::Memory)
/// for more images than fit in memory.
pub fn generate(
    seed: u64,
    range: Range<u64>,
    size: usize,
    channels: usize,
) -> Result<ImageDataset> {
    check_image_options(size, channels)?;
    if range.is_empty() {
        return Err(option("range", format!("{range:?}"), "not empty"));
    }
    let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut images = memory::room(&[count, channels, size, size])?;
    let mut labels = memory::room(&[count])?;
    for index in range {
        let mut rng = stream(seed, index);
        let scene = Scene::new(&mut rng);
        labels.push(scene.class as u32);
        scene.draw(&mut rng, size, channels, &mut images);
    }
    ImageDataset::new(images, [channels, size, size])?
        .with_labels(labels, CLASS_NAMES.len())?
        .with_class_names(CLASS_NAMES)
}

/// What an image shows. Lengths are in units of half the image's side, and `y` points down.
struct Scene {
    class: usize,
    center: [f32; 2],
    radius: f32,
    /// Cosine and sine of the rotation.
    turn: [f32; 2],
    /// The main colour and a second one for patterns.
    colors: [Rgb; 2],
    /// The background at its upper and at its lower edge.
    background: [Rgb; 2],
    /// Direction of growing brightness.
    light: [f32; 2],
    /// Phase of each range of hills.
    phases: [f32; 3],
}

impl Scene {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let class = below(rng, CLASS_NAMES.len());
        let hue = class as f32 / 10.0 + uniform(rng, -0.05, 0.05);
        let value = uniform(rng, 0.75, 1.0);
        let main = hsv(hue, uniform(rng, 0.55, 0.9), value);
        let second = hsv(hue + 0.1, uniform(rng, 0.2, 0.4), uniform(rng, 0.85, 1.0));
        let back_hue = hue + uniform(rng, 0.3, 0.7);
        let back_saturation = uniform(rng, 0.2, 0.5);
        // Dark or bright, so that the shape stands out whichever its hue.
        let back_value = if below(rng, 2) == 0 {
            uniform(rng, 0.15, 0.4)
        } else {
            uniform(rng, 0.8, 0.95)
        };
        let radius = uniform(rng, 0.45, 0.75);
        let free = 0.95 - radius;
        Self {
            class,
            center: [uniform(rng, -free, free), uniform(rng, -free, free)],
            radius,
            turn: direction(rng),
            colors: [main, second],
            background: [
                hsv(back_hue, back_saturation, back_value),
                hsv(
                    back_hue + 0.08,
                    back_saturation,
                    back_value * uniform(rng, 0.55, 0.8),
                ),
            ],
            light: direction(rng),
            phases: std::array::from_fn(|_| uniform(rng, 0.0, 1.0)),
        }
    }

    /// Appends the levels channel by channel.
    fn draw(&self, rng: &mut ChaCha8Rng, size: usize, channels: usize, levels: &mut Vec<u8>) {
        let start = levels.len();
        let plane = size * size;
        levels.resize(start + channels * plane, 0);
        let pixel = 2.0 / size as f32;
        for y in 0..size {
            for x in 0..size {
                let point = [
                    (x as f32 + 0.5) * pixel - 1.0,
                    (y as f32 + 0.5) * pixel - 1.0,
                ];
                // The sum of four uniform bytes is close to normal; this scale makes its
                // deviation about 1.5 levels.
                let sum: u32 = rng
                    .next_u32()
                    .to_le_bytes()
                    .into_iter()
                    .map(u32::from)
                    .sum();
                let noise = (sum as f32 - 510.0) / 100.0;
                let color = self.color(point, pixel);
                let luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2];
                let values = if channels == 1 { [luma; 3] } else { color };
                for (channel, value) in values.iter().take(channels).enumerate() {
                    // A cast from float saturates at 0 and 255.
                    levels[start + channel * plane + y * size + x] =
                        (value * 255.0 + noise + 0.5) as u8;
                }
            }
        }
    }

    /// The colour at a point; edges are blurred over the width of a `pixel`.
    fn color(&self, point: [f32; 2], pixel: f32) -> Rgb {
        let sky = mix(
            self.background[0],
            self.background[1],
            (point[1] + 1.0) / 2.0,
        );
        if self.class == 9 {
            return self.hills(sky, point, pixel);
        }
        let inside = |local, blur| smooth_step(0.5 - self.distance(local) * self.radius / blur);
        // The shadow is the shape again, moved away from the light and with a wide edge.
        let shadow_at = [
            point[0] + 0.1 * self.light[0],
            point[1] + 0.1 * self.light[1],
        ];
        let shadow = inside(self.local(shadow_at), 0.35);
        let ground = sky.map(|value| value * (1.0 - 0.35 * shadow));

        let local = self.local(point);
        let pattern = match self.class {
            7 => wave(local[0] * 1.2),
            8 => wave(local[0] * 1.28 + 0.25) * wave(local[1] * 1.28 + 0.25),
            _ => -1.0,
        };
        // A wave of this frequency crosses zero with a slope of about 1 / 0.13.
        let pattern = smooth_step(0.5 + 0.13 * pattern * self.radius / pixel);
        let toward_light = dot(
            [point[0] - self.center[0], point[1] - self.center[1]],
            self.light,
        );
        let shade = 0.85 + 0.25 * toward_light / self.radius;
        let surface = mix(self.colors[0], self.colors[1], pattern).map(|value| value * shade);
        mix(ground, surface, inside(local, pixel))
    }

    /// A sun over three ranges of hills, the nearest the darkest.
    fn hills(&self, sky: Rgb, point: [f32; 2], pixel: f32) -> Rgb {
        let sun = [self.center[0] * 2.0, -0.5 + self.center[1] * 0.5];
        let to_sun = length([point[0] - sun[0], point[1] - sun[1]]);
        let glow = 0.5 / (1.0 + 12.0 * to_sun * to_sun);
        let disc = smooth_step(0.5 + (0.18 - to_sun) / pixel);
        let mut color = mix(sky, self.colors[1], disc.max(glow));
        for (range, phase) in self.phases.into_iter().enumerate() {
            let range = range as f32;
            let waves = wave(point[0] * (0.45 + 0.2 * range) + phase)
                + 0.4 * wave(point[0] * (1.3 + 0.3 * range) + phase * 3.0);
            let horizon = -0.1 + 0.35 * range - 0.16 * waves;
            let ground = self.colors[0].map(|value| value * (0.85 - 0.27 * range));
            color = mix(
                color,
                ground,
                smooth_step(0.5 + (point[1] - horizon) / pixel),
            );
        }
        color
    }

    /// The point in the frame of the shape, whose outer radius is 1.
    fn local(&self, point: [f32; 2]) -> [f32; 2] {
        let [x, y] = [0, 1].map(|axis| (point[axis] - self.center[axis]) / self.radius);
        let [cos, sin] = self.turn;
        [cos * x + sin * y, cos * y - sin * x]
    }

    /// Distance to the edge of the shape in its own frame, negative inside.
    fn distance(&self, p: [f32; 2]) -> f32 {
        let [x, y] = p.map(f32::abs);
        match self.class {
            1 => (length(p) - 0.72).abs() - 0.26,
            2 | 8 => rounded_box(p, [0.78, 0.78]),
            3 => (x * 0.866_025_4 - p[1] * 0.5).max(p[1]) - 0.5,
            4 => rounded_box(p, [0.95, 0.34]).min(rounded_box(p, [0.34, 0.95])),
            5 => star(p),
            6 => (length(p) - 1.0).max(0.8 - length([p[0] - 0.5, p[1]])),
            _ => length([x, y]) - 0.97,
        }
    }
}

fn dot(a: [f32; 2], b: [f32; 2]) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

fn length(p: [f32; 2]) -> f32 {
    dot(p, p).sqrt()
}

fn mix(a: Rgb, b: Rgb, fraction_of_b: f32) -> Rgb {
    [0, 1, 2].map(|channel| a[channel] + (b[channel] - a[channel]) * fraction_of_b)
}

/// 0 below 0, 1 above 1, and a cubic with level ends between.
fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A wave of period 1 between -1 (at 0) and 1 (at 0.5), made of cubics instead of a sine.
fn wave(t: f32) -> f32 {
    let triangle = 1.0 - 4.0 * (t - t.floor() - 0.5).abs();
    triangle * (1.5 - 0.5 * triangle * triangle)
}

/// A direction in the plane, by rejection from the square.
fn direction(rng: &mut ChaCha8Rng) -> [f32; 2] {
    loop {
        let point = [uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0)];
        let length = length(point);
        if (0.1..1.0).contains(&length) {
            return point.map(|value| value / length);
        }
    }
}

/// Distance to a box with the given half sides, whose corners are rounded by 0.1.
fn rounded_box(p: [f32; 2], half: [f32; 2]) -> f32 {
    let [x, y] = [0, 1].map(|axis| p[axis].abs() - half[axis] + 0.1);
    length([x.max(0.0), y.max(0.0)]) + x.max(y).min(0.0) - 0.1
}

/// Distance to a five-pointed star. Its sides lie on five lines; a point is inside if it is beyond
/// at most one of them, so the second largest of the five distances decides.
fn star(p: [f32; 2]) -> f32 {
    /// Cosine and sine of the multiples of a fifth of a turn.
    const NORMALS: [[f32; 2]; 5] = [
        [1.0, 0.0],
        [0.309_017, 0.951_056_5],
        [-0.809_017, 0.587_785_25],
        [-0.809_017, -0.587_785_25],
        [0.309_017, -0.951_056_5],
    ];
    let mut distances = NORMALS.map(|normal| dot(p, normal));
    distances.sort_by(f32::total_cmp);
    // Somewhat fatter than the pentagram, where it would be cos 72 degrees = 0.309. The distance
    // grows slowly beyond a tip, so a circle keeps wide edges from reaching far out of it.
    (distances[3] - 0.335).max(length(p) - 1.08)
}

/// Colour of a hue (1 is a full turn), saturation and value, all but the hue in `[0, 1]`.
fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    [5.0, 3.0, 1.0].map(|offset| {
        let turns = hue + offset / 6.0;
        let k = (turns - turns.floor()) * 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataError, checksum};

    #[test]
    fn an_image_depends_on_seed_and_index_alone() {
        let all = generate(3, 0..20, 16, 3).unwrap();
        let some = generate(3, 5..9, 16, 3).unwrap();
        for index in 0..4 {
            assert_eq!(some.image(index), all.image(index + 5));
            assert_eq!(some.label(index), all.label(index + 5));
        }
        assert_ne!(generate(4, 0..20, 16, 3).unwrap().images(), all.images());
    }

    /// Every platform draws these bytes; a change of the drawing changes all results on the set.
    #[test]
    fn the_drawing_has_not_changed() {
        let set = generate(0, 0..200, 32, 3).unwrap();
        assert_eq!(
            checksum::md5(set.images()),
            "27f77e82c4ed1513c6f5a1b35ba79bdd"
        );
    }

    #[test]
    fn classes_are_balanced_and_show_in_the_hue() {
        let without_grey = |color: Rgb| {
            let mean = color.iter().sum::<f32>() / 3.0;
            color.map(|value| value - mean)
        };
        let hues: [Rgb; 10] =
            std::array::from_fn(|class| without_grey(hsv(class as f32 / 10.0, 1.0, 1.0)));
        let set = generate(1, 0..2000, 12, 3).unwrap();
        let (mut histogram, mut right) = ([0; 10], 0);
        for index in 0..set.len() {
            let label = set.label(index).unwrap() as usize;
            histogram[label] += 1;
            let image = set.image(index);
            // How strongly the pixel with most of a class's hue shows it.
            let strength = |class: &usize| {
                let shows = |pixel: usize| {
                    let color = [0, 144, 288].map(|plane| f32::from(image[plane + pixel]));
                    let color = without_grey(color);
                    (0..3).map(|c| color[c] * hues[*class][c]).sum::<f32>() as i32
                };
                (0..144).map(shows).max()
            };
            right += usize::from((0..10).max_by_key(strength) == Some(label));
        }
        assert!(
            histogram.iter().all(|count| (140..260).contains(count)),
            "{histogram:?}"
        );
        // Guessing would be right 200 times.
        assert!(right > 1000, "{right} of 2000");
    }

    #[test]
    fn grey_is_the_luma_of_colour() {
        let color = generate(5, 0..4, 8, 3).unwrap();
        let grey = generate(5, 0..4, 8, 1).unwrap();
        assert_eq!(grey.shape(), [1, 8, 8]);
        assert_eq!(grey.labels(), color.labels());
        for index in 0..4 {
            for (pixel, &level) in grey.image(index).iter().enumerate() {
                let [r, g, b] = [0, 64, 128].map(|plane| color.image(index)[plane + pixel] as f32);
                let luma = 0.299 * r + 0.587 * g + 0.114 * b;
                // The levels of colour are rounded, and cut where they leave 0..=255.
                assert!((luma - f32::from(level)).abs() < 8.0, "{luma} {level}");
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for end in [1 << 40, u64::MAX] {
            let result = generate(0, 0..end, 4096, 3);
            assert!(matches!(result, Err(DataError::Memory { .. })));
        }
        for (range, size, channels) in [(0..0, 8, 3), (0..1, 0, 3), (0..1, 4097, 3), (0..1, 8, 2)] {
            let result = generate(0, range, size, channels);
            assert!(matches!(result, Err(DataError::Option { .. })));
        }
    }
}
