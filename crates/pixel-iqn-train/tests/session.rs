//! Sessions in this process: what they refuse, and when they end.

mod common;

use std::sync::Arc;

use burn::tensor::Device;
use pixel_iqn_core::{
    GatedPixelCnn, ModelConfig, NaiveSampler, Output, PixelIqn, PixelModel, Progress, SampleBatch,
    SampleError, Sampler,
};
use pixel_iqn_train::{
    End, Interrupter, ResumeFrom, RunConfig, RunDir, RunError, Schedule, Session, TrainConfig,
    TrainError,
};
use tempfile::TempDir;

use common::images;

fn config(steps: usize) -> RunConfig {
    let model = ModelConfig::tiny().with_layers(1);
    common::config(model, TrainConfig::new(steps, 4), 2)
}

/// At such a rate the second step has no number for a loss.
fn diverging() -> RunConfig {
    let mut config = config(500);
    config.train = config
        .train
        .with_learning_rate(1e30)
        .with_warmup(0.0)
        .with_schedule(Schedule::Constant);
    config
}

fn start(folder: &TempDir, config: RunConfig) -> Result<Session<PixelIqn>, RunError> {
    let run = RunDir::create(folder.path().join("run")).unwrap();
    let (train, held_out) = images();
    Session::start(run, config, train, held_out, &[Device::flex()])
}

