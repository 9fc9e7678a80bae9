//! A run from its beginning to samples and completions, by the facade alone.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pixel_iqn::core::NoProgress;
use pixel_iqn::core::weights::to_safetensors;
use pixel_iqn::data::{ImageDataset, Mask, OpenOptions, Region, builtin};
use pixel_iqn::train::{Display, End, Interrupter, Metrics, ResumeFrom};
use pixel_iqn::{
    AnyModel, DatasetKind, Error, Model, Order, Run, Training, TrainingImages, Watcher, train,
    train_on,
};

fn pictures() -> TrainingImages {
    let options = OpenOptions::default().with_size(Some(8)).with_count(40);
    TrainingImages::open(DatasetKind::Builtin, None, &options).unwrap()
}

fn tiny(images: TrainingImages, folder: &Path) -> Training {
    train_on(images)
        .preset("tiny")
        .steps(3)
        .batch(4)
        .set("report.eval_images=2")
        .set("report.samples=2")
        .run_dir(folder)
}

#[test]
fn a_run_opens_with_its_model_scores_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = tiny(pictures(), &path)
        .class_conditional(true)
        .start()
        .unwrap();
    assert_eq!(run.end(), Some(End::Complete));
    assert_eq!(run.scores().unwrap().images, 2);
    for file in ["scores.json", "samples.png", "inpainting.png", "curve.png"] {
        assert!(path.join(file).exists(), "{file}");
    }

    let model = Model::open(&path, "cpu").unwrap();
    assert_eq!(model.size(), Some([8, 8]));
    assert_eq!(model.classes().len(), 10);
    let name = model.classes().names()[3].clone();
    let by_name = model.sample(2).seed(5).labels(&name).run().unwrap();
    let by_index = model.sample(2).seed(5).labels("#3").run().unwrap();
    assert_eq!(by_name, by_index);
    assert_eq!(by_name.shape(), [2, 3, 8, 8]);
    let all = model.sample(2).seed(5).labels("none,#3").run().unwrap();
    // Image 1 of the seed with the same class, and image 0 without.
    assert_eq!(all.image(1), by_index.image(1));
    let later = model.sample(1).first(1).seed(5).labels("#3").run().unwrap();
    assert_eq!(later.image(0), by_index.image(1));

    let run = Run::open(&path).unwrap();
    let images = run.images(None).unwrap();
    assert_eq!(images.train.images(), pictures().train.images());
}

#[test]
fn weights_open_from_a_folder_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = tiny(pictures(), &folder.path().join("run"))
        .start()
        .unwrap();
    let model = run.model("cpu").unwrap();
    let bare = folder.path().join("weights");
    std::fs::create_dir(&bare).unwrap();
    let error = Model::open(&bare, "cpu").unwrap_err();
    assert!(matches!(error, Error::NoModel(_)), "{error}");
    std::fs::write(bare.join("config.json"), model.config().to_json()).unwrap();
    let weights = to_safetensors(model.network()).unwrap();
    std::fs::write(bare.join("weights.safetensors"), weights).unwrap();

    let opened = Model::open(&bare, "cpu").unwrap();
    let error = opened.sample(1).run().unwrap_err().to_string();
    assert!(error.contains("height and width"), "{error}");
    let images = opened.sample(2).size(8, 8).run().unwrap();
    assert_eq!(images, model.sample(2).run().unwrap());
    let raw = run.path().join("weights.safetensors");
    let other = Model::open_weights(run.path(), &raw, "cpu").unwrap();
    assert_ne!(other.sample(2).run().unwrap(), images);
}

#[test]
fn completions_keep_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let run = tiny(pictures(), folder.path()).start().unwrap();
    let model = run.model("cpu").unwrap();
    let images = builtin::generate(1, 0..2, 8, 3).unwrap();
    // A hole that is no half: the square in the middle.
    let missing = (0..64).map(|i| (2..6).contains(&(i / 8)) && (2..6).contains(&(i % 8)));
    let mask = Mask::new([8, 8], missing.clone().collect()).unwrap();
    let completed = model.inpaint(&images, &mask).completions(2).run().unwrap();
    assert_eq!(completed.images.len(), 4);
    assert_eq!(completed.figure.len(), 6);
    for (index, completion) in [0, 0, 1, 1].into_iter().zip(0..4) {
        let (original, completion) = (images.image(index), completed.images.image(completion));
        for (i, missing) in missing.clone().cycle().take(3 * 64).enumerate() {
            assert!(missing || original[i] == completion[i]);
        }
    }
    // Two completions of one image are two draws.
    assert_ne!(completed.images.image(0), completed.images.image(1));

    let wrong = Mask::lower_half([4, 4]);
    let error = model
        .inpaint(&images, &wrong)
        .run()
        .unwrap_err()
        .to_string();
    assert!(error.contains("4 x 4"), "{error}");
    let nothing = Mask::new([8, 8], vec![false; 64]).unwrap();
    let error = model
        .inpaint(&images, &nothing)
        .run()
        .unwrap_err()
        .to_string();
    assert!(error.contains("no pixel is missing"), "{error}");
    let cancel = |_: usize, _: usize| ControlFlow::Break(());
    let error = model.inpaint(&images, &mask).progress(&cancel).run();
    assert!(matches!(error, Err(Error::Cancelled(_))));
}

