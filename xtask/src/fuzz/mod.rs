//! Feeds the parsers with what users might bring by mistake or malice, without a nightly compiler.

mod mutate;
mod parsers;
mod seeds;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use pixel_iqn::data::{say, tell};

use mutate::{Random, mutate};
use parsers::{PARSERS, Read};

/// How long a parser has its turn, until it has had twice its share of the inputs.
const TURN: Duration = Duration::from_secs(2);
/// An input that takes longer is a fault.
const SLOW: Duration = Duration::from_secs(10);
/// An input that takes so much longer that the program ends.
const HANG: Duration = Duration::from_secs(120);
/// By how many bytes the memory of the program may grow beyond what it had after the first turn of each
/// parser: images are decoded with up to half of that.
const MEMORY: u64 = 1 << 30;

/// Feed every parser with damaged files
///
/// An input is a valid file with a few changes; its number, the seed and the name of the parser decide it.
/// Panics, inputs that take more than 10 seconds twice, and memory that grows by more than 1 GiB are faults, whose
/// inputs are kept. To forbid more memory altogether, start it under `ulimit -v`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Inputs in all; the parsers take turns of the same time, and none takes more than an eighth
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// One parser alone
    #[arg(long, value_name = "NAME", value_parser = PARSERS.map(|(name, _)| name))]
    only: Option<String>,
    /// Number of the first input, to come back to one
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Seed of the changes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for inputs that are faults
    #[arg(long, value_name = "DIR", default_value = "target/fuzz")]
    out: PathBuf,
    /// Only write the valid files, for cargo-fuzz, into fuzz/corpus
    #[arg(long)]
    write_seeds: bool,
}

/// One parser, and what came of it.
struct Target {
    name: &'static str,
    read: Read,
    seeds: Vec<Vec<u8>>,
    next: u64,
    inputs: u64,
    taken: u64,
    slowest: Duration,
    faults: u64,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = Scratch::new()?;
    let chosen = |name: &str| args.only.as_ref().is_none_or(|only| only == name);
    let mut targets = Vec::new();
    for (name, read) in PARSERS.into_iter().filter(|(name, _)| chosen(name)) {
        let seeds = seeds::of(name, &folder.0).with_context(|| format!("no seeds for {name}"))?;
        targets.push(Target {
            name,
            read,
            seeds,
            next: args.first,
            inputs: 0,
            taken: 0,
            slowest: Duration::ZERO,
            faults: 0,
        });
    }
    if args.write_seeds {
        return write_seeds(&targets);
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    watch();
    std::panic::set_hook(Box::new(|panic| tell!("{panic}")));
    let mut left = args.inputs;
    let mut bound = None;
    // The fastest parsers would take nearly all of them, and the first ones all of a short run.
    let share = args.inputs.div_ceil(targets.len() as u64);
    while left > 0 {
        for target in &mut targets {
            let first = target.next;
            let most = left
                .min(share)
                .min((2 * share).saturating_sub(target.inputs));
            left -= target.turn(args, &folder.0, most)?;
            if let (Some(limit), Some(peak)) = (bound, peak())
                && peak > limit
            {
                bound = Some(peak + MEMORY);
                target.faults += 1;
                tell!(
                    "{}: an input from {first} to {} took {peak} bytes",
                    target.name,
                    target.next
                );
            }
        }
        bound = bound.or_else(|| peak().map(|peak| peak + MEMORY));
    }
    let _ = std::panic::take_hook();
    say!("| Parser | Inputs | Taken | Slowest | Faults |\n| --- | --- | --- | --- | --- |");
    for target in &targets {
        say!(
            "| `{}` | {} | {} | {:.0} ms | {} |",
            target.name,
            target.inputs,
            target.taken,
            target.slowest.as_secs_f64() * 1e3,
            target.faults
        );
    }
    let inputs: u64 = targets.iter().map(|target| target.inputs).sum();
    let faults: u64 = targets.iter().map(|target| target.faults).sum();
    say!(
        "{inputs} inputs, {faults} faults, at most {} MiB of memory",
        peak().unwrap_or(0) >> 20
    );
    ensure!(
        faults == 0,
        "{faults} faults, with their inputs in {}",
        args.out.display()
    );
    Ok(())
}

impl Target {
    /// Reads inputs for a while, at most `most` of them, and says how many they were.
    fn turn(&mut self, args: &Args, folder: &Path, most: u64) -> anyhow::Result<u64> {
        let begin = Instant::now();
        // What ends the program leaves behind where it was.
        fs::write(
            args.out.join("current"),
            format!("--only {} --first {}\n", self.name, self.next),
        )?;
        let mut done = 0;
        while done < most && begin.elapsed() < TURN {
            let input = mutate(
                &mut Random::of(args.seed, self.name, self.next),
                &self.seeds,
            );
            let (mut result, mut time) = self.feed(folder, &input);
            if time > SLOW {
                // Perhaps the machine was busy, and not the parser.
                let again = self.feed(folder, &input);
                (result, time) = (again.0, time.min(again.1));
            }
            self.slowest = self.slowest.max(time);
            self.taken += u64::from(matches!(result, Ok(true)));
            if result.is_err() || time > SLOW {
                self.faults += 1;
                let path = args.out.join(format!("{}-{}", self.name, self.next));
                fs::write(&path, &input)?;
                tell!("fault, after {time:?}: {}", path.display());
            }
            self.next += 1;
            done += 1;
        }
        self.inputs += done;
        Ok(done)
    }

