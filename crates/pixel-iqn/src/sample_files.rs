//! Samples written to files batch by batch: for more images than memory holds.

use std::ops::Range;
use std::path::Path;

use pixel_iqn_core::{Order, SampleOptions};
use pixel_iqn_data::{NpzWriter, PngFolder};
use pixel_iqn_train::sample_batches;

use crate::{Error, Sampling, Saved};

impl Sampling<'_> {
    /// Samples the images into an `.npz` file, whose array `arr_0` is uint8 `[N, H, W, C]` as the
    /// evaluation tools of this field read it.
    ///
    /// The images gather in a file beside it that ends in `.part`. A job that was cancelled or killed
    /// continues there when the same request is made again, and one that is finished stays as it is.
    ///
    /// # Errors
    ///
    /// The errors of [`run`](Self::run); also [`Error::Data`] where the file cannot be written, another
    /// process is writing it, or another request left its images there.
    pub fn save_npz(self, path: impl AsRef<Path>) -> Result<Saved, Error> {
        let path = path.as_ref();
        let (options, range) = self.request()?;
        // The order of the images is that of the file, so which they are is part of the job.
        let first = options.first;
        let images = first + range.start..first + range.end;
        let job = format!("images {images:?}, {}", self.job(&options)?);
        let [height, width] = options.size;
        let channels = self.model.config().channels;
        let shape = [range.len(), channels, height, width];
        let saved = |kept| Saved {
            drawn: range.len() - kept,
            kept,
            ..Saved::default()
        };
        if NpzWriter::is_finished(path, shape, &job)? {
            return Ok(saved(range.len()));
        }
        let mut npz = NpzWriter::open(path, shape, &job)?;
        let kept = npz.done();
        let left = range.start + kept..range.end;
        self.stream(&options, left, &mut |_, levels| npz.append(levels))?;
        npz.finish()?;
        Ok(saved(kept))
    }

    /// Samples the images into a folder of PNG files, which are named after their indices
    /// (`000000.png`), and a `job.txt` that says what they are.
    ///
    /// Requests for other images of the same seed may fill the same folder, on several machines at
    /// once: see [`shard`](Self::shard). A request continues where it was cancelled or killed; an image
    /// that is not as it was written is drawn again.
    ///
    /// # Errors
    ///
    /// The errors of [`run`](Self::run); also [`Error::Data`] where a file cannot be written, another
    /// process draws the same images there, or the folder has the samples of another model, seed, tau, guidance,
    /// order or labels, or files that no job wrote.
    pub fn save_folder(self, path: impl AsRef<Path>) -> Result<Saved, Error> {
        let path = path.as_ref();
        let (options, range) = self.request()?;
        let [height, width] = options.size;
        let shape = [self.model.config().channels, height, width];
        let mut folder = PngFolder::open(path, shape, &self.job(&options)?)?;
        let first = options.first;
        let part = first + range.start..first + range.end;
        let _claim = folder.claim(&part)?;
        let beside = folder.content(&part, &(first..first + options.count))?;
        let mut missing = range.clone();
        let is_done = |image: usize| folder.contains(first + image);
        while !missing.is_empty() && is_done(missing.start) {
            missing.start += 1;
        }
        while !missing.is_empty() && is_done(missing.end - 1) {
            missing.end -= 1;
        }
        let drawn = missing.len();
        self.stream(&options, missing, &mut |image, levels| {
            folder.save(first + image, levels)
        })?;
        if range.len() == options.count {
            folder.tidy()?;
        }
        Ok(Saved {
            drawn,
            kept: range.len() - drawn,
            beside,
        })
    }

    /// All that an image depends on, but its index.
    fn job(&self, options: &SampleOptions) -> Result<String, Error> {
        let SampleOptions {
            seed,
            tau,
            labels,
            order,
            guidance,
            ..
        } = options;
        let model = self.model.fingerprint()?;
        // Raster order goes without saying, as in jobs from before there were others.
        let order = match *order {
            Order::RASTER => String::new(),
            order => format!("order {order}, "),
        };
        let guidance = match *guidance {
            0.0 => String::new(),
            weight => format!("guidance {weight}, "),
        };
        Ok(format!(
            "seed {seed}, tau {tau:?}, labels {labels:?}, {order}{guidance}model {model}"
        ))
    }

    /// Samples the images of `range`, and gives each batch to `write` with the index of its first
    /// image.
    fn stream(
        &self,
        options: &SampleOptions,
        range: Range<usize>,
        write: &mut dyn FnMut(usize, &[u8]) -> pixel_iqn_data::Result<()>,
    ) -> Result<(), Error> {
        let [height, width] = options.size;
        let image = self.model.config().channels * height * width;
        let mut first = range.start;
        let mut write_batch = |levels: &[u8]| {
            write(first, levels)?;
            first += levels.len() / image;
            Ok(())
        };
        let options = options.part(range);
        let sampler = self.model.sampler();
        Ok(sample_batches(
            sampler,
            &options,
            &mut write_batch,
            self.progress,
        )?)
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use std::ops::ControlFlow;

    use pixel_iqn_data::ImageDataset;

    use super::*;
    use crate::{Model, ModelConfig};

    fn model() -> Model {
        let device = crate::device("cpu").unwrap();
        let network = ModelConfig::tiny().init_pixel_iqn(&device);
        Model::new(network, device).with_size([4, 4])
    }

    fn cancelled_after(rows: usize) -> impl Fn(usize, usize) -> ControlFlow<()> {
        move |done, _| match done < rows {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    #[test]
    fn another_order_or_guidance_is_another_job() {
        let output = pixel_iqn_core::Output::monotone(&pixel_iqn_core::Knots::default());
        let config = ModelConfig::tiny()
            .with_orders(8)
            .with_classes(2)
            .with_output(output);
        let device = burn::tensor::Device::flex();
        let network = config.init_pixel_iqn(&device);
        let model = Model::new(network, device).with_size([4, 4]);
        let folder = tempfile::tempdir().unwrap();
        let save = |order, guidance, count| {
            let order = pixel_iqn_core::Order::new(order).unwrap();
            let request = model.sample(count).order(order).guidance(guidance);
            request.save_folder(folder.path().join("samples"))
        };
        save(2, 1.5, 1).unwrap();
        save(2, 1.5, 2).unwrap();
        assert!(save(3, 1.5, 2).is_err());
        assert!(save(0, 1.5, 2).is_err());
        assert!(save(2, 1.0, 2).is_err());
        assert!(save(2, 0.0, 2).is_err());
    }

    #[test]
    fn a_file_continues_where_it_was_cancelled() {
        let (model, folder) = (model(), tempfile::tempdir().unwrap());
        let path = folder.path().join("samples.npz");
        let request = || model.sample(5).seed(3).batch(2);
        let whole = request().run().unwrap();
        // In the second batch of two images of four rows.
        let cancel = cancelled_after(12);
        let error = request().progress(&cancel).save_npz(&path).unwrap_err();
        assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
        for other in [request().seed(4), request().first(1)] {
            let error = other.save_npz(&path).unwrap_err();
            assert!(error.to_string().contains("another job"), "{error}");
        }
        let count = std::sync::atomic::AtomicUsize::new(0);
        let rows = |_: usize, total: usize| {
            count.store(total, std::sync::atomic::Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let saved = request().progress(&rows).save_npz(&path).unwrap();
        assert_eq!(count.into_inner(), 3 * 4);
        assert_eq!((saved.drawn, saved.kept), (3, 2));
        let read = ImageDataset::from_archive(&path).unwrap();
        assert_eq!(read.images(), whole.levels());

        // What is finished stays, and is not written over by another job.
        let saved = request().save_npz(&path).unwrap();
        assert_eq!((saved.drawn, saved.kept), (0, 5));
        let error = request().seed(4).save_npz(&path).unwrap_err();
        assert!(error.to_string().contains("another job"), "{error}");
        assert_eq!(ImageDataset::from_archive(&path).unwrap(), read);

        whole.save_npz(&path).unwrap();
        assert_eq!(ImageDataset::from_archive(&path).unwrap(), read);
    }

    #[test]
    fn what_lies_in_a_folder_is_not_taken_for_samples() {
        let (model, root) = (model(), tempfile::tempdir().unwrap());
        let folder = root.path().join("samples");
        let request = |count| model.sample(count).seed(3);
        let read = || {
            let files = (0..4).map(|image| folder.join(format!("{image:06}.png")));
            ImageDataset::from_files(files.collect::<Vec<_>>(), 4).unwrap()
        };
        request(4).save_folder(&folder).unwrap();
        let whole = read();
        // Of another seed, empty, and of another size.
        let other = root.path().join("other");
        model.sample(1).seed(4).save_folder(&other).unwrap();
        std::fs::copy(other.join("000000.png"), folder.join("000000.png")).unwrap();
        std::fs::write(folder.join("000001.png"), "").unwrap();
        request(1)
            .size(6, 6)
            .run()
            .unwrap()
            .save_grid(folder.join("000002.png"))
            .unwrap();
        let saved = request(4).save_folder(&folder).unwrap();
        assert_eq!((saved.drawn, saved.kept, saved.beside.replaced), (3, 1, 3));
        assert_eq!(read(), whole);

        let saved = request(3).save_folder(&folder).unwrap();
        assert_eq!((saved.kept, saved.beside.beyond), (3, 1));
        let notes = saved.notes(&folder, 3).join("; ");
        assert!(notes.contains("1 images more than the 3"), "{notes}");

        std::fs::remove_file(folder.join("job.txt")).unwrap();
        let error = request(4).save_folder(&folder).unwrap_err();
        assert!(error.to_string().contains("no job.txt"), "{error}");
    }

    #[test]
    fn parts_fill_one_folder() {
        let (model, folder) = (model(), tempfile::tempdir().unwrap());
        let request = || model.sample(5).first(10);
        let cancel = cancelled_after(8);
        let part = request().shard(2, 2).batch(1);
        part.progress(&cancel)
            .save_folder(folder.path())
            .unwrap_err();
        for part in [2, 1] {
            request().shard(part, 2).save_folder(folder.path()).unwrap();
        }
        let files: Vec<_> = (10..15)
            .map(|image| folder.path().join(format!("{image:06}.png")))
            .collect();
        let read = ImageDataset::from_files(files, 4).unwrap();
        assert_eq!(read.images(), request().run().unwrap().levels());
        for (part, parts) in [(0, 2), (3, 2), (1, 6)] {
            let error = request().shard(part, parts).run().unwrap_err();
            assert!(matches!(error, Error::Request(_)), "{error:?}");
        }
    }

    #[test]
    fn a_fingerprint_tells_weights_apart() {
        let [a, b] = [model(), model()];
        assert_eq!(a.fingerprint().unwrap(), a.fingerprint().unwrap());
        assert_ne!(a.fingerprint().unwrap(), b.fingerprint().unwrap());
    }
}