#[test]
fn any_region_is_completed_in_the_order_that_suits_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = tiny(pictures(), folder.path())
        .output("monotone")
        .set("model.orders=8")
        .start()
        .unwrap();
    let model = run.model("cpu").unwrap();
    let images = builtin::generate(1, 0..2, 8, 3).unwrap();
    for (region, order) in [(Region::Lower, 0), (Region::Upper, 2), (Region::Left, 6)] {
        let mask = Mask::of_region(region, [8, 8]);
        let request = || model.inpaint(&images, &mask).completions(2);
        let completed = request().run().unwrap();
        assert_eq!(completed.order.index(), order, "{region:?}");
        let chosen = request().order(Order::new(order).unwrap()).run().unwrap();
        assert_eq!(chosen, completed);
        let other = request().order(Order::new(5).unwrap()).run().unwrap();
        assert_ne!(other.images, completed.images);

        let swept = request().sweeps(1).run().unwrap();
        assert_ne!(swept.images, completed.images);
        for index in 0..4 {
            let (original, swept) = (images.image(index / 2), swept.images.image(index));
            for i in (0..3 * 64).filter(|i| !mask.missing()[i % 64]) {
                assert_eq!(original[i], swept[i]);
            }
        }

        let scores = completed
            .scores(&model, &images, &mask, &NoProgress)
            .unwrap();
        assert_eq!((scores.images, scores.order), (2, order));
        assert!(scores.crps > 0.0 && scores.completions.seam > 0.0);
        // In raster order a value is given others, unless that is the order.
        assert_eq!(scores.crps == scores.crps_in_raster_order, order == 0);
    }
    let samples = |order| model.sample(2).order(Order::new(order).unwrap()).run();
    assert_ne!(samples(3).unwrap(), samples(0).unwrap());
    let plain = tiny(pictures(), &folder.path().join("plain"))
        .start()
        .unwrap();
    let order = Order::new(3).unwrap();
    let error = plain.model("cpu").unwrap().sample(1).order(order).run();
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("1 generation order")
    );
}

#[test]
fn weights_that_were_changed_are_read_on_purpose_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = tiny(pictures(), folder.path()).start().unwrap();
    let weights = folder.path().join("averaged.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    for error in [
        run.model("cpu").unwrap_err(),
        Model::open(folder.path(), "cpu").unwrap_err(),
        tiny(pictures(), &folder.path().join("next"))
            .begin_from(folder.path())
            .start()
            .unwrap_err(),
    ] {
        assert!(error.to_string().contains("--weights FILE"), "{error}");
    }
    let model = Model::open_weights(folder.path(), &weights, "cpu").unwrap();
    assert!(model.notices().is_empty());
}

/// Keeps what a user is told.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<Vec<String>>>);

impl Watcher for Notices {
    fn on_notice(&self) -> Box<dyn FnMut(&str) + Send> {
        let notices = self.0.clone();
        Box::new(move |notice| notices.lock().unwrap().push(notice.to_owned()))
    }
}

#[test]
fn a_training_begins_from_trained_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let first = tiny(pictures(), &path("first"))
        .set("layers=2")
        .start()
        .unwrap();

    // Without a preset the architecture is that of the weights. The steps change next to nothing.
    let notices = Notices::default();
    let second = train_on(pictures())
        .begin_from(path("first"))
        .class_conditional(true)
        .steps(1)
        .batch(4)
        .set("learning_rate=1e-30")
        .only_steps(true)
        .run_dir(path("second"))
        .watch(notices.clone())
        .start()
        .unwrap();
    assert_eq!(second.config().model.layers, 2);
    let notices = notices.0.lock().unwrap().join("\n");
    assert!(
        notices.contains("biases of the classes begin at 0"),
        "{notices}"
    );
    let weights = |run: &Run| {
        let model = run.model("cpu").unwrap();
        let AnyModel::PixelIqn(model) = model.network() else {
            panic!("a PixelIQN was trained");
        };
        let weight = model.trunk.layers[1].vertical.weight.val();
        weight.into_data().iter::<f32>().collect::<Vec<f32>>()
    };
    // The average of equal weights is rounded.
    for (second, first) in weights(&second).iter().zip(weights(&first)) {
        assert!((second - first).abs() < 1e-6, "{second} {first}");
    }

    // What cannot be begun says why, and leaves no folder.
    std::fs::write(path("page.safetensors"), "<html>").unwrap();
    std::fs::create_dir(path("unsaved")).unwrap();
    std::fs::copy(path("first/config.toml"), path("unsaved/config.toml")).unwrap();
    let grey = OpenOptions::default().with_size(Some(8)).with_count(40);
    let grey = TrainingImages::open(DatasetKind::Builtin, None, &grey.with_channels(1)).unwrap();
    for (images, weights, reason) in [
        (pictures(), "first", "are of another model"),
        (pictures(), "none", "none is missing"),
        (pictures(), "unsaved", "averaged.safetensors is missing"),
        (pictures(), "page.safetensors", "they are a web page"),
        (grey, "first", "3 channel(s)"),
    ] {
        let error = tiny(images, &path("failed"))
            .begin_from(path(weights))
            .start();
        let error = train::with_causes(&error.unwrap_err());
        assert!(error.contains(reason), "{weights}: {error}");
        assert!(!path("failed").exists(), "{weights}");
    }
}

