//! What was found at a state, for the next kernel, which begins where the last one ended.

use std::sync::{Mutex, PoisonError};

use crate::array::bridge::same;
use crate::chain::{Given, State};
use crate::error::Failure;

/// What was found last, and where.
#[derive(Debug)]
pub(super) struct Memory<T>(Mutex<Option<Kept<T>>>);

#[derive(Debug)]
struct Kept<T> {
    state: State,
    given: Given,
    place: usize,
    found: T,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Memory<T> {
    /// What is kept of the state, at a `place` of the path that it depends on; else what `find` finds, kept from now on.
    ///
    /// # Errors
    /// As `find`.
    pub(super) fn recall(
        &self,
        state: &State,
        given: &Given,
        place: usize,
        find: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(kept) = self.lock().as_ref()
            && kept.place == place
            && kept.given == *given
            && same(&kept.state, state)
        {
            return Ok(kept.found.clone());
        }
        let found = find()?;
        self.keep(state, given, place, found.clone());
        Ok(found)
    }

    /// Keeps what is known of a state.
    pub(super) fn keep(&self, state: &State, given: &Given, place: usize, found: T) {
        *self.lock() = Some(Kept { state: state.clone(), given: given.clone(), place, found });
    }

    /// What is known of one state is known of another.
    pub(super) fn carry(&self, from: &State, to: &State, given: &Given) {
        if let Some(kept) = self.lock().as_mut()
            && kept.given == *given
            && same(&kept.state, from)
        {
            kept.state = to.clone();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Kept<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
