use pixel_iqn::terminal::number;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Model and batch, as tiny:4 or quick:8
    #[arg(
        long = "case",
        value_name = "PRESET:BATCH",
        value_delimiter = ',',
        default_value = "quick:8,paper_small:4"
    )]
    cases: Vec<String>,
    /// Outputs of the models
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "gates,head,monotone,categorical"
    )]
    output: Vec<String>,
    /// Height and width of the images of a training step
    #[arg(long, default_value_t = 32, value_parser = number::count)]
    size: usize,
    /// Height and width of samples; 0 draws none
    #[arg(long, default_value_t = 4, value_parser = number::from_zero)]
    sample_size: usize,
}

#[cfg(not(feature = "remote"))]
pub fn run(_: &Args) -> anyhow::Result<()> {
    anyhow::bail!(
        "uploads are counted between a program and a device that it reaches over the network: build \
         with `--features remote`"
    )
}

#[cfg(feature = "remote")]
pub use counted::run;

#[cfg(feature = "remote")]
mod counted {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use anyhow::Context;
    use pixel_iqn::burn::tensor::Device;
    use pixel_iqn::core::{NoProgress, PixelModel};
    use pixel_iqn::data::{Loader, LoaderConfig, builtin, say};
    use pixel_iqn::{AnyModel, ModelConfig, Output, SampleOptions, TrainConfig, Trainer};
    use pixel_iqn_remote::{Meter, Server, Traffic, connect};

    use super::Args;

    /// Training steps that are counted, after as many that are not.
    const STEPS: u64 = 3;

    pub fn run(args: &Args) -> anyhow::Result<()> {
        let device = Metered::new()?;
        for case in &args.cases {
            let expected = || format!("`{case}` is no case: give PRESET:BATCH, as quick:8");
            let (preset, batch) = case.split_once(':').with_context(expected)?;
            let batch: usize = batch.parse().with_context(expected)?;
            for output in &args.output {
                let model = ModelConfig::preset(preset)?.with_output(Output::of_kind(output)?);
                let train = TrainConfig::new(2 * STEPS as usize, batch);
                let shared = device.shared_training(&model, train.clone(), args.size)?;
                say!(
                    "{preset} {output}, batch {batch}, {size}x{size}: as a second device of a training \
                     it gets {} bytes a step and sends {}",
                    shared.sent,
                    shared.received,
                    size = args.size,
                );
                let step = device.training(&model, train, args.size)?;
                say!(
                    "{preset} {output}, batch {batch}, {size}x{size}: a training step uploads {} \
                     tensors and sends {} bytes in all",
                    step.uploads,
                    step.sent,
                    size = args.size,
                );
                if args.sample_size > 0 {
                    let sampled = device.sampling(&model, batch, args.sample_size)?;
                    say!(
                        "{preset} {output}, batch {batch}, {size}x{size}: sampling uploads {} tensors \
                         and sends {} bytes in all",
                        sampled.uploads,
                        sampled.sent,
                        size = args.sample_size,
                    );
                }
            }
        }
        Ok(())
    }

    /// A device behind a meter: the CPU, by a server in this process.
    pub struct Metered {
        device: Device,
        meter: Meter,
    }

    impl Metered {
        pub fn new() -> anyhow::Result<Self> {
            let server = Server::bind("127.0.0.1:0", None)?;
            let meter = Meter::before(server.address())?;
            let cpu = pixel_iqn::device("cpu")?;
            thread::spawn(move || server.serve(cpu));
            let address = meter.address().to_string();
            let device = connect(&address, None, Duration::from_secs(30))?;
            Ok(Self { device, meter })
        }

        /// What a training step on the device alone moves, the mean of some.
        pub fn training(
            &self,
            model: &ModelConfig,
            train: TrainConfig,
            size: usize,
        ) -> anyhow::Result<Traffic> {
            self.training_on(core::slice::from_ref(&self.device), model, train, size)
        }

        /// What a training step moves that the device shares with the CPU of this process.
        pub fn shared_training(
            &self,
            model: &ModelConfig,
            train: TrainConfig,
            size: usize,
        ) -> anyhow::Result<Traffic> {
            let devices = [pixel_iqn::device("cpu")?, self.device.clone()];
            self.training_on(&devices, model, train, size)
        }

        fn training_on(
            &self,
            devices: &[Device],
            model: &ModelConfig,
            train: TrainConfig,
            size: usize,
        ) -> anyhow::Result<Traffic> {
            let images = 2 * train.batch as u64;
            let images = Arc::new(builtin::generate(0, 0..images, size, model.channels)?);
            let mut config = LoaderConfig::new(train.batch);
            config.flip = train.flip;
            let mut batches = Loader::new(images, config, devices[0].clone(), 0)?;
            let mut trainer = Trainer::<AnyModel>::on_devices(model, train, devices)?;
            let mut steps = || -> anyhow::Result<Traffic> {
                for _ in 0..STEPS {
                    let batch = batches.next().context("the loader does not end")?;
                    trainer.step(&batch)?;
                }
                self.taken()
            };
            steps()?;
            let mut mean = steps()?;
            for number in [&mut mean.uploads, &mut mean.sent, &mut mean.received] {
                *number /= STEPS;
            }
            Ok(mean)
        }

        /// What drawing a batch of samples sends to the device.
        pub fn sampling(
            &self,
            model: &ModelConfig,
            batch: usize,
            size: usize,
        ) -> anyhow::Result<Traffic> {
            let model = AnyModel::init_seeded(model, &self.device, 0);
            let sampler = pixel_iqn::sampler(model, &self.device);
            let options = SampleOptions::new(batch, [size, size], 0).with_batch(batch);
            self.taken()?;
            for batch in options.batches(sampler.config())? {
                sampler.sample(&batch, &NoProgress)?;
            }
            self.taken()
        }

        /// What was sent since the last call.
        fn taken(&self) -> anyhow::Result<Traffic> {
            self.device.sync()?;
            Ok(self.meter.take())
        }
    }
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use pixel_iqn::{ModelConfig, Output, TrainConfig};

    use super::counted::Metered;

    /// Images, labels and tau are uploaded at each step, and the knots of a monotone output twice: for
    /// its values, and for their score. Of samples each value is, when it is drawn; a monotone output
    /// then uploads tau and its knots twice, and a categorical one the noise.
    #[test]
    fn a_step_and_a_sample_upload_what_they_must() {
        let device = Metered::new().unwrap();
        for kind in Output::KINDS {
            let model = ModelConfig::tiny().with_output(Output::of_kind(kind).unwrap());
            let (of_step, of_value) = match kind {
                "monotone" => (5, 4),
                "categorical" => (3, 2),
                _ => (3, 1),
            };
            let all = model.clone().with_classes(10).with_orders(8);
            for model in [&model, &all.with_dilations(vec![2, 1])] {
                let step = device.training(model, TrainConfig::new(100, 4), 8).unwrap();
                assert_eq!(step.uploads, of_step, "{kind}");
            }
            let (size, values) = (4, 4 * 4 * model.channels as u64);
            let sampled = device.sampling(&model, 4, size).unwrap();
            let rest = sampled.uploads - of_value * values;
            assert!(rest <= 7, "{kind}: {sampled:?}");
        }
    }
}