#[test]
fn completions_are_scored_under_the_classes_they_were_drawn_with() {
    let folder = tempfile::tempdir().unwrap();
    let run = tiny(pictures(), folder.path())
        .class_conditional(true)
        .output("monotone")
        .start()
        .unwrap();
    let model = run.model("cpu").unwrap();
    let names = model.classes().names().to_vec();
    let plain = builtin::generate(1, 0..2, 8, 3).unwrap();
    let plain = ImageDataset::new(plain.images().to_vec(), plain.shape()).unwrap();
    // Folders of images: more classes than the model has, and those of the images are its last two.
    let mut folders: Vec<String> = (0..names.len() + 3).map(|i| format!("other {i}")).collect();
    let own = [names.len() - 1, names.len() - 2];
    let of_folders = [names.len() + 2, names.len() + 1];
    for (class, folder) in own.iter().zip(of_folders) {
        folders[folder] = names[*class].clone();
    }
    let labels = of_folders.map(|label| label as u32).to_vec();
    let count = folders.len();
    let foreign = (plain.clone().with_labels(labels, count))
        .and_then(|images| images.with_class_names(folders))
        .unwrap();
    let mask = Mask::lower_half([8, 8]);
    let crps = |images: &ImageDataset, labels: Option<&str>| {
        let request = model.inpaint(images, &mask).completions(2);
        let request = match labels {
            Some(labels) => request.labels(labels),
            None => request,
        };
        let completed = request.run().unwrap();
        let scores = completed.scores(&model, images, &mask, &NoProgress);
        scores.unwrap().crps
    };
    let by_name = crps(&foreign, None);
    assert_eq!(
        by_name,
        crps(&plain, Some(&format!("#{},#{}", own[0], own[1])))
    );
    let unlabelled = crps(&plain, Some("none"));
    assert_ne!(by_name, unlabelled);
    assert_eq!(unlabelled, crps(&foreign, Some("none")));
}

#[test]
fn progress_ends_at_its_total_in_orders_along_columns() {
    let folder = tempfile::tempdir().unwrap();
    let run = tiny(pictures(), folder.path())
        .output("monotone")
        .set("model.orders=8")
        .only_steps(true)
        .start()
        .unwrap();
    let model = run.model("cpu").unwrap().with_size([6, 9]);
    let seen = Mutex::new(Vec::new());
    let progress = |done: usize, total: usize| {
        seen.lock().unwrap().push((done, total));
        ControlFlow::Continue(())
    };
    let check = |total: usize| {
        let seen = core::mem::take(&mut *seen.lock().unwrap());
        let most = seen.iter().map(|(done, _)| *done).max();
        assert!(seen.iter().all(|(_, of)| *of == total), "{seen:?}");
        assert_eq!(most, Some(total));
    };
    let along_columns = Order::new(6).unwrap();
    model
        .sample(2)
        .order(along_columns)
        .progress(&progress)
        .run()
        .unwrap();
    check(2 * 9);
    let levels = vec![7; 3 * 6 * 9];
    let images = ImageDataset::new(levels, [3, 6, 9]).unwrap();
    let mask = Mask::of_region(Region::Left, [6, 9]);
    let request = model.inpaint(&images, &mask).completions(2).sweeps(1);
    request.progress(&progress).run().unwrap();
    // Left of the middle: one block, which is completed along columns twice.
    check(2 * 2 * 9);
}

/// Stops the training after its first step.
struct StopAtOnce(Interrupter);

impl Watcher for StopAtOnce {
    fn display(&self) -> Display {
        Display::Plain
    }

    fn interrupter(&self) -> Interrupter {
        self.0.clone()
    }

