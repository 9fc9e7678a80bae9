//! Every program, ended by every disturbance.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, ensure};
use pixel_iqn::core::Noise;
use pixel_iqn::data::say;

use super::disturbance::Disturbance;
use super::job::Job;
use super::jobs::{jobs, prepare};
use super::moment::{Course, Moment, Stage};
use super::{Args, TRAINING};

/// Of fewer ends than these, none may fall into the short first moments of a program.
const MANY: usize = 50;

/// First moments that are shorter than these seconds are over, on a busy machine, before a signal is sent.
const SHORT: f32 = 0.02;

/// Ends every program by every disturbance.
pub fn disturb(args: &Args, program: &Path, folder: &Path) -> anyhow::Result<()> {
    let base = folder.join("base");
    prepare(program, &base)?;
    let jobs = jobs(program, &base);
    let names: Vec<&str> = jobs.iter().map(|job| job.name).chain([TRAINING]).collect();
    for name in &args.only {
        ensure!(
            names.contains(&&**name),
            "--only {name}: it has {}",
            names.join(", ")
        );
    }
    let chosen = |job: &Job| args.chooses(job.name);
    let mut faults = Vec::new();
    for (number, job) in (0u64..).zip(jobs.iter()).filter(|(_, job)| chosen(job)) {
        let noise = Noise::new(args.seed.wrapping_add(number << 32));
        // The other programs are tried all the same: hours may have gone by.
        if let Err(fault) = one(job, args, &noise, folder) {
            say!("{}: FAULT: {fault:#}", job.name);
            faults.push(job.name);
        }
    }
    ensure!(faults.is_empty(), "faults of {}", faults.join(", "));
    Ok(())
}

/// What a job does when it is left alone.
struct Alone {
    results: BTreeMap<PathBuf, Vec<u8>>,
    course: Course,
}

/// Where the ends of a disturbance fell.
#[derive(Default)]
struct Counts {
    starting: usize,
    working: usize,
    ended: usize,
    incomplete: usize,
}

fn one(job: &Job, args: &Args, noise: &Noise, folder: &Path) -> anyhow::Result<()> {
    let alone = alone(job, args.at_once, folder)?;
    for (kind, disturbance) in (0u64..).zip(Disturbance::ALL) {
        let next = AtomicUsize::new(0);
        let work = |folder: &Path| -> anyhow::Result<Counts> {
            let mut counts = Counts::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= args.ends {
                    return Ok(counts);
                }
                let draws = noise.uniform(kind << 20 | number as u64, 4);
                let ended = end(job, disturbance, &draws, &alone, folder, &mut counts);
                ended.with_context(|| format!("{} number {number}", disturbance.name()))?;
            }
        };
        let counts = at_once(args.at_once, folder, work)?;
        let sum = |count: fn(&Counts) -> usize| counts.iter().map(count).sum::<usize>();
        let [starting, working, ended] = [
            sum(|counts| counts.starting),
            sum(|counts| counts.working),
            sum(|counts| counts.ended),
        ];
        let place = match disturbance {
            Disturbance::FullDisk => String::new(),
            _ => format!(
                "{starting} before its first file, {working} after it, {ended} at its end; "
            ),
        };
        say!(
            "{}: {} x {}, {place}{} before the result; all whole, and the same when run again",
            job.name,
            disturbance.name(),
            args.ends,
            sum(|counts| counts.incomplete)
        );
        ensure!(
            !disturbance.ends_the_work()
                || args.ends < MANY
                || (working > 0 && (starting > 0 || alone.course.first < SHORT)),
            "the moments missed a part of its work"
        );
    }
    Ok(())
}

/// Times that a job runs alone: how long it takes depends on what else the machine does.
const ALONE: usize = 3;

/// Runs a job alone, as many times at once as it will be disturbed at once, so that it takes as long.
fn alone(job: &Job, at_once: usize, folder: &Path) -> anyhow::Result<Alone> {
    let mut all = Vec::new();
    for _ in 0..ALONE {
        all.extend(all_alone(job, at_once, folder)?);
    }
    let mut all = all.into_iter();
    let mut first = all.next().context("nothing is done 0 times at once")?;
    for other in all {
        ensure!(
            other.results == first.results,
            "two of it beside each other made different files"
        );
        let course = &mut first.course;
        // A moment that is meant to come before the first file must do so where the program is quick.
        course.first = course.first.min(other.course.first);
        if other.course.seconds > course.seconds {
            (course.seconds, course.changes) = (other.course.seconds, other.course.changes);
        }
    }
    Ok(first)
}

fn all_alone(job: &Job, at_once: usize, folder: &Path) -> anyhow::Result<Vec<Alone>> {
    self::at_once(at_once, folder, |folder| {
        fresh(folder)?;
        let course = job.watch(folder)?;
        let results = job.results(folder)?;
        ensure!(!results.is_empty(), "it makes no file");
        Ok(Alone { results, course })
    })
}

/// Disturbs a job once, and runs it again.
fn end(
    job: &Job,
    disturbance: Disturbance,
    draws: &[f32],
    alone: &Alone,
    folder: &Path,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    let expected = &alone.results;
    let moment = Moment::draw([draws[0], draws[1], draws[2]], alone.course);
    let largest = expected.values().map(Vec::len).max().unwrap_or(0);
    let bytes = (1.1 * draws[3] * largest as f32) as u64;
    let at = || format!("{moment:?}, or at {bytes} bytes");
    fresh(folder)?;
    let stage = disturbance
        .run(&job.command(folder), moment, bytes)
        .with_context(at)?;
    match stage {
        Stage::Starting => counts.starting += 1,
        Stage::Working => counts.working += 1,
        Stage::Ended => counts.ended += 1,
    }
    job.check_whole(folder, expected).with_context(at)?;
    let is_complete = job.is_complete(folder, expected)?;
    ensure!(
        is_complete || disturbance != Disturbance::ClosedPipe,
        "{}: the result is not there",
        at()
    );
    counts.incomplete += usize::from(!is_complete);
    job.complete(folder).with_context(at)?;
    ensure!(
        job.is_complete(folder, expected)?,
        "{}: run again it made other files",
        at()
    );
    let left = job.leftovers(folder)?;
    ensure!(
        left.is_empty(),
        "{}: run again it left {left:?} behind",
        at()
    );
    Ok(())
}

/// Does work in several folders at once, and returns what came of it in each.
fn at_once<T: Send>(
    count: usize,
    folder: &Path,
    work: impl Fn(&Path) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let folders = (0..count).map(|number| folder.join(format!("job-{number}")));
    let folders: Vec<PathBuf> = folders.collect();
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (folders.iter())
            .map(|folder| scope.spawn(move || work(folder)))
            .collect();
        let done = threads
            .into_iter()
            .map(|thread| thread.join().expect("the work does not panic"));
        done.collect()
    })
}

fn fresh(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}
