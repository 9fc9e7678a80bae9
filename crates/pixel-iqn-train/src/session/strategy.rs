use std::sync::{Arc, Mutex};

use burn::data::dataloader::{DataLoader, DataLoaderIterator};
use burn::tensor::Device;
use burn::train::{
    Learner, SupervisedLearningStrategy, TrainLoader, TrainingComponents, ValidLoader,
};

use super::steps::Events;
use super::{End, Session};
use crate::error::RunError;
use crate::objective::{Objective, TrainModel};

/// The steps of a session as a strategy of Burn.
pub(super) struct Steps<M: TrainModel>(pub Mutex<State<M>>);

pub(super) enum State<M: TrainModel> {
    Ready(Box<Session<M>>),
    Running,
    Done(Box<Session<M>>, Result<End, RunError>),
}

impl<M: TrainModel> SupervisedLearningStrategy<Objective<M>> for Steps<M> {
    fn fit(
        &self,
        components: TrainingComponents<Objective<M>>,
        _: Learner<Objective<M>>,
        _: TrainLoader<Objective<M>>,
        _: ValidLoader<Objective<M>>,
        _: usize,
    ) -> (Objective<M>, Events<M>) {
        let mut events = components.event_processor;
        let mut state = self.0.lock().expect("no thread panics with the lock");
        let State::Ready(mut session) = core::mem::replace(&mut *state, State::Running) else {
            panic!("a session is run once");
        };
        let end = session.run(&mut events);
        let objective = session.trainer.objective().clone();
        *state = State::Done(session, end);
        (objective, events)
    }
}

/// Burn asks for loaders; the session has its own, which starts anywhere.
pub(super) struct NoLoader;

impl<T> DataLoader<T> for NoLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<T> + 'a> {
        unreachable!("the strategy reads no loader")
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<T>> {
        Arc::new(NoLoader)
    }

    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<T>> {
        Arc::new(NoLoader)
    }
}