/// Resumes with a changed config.
fn resume(
    folder: &TempDir,
    change: impl FnOnce(&mut RunConfig),
) -> Result<Session<PixelIqn>, RunError> {
    let (run, mut config) = RunDir::open(folder.path().join("run")).unwrap();
    change(&mut config);
    let (train, held_out) = images();
    let devices = [Device::flex()];
    Session::resume(run, config, train, held_out, &devices, ResumeFrom::Last)
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_leaves_the_checkpoints() {
    let folder = TempDir::new().unwrap();
    let mut config = diverging();
    config.checkpoint.every_steps = 1;
    let error = start(&folder, config).unwrap().train().err().unwrap();
    let RunError::Train(error) = error else {
        panic!("{error}");
    };
    let text = error.to_string();
    let TrainError::NotFinite { step, .. } = error else {
        panic!("{error}");
    };
    assert!(text.contains(&format!("after {step} steps")), "{text}");
    assert!(text.contains("learning rate 1e30"), "{text}");
    assert!(text.contains("gradient"), "{text}");
    let (run, config) = RunDir::open(folder.path().join("run")).unwrap();
    let (last, bad) = run.checkpoints(&config).load_last().unwrap();
    assert_eq!(last.unwrap().manifest.counters.step, step);
    assert!(bad.is_empty());

    // From there the same happens again, unless such steps are skipped; then until 100 in a row.
    let error = resume(&folder, |_| ()).unwrap().train().err().unwrap();
    assert!(matches!(
        error,
        RunError::Train(TrainError::NotFinite { step: again, .. }) if again == step
    ));
}

#[test]
fn a_held_out_loss_that_is_no_number_spoils_no_checkpoint_and_no_curve() {
    let folder = TempDir::new().unwrap();
    let mut config = diverging();
    // So high that the average of the weights overflows too.
    config.train.learning_rate = 1e38;
    config.train.steps = 40;
    config.train.skip_bad_steps = true;
    config.checkpoint.every_steps = 1;
    config.report.held_out_every = 1;
    let finished = start(&folder, config).unwrap().train().unwrap();
    let held_out = finished.history.held_out_losses();
    assert!(held_out.iter().any(|(_, loss)| !loss.is_finite()));
    assert!(folder.path().join("run/curve.png").exists());
    let (run, config) = RunDir::open(folder.path().join("run")).unwrap();
    let (last, bad) = run.checkpoints(&config).load_last().unwrap();
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(last.unwrap().manifest.counters.step, 40);
    // Skipping may be turned on and off between processes.
    let session = resume(&folder, |config| config.train.skip_bad_steps = false);
    assert_eq!(session.unwrap().train().unwrap().end, End::Complete);
}

#[test]
fn image_grids_are_drawn_at_the_same_tau_and_for_tensorboard_too() {
    let folder = TempDir::new().unwrap();
    let mut config = config(6);
    config.report.grid_minutes = 1e-9;
    config.report.grid_samples = 4;
    let session = start(&folder, config).unwrap();
    let session = session.with_sampler(|model, device| Box::new(NaiveSampler::new(model, device)));
    session.train().unwrap();
    let names = |name: &str| {
        let entries = std::fs::read_dir(folder.path().join("run").join(name)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let grids = names("grids");
    assert_eq!(grids.len(), 6);
    assert!(grids[5].ends_with("00000006.png"));
    let events = std::fs::read(&names("tensorboard")[0]).unwrap();
    for grid in grids {
        let png = std::fs::read(grid).unwrap();
        assert!(events.windows(png.len()).any(|bytes| bytes == png));
    }
}

/// Samples what is not a number.
struct BrokenSampler(ModelConfig);

impl Sampler for BrokenSampler {
    fn config(&self) -> &ModelConfig {
        &self.0
    }

    fn sample(&self, batch: &SampleBatch, _: &dyn Progress) -> Result<Vec<f32>, SampleError> {
        Ok(vec![f32::NAN; batch.dims.iter().product()])
    }
}

#[test]
fn samples_that_are_no_numbers_cost_an_image_grid_and_not_the_run() {
    let folder = TempDir::new().unwrap();
    let notices = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = notices.clone();
    let session = start(&folder, config(2)).unwrap();
    let finished = session
        .with_sampler(|model, _| Box::new(BrokenSampler(model.config().clone())))
        .on_notice(move |line| heard.lock().unwrap().push(line.to_owned()))
        .train()
        .unwrap();
    assert_eq!(finished.end, End::Complete);
    let notices = notices.lock().unwrap();
    assert!(
        notices.len() == 1 && notices[0].contains("image grid"),
        "{notices:?}"
    );
}

#[test]
fn bad_steps_are_skipped_and_counted() {
    let folder = TempDir::new().unwrap();
    let mut config = diverging();
    config.train.skip_bad_steps = true;
    let notices = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = notices.clone();
    let session = start(&folder, config).unwrap();
    let session = session.on_notice(move |line| heard.lock().unwrap().push(line.to_owned()));
    let error = session.train().err().unwrap();
    assert!(matches!(
        error,
        RunError::Train(TrainError::NotFinite { .. })
    ));
    let notices = notices.lock().unwrap();
    assert_eq!(notices.len(), 99);
    assert!(notices[0].contains("skipped"), "{}", notices[0]);
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let skipped = metrics.lines().filter(|l| l.contains(r#""skipped":true"#));
    assert_eq!(skipped.count(), 99);
}

#[test]
fn a_config_that_disagrees_with_the_checkpoint_is_named_by_field() {
    let folder = TempDir::new().unwrap();
    start(&folder, config(4)).unwrap().train().unwrap();
    let conflict = |change: fn(&mut RunConfig)| match resume(&folder, change).err() {
        Some(RunError::Conflict { conflicts, .. }) => conflicts,
        Some(other) => panic!("{other}"),
        None => Vec::new(),
    };
    let conflicts = conflict(|config| {
        config.train.steps = 8;
        config.model.layers = 2;
    });
    assert_eq!(conflicts.len(), 2);
    assert!(
        conflicts[0].contains("`model.layers` is 2"),
        "{conflicts:?}"
    );
    assert!(conflicts[1].contains("`train.steps` is 8"), "{conflicts:?}");
    // What the losses do not depend on may change.
    assert!(
        conflict(|config| {
            config.checkpoint.every_steps = 1;
            config.report.grid_minutes = 0.0;
            config.data.path = Some("elsewhere".into());
        })
        .is_empty()
    );

    let (run, config) = RunDir::open(folder.path().join("run")).unwrap();
    let (train, _) = images();
    let devices = [Device::flex()];
    let other = train.clone();
    let from = ResumeFrom::Last;
    let error = Session::<PixelIqn>::resume(run, config, train, other, &devices, from);
    let error = error.err().unwrap();
    assert!(matches!(error, RunError::OtherImages { .. }), "{error}");
}

#[test]
fn training_ends_early_where_the_held_out_loss_stays() {
    let folder = TempDir::new().unwrap();
    let mut config = config(400);
    // A rate at which nothing changes but by rounding: the first measurement stays the best.
    config.train = config.train.with_learning_rate(1e-30);
    config.report.patience = 3;
    let finished = start(&folder, config).unwrap().train().unwrap();
    assert_eq!(finished.end, End::Early);
    assert_eq!(finished.trainer.steps_done(), 8);
}

#[test]
fn the_best_checkpoint_is_kept() {
    let folder = TempDir::new().unwrap();
    let mut config = config(40);
    config.checkpoint.every_steps = 1;
    config.checkpoint.keep = 1;
    start(&folder, config).unwrap().train().unwrap();
    let (run, config) = RunDir::open(folder.path().join("run")).unwrap();
    let checkpoints = run.checkpoints(&config);
    let (last, _) = checkpoints.load_last().unwrap();
    let best = last.unwrap().manifest.best.unwrap();
    let mut expected = vec![best.step, 40];
    expected.dedup();
    assert_eq!(checkpoints.steps().unwrap(), expected);
    let manifest = checkpoints.load(best.step).unwrap().manifest;
    assert_eq!(manifest.held_out.unwrap().loss, best.loss);
}

#[test]
fn an_interrupted_session_says_so() {
    let folder = TempDir::new().unwrap();
    let interrupter = Interrupter::new();
    let switch = interrupter.clone();
    let session = start(&folder, config(100)).unwrap();
    let finished = session
        .with_interrupter(interrupter)
        .on_step(move |metrics| {
            if metrics.report.step == 4 {
                switch.stop(None);
            }
        })
        .train()
        .unwrap();
    assert_eq!(finished.end, End::Interrupted);
    assert_eq!(finished.trainer.steps_done(), 5);
    assert_eq!(finished.history.losses.len(), 5);
    assert_eq!(resume(&folder, |_| ()).unwrap().steps_done(), 5);
}

#[test]
fn a_gated_pixel_cnn_trains_in_a_session_too() {
    let folder = TempDir::new().unwrap();
    let run = RunDir::create(folder.path()).unwrap();
    let (train, held_out) = images();
    let mut config = config(4);
    config.model = config.model.with_output(Output::categorical(16));
    let devices = [Device::flex()];
    let session = Session::<GatedPixelCnn>::start(run, config, train, held_out, &devices).unwrap();
    let finished = session.train().unwrap();
    assert_eq!(finished.history.held_out.len(), 2);
    assert!(folder.path().join("curve.png").exists());
}