    fn on_step(&self) -> Box<dyn FnMut(&Metrics) + Send> {
        let interrupter = self.0.clone();
        Box::new(move |_| interrupter.stop(Some("the test")))
    }
}

#[test]
fn a_stopped_training_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let [stopped, whole] = ["stopped", "whole"].map(|name| folder.path().join(name));
    let watcher = StopAtOnce(Interrupter::new());
    let run = tiny(pictures(), &stopped).watch(watcher).start().unwrap();
    assert_eq!(run.end(), Some(End::Interrupted));
    assert!(run.scores().is_none());
    let run = Run::open(&stopped).unwrap();
    let images = run.images(None).unwrap();
    let run = run.resume(images).start().unwrap();
    assert_eq!(run.end(), Some(End::Complete));

    tiny(pictures(), &whole).start().unwrap();
    let weights = |path: &Path| std::fs::read(path.join("averaged.safetensors")).unwrap();
    assert_eq!(weights(&stopped), weights(&whole));
}

#[test]
fn the_same_request_goes_on_with_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let request = || {
        tiny(pictures(), folder.path())
            .resume_existing(true)
            .only_steps(true)
    };
    let watcher = StopAtOnce(Interrupter::new());
    let run = request().watch(watcher).start().unwrap();
    assert_eq!(run.end(), Some(End::Interrupted));
    assert_eq!(run.steps_done(), Some(1));
    for _ in 0..2 {
        let run = request().start().unwrap();
        assert_eq!(run.end(), Some(End::Complete));
        assert_eq!(run.steps_done(), Some(3));
        assert_eq!(run.history().unwrap().losses.len(), 3);
        assert!(run.seconds().unwrap() > 0.0 && run.scores().is_none());
        assert_eq!(run.config(), &request().config().unwrap());
    }
    assert!(!folder.path().join("samples.png").exists());
    let error = request().batch(5).start().unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    let error = request().resume_existing(false).start().unwrap_err();
    assert!(matches!(error, Error::Run(_)), "{error}");
}

#[test]
fn what_cannot_be_trained_is_told_before_a_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let plain = ImageDataset::new(vec![7; 20 * 48], [3, 4, 4]).unwrap();
    let training = || train(plain.clone()).preset("tiny").steps(1).run_dir(&path);
    let error = training().class_conditional(true).start().unwrap_err();
    assert!(error.to_string().contains("no classes"), "{error}");
    let error = training().batch(19).start().unwrap_err().to_string();
    assert!(error.contains("18 training images"), "{error}");
    let error = training().device("gpu").start().unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
    assert!(!path.exists());
    let error = training()
        .batch(2)
        .resume_existing(true)
        .from_checkpoint(ResumeFrom::Last);
    let error = error.start().unwrap_err().to_string();
    assert!(error.contains("no checkpoint"), "{error}");
    assert!(!path.exists());
    // Images from memory have to be given again.
    let run = training().batch(2).set("report.samples=1").start().unwrap();
    let error = run.images(None).unwrap_err().to_string();
    assert!(error.contains("give them again"), "{error}");
}

#[test]
fn pictures_that_stand_in_are_small_and_train_for_a_first_look() {
    let options = pixel_iqn::data::OpenOptions::new().with_count(20);
    let config = |options: &pixel_iqn::data::OpenOptions, steps: Option<usize>| {
        let images = pixel_iqn::TrainingImages::stand_in(options).unwrap();
        let training = pixel_iqn::train_on(images).device("cpu");
        let training = match steps {
            Some(steps) => training.steps(steps),
            None => training,
        };
        training.config().unwrap()
    };
    let first_look = config(&options, None);
    assert_eq!(first_look.data.size, [16, 16]);
    assert_eq!(first_look.model.classes, 10);
    let train = &first_look.train;
    assert_eq!((train.steps, train.learning_rate), (2500, 3e-3));
    // What a user says wins.
    let other = config(&options.with_size(Some(8)), Some(7));
    assert_eq!((other.data.size, other.train.steps), ([8, 8], 7));
    // Pictures that were asked for are trained on as any other set.
    let kind = pixel_iqn::DatasetKind::Builtin;
    let images = pixel_iqn::TrainingImages::open(kind, None, &options).unwrap();
    let plain = pixel_iqn::train_on(images).device("cpu").config().unwrap();
    assert_eq!((plain.model.classes, plain.train.steps), (0, 400));
}

#[test]
fn the_config_in_the_guide_is_one() {
    let guide = include_str!("../../../docs/train-and-sample.md");
    let (_, rest) = guide.split_once("```json\n").unwrap();
    let (json, _) = rest.split_once("```").unwrap();
    let config = pixel_iqn::ModelConfig::from_json(json).unwrap();
    assert_eq!(config, pixel_iqn::ModelConfig::paper_small());
}