    /// What the parser said, unless it panicked, and how long it took.
    fn feed(&self, folder: &Path, input: &[u8]) -> (std::thread::Result<bool>, Duration) {
        let start = Instant::now();
        STARTED.store(now(), Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(|| (self.read)(folder, input)));
        STARTED.store(0, Ordering::Relaxed);
        (result, start.elapsed())
    }
}

/// When the current input was begun, in seconds since the program began, and 0 between inputs.
static STARTED: AtomicU64 = AtomicU64::new(0);

fn now() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    1 + BEGIN.get_or_init(Instant::now).elapsed().as_secs()
}

/// Ends the program where an input has no end.
fn watch() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let started = STARTED.load(Ordering::Relaxed);
            if started > 0 && now() > started + HANG.as_secs() {
                tell!("an input took more than {HANG:?}: the file `current` says where to look");
                process::exit(1);
            }
        }
    });
}

/// The most address space that this process ever had, in bytes, where the system says it: what is reserved
/// counts, also where nothing was written to it.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes << 10)
}

/// A folder for the files that parsers open, in memory where there is such a folder.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("pixel-iqn-fuzz-{}-{count}", process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write_seeds(targets: &[Target]) -> anyhow::Result<()> {
    for target in targets {
        let folder = Path::new("fuzz/corpus").join(target.name);
        fs::create_dir_all(&folder)?;
        for (i, seed) in target.seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{i}")), seed)?;
        }
    }
    say!("wrote fuzz/corpus");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every parser takes its valid files, so that mutations reach all of it, and a thousand damaged ones.
    #[test]
    fn parsers_take_their_seeds_and_refuse_what_is_damaged() {
        let folder = Scratch::new().unwrap();
        for (name, read) in PARSERS {
            let seeds = seeds::of(name, &folder.0).unwrap();
            for (i, seed) in seeds.iter().enumerate() {
                // These lack what no small file has: official checksums, the whole of Inception v3, the
                // shape of images.
                let refused = ["cifar10-archive", "pth"].contains(&name)
                    || (name.starts_with("npy") && i > 0)
                    || name == "npz" && i == 0;
                assert_eq!(read(&folder.0, seed), !refused, "seed {i} of {name}");
            }
            for index in 0..60 {
                read(&folder.0, &mutate(&mut Random::of(7, name, index), &seeds));
            }
        }
    }

    #[test]
    fn every_parser_is_a_target_of_cargo_fuzz() {
        let manifest = include_str!("../../../fuzz/Cargo.toml");
        let targets = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("name = "));
        let targets: Vec<_> = targets.skip(1).map(|name| name.trim_matches('"')).collect();
        assert_eq!(targets, PARSERS.map(|(name, _)| name));
    }

    #[test]
    fn a_panic_is_a_fault_whose_input_is_kept() {
        let folder = Scratch::new().unwrap();
        let args = Args {
            inputs: 10,
            only: None,
            first: 0,
            seed: 0,
            out: folder.0.join("out"),
            write_seeds: false,
        };
        fs::create_dir_all(&args.out).unwrap();
        let mut target = Target {
            name: "idx",
            read: |_, bytes| {
                assert!(bytes.len() > 3);
                true
            },
            seeds: vec![vec![0; 2]],
            next: 0,
            inputs: 0,
            taken: 0,
            slowest: Duration::ZERO,
            faults: 0,
        };
        assert_eq!(target.turn(&args, &folder.0, 10).unwrap(), 10);
        assert!(target.faults > 0 && target.faults + target.taken == 10);
        let kept = fs::read_dir(&args.out).unwrap().count() as u64;
        assert_eq!(kept, target.faults + 1, "with the file `current`");
    }
}
