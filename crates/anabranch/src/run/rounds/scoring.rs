//! Asking a pool of scorers: each for a share of the objects, what is known being kept on disk.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::data::write_records;
use crate::environment::Cell;
use crate::error::{Error, Failure, Result};
use crate::recipe::objects::Rewarded;
use crate::run::{Observer, watched};
use crate::target::{ScoreTable, checked};

/// Objects that a scorer is asked about at a time.
const SHARE: usize = 32;

/// What is known so far.
struct Known<'a> {
    /// Of each object.
    scores: Vec<Option<f64>>,
    /// Shares that wait.
    waiting: VecDeque<Vec<usize>>,
    failed: Option<Error>,
    cache: &'a Path,
}

/// The scores of objects, those that `cached` has not from `scorers`; a share that fails is asked for once more. `cache` is written
/// whenever a share is done.
///
/// # Errors
/// If a share fails twice, a score is no finite number, the cache cannot be written, or the observer asked to stop.
pub(super) fn ask(
    scorers: &[Rewarded],
    objects: &[Vec<Cell>],
    cached: Option<&ScoreTable>,
    cache: &Path,
    observer: &dyn Observer,
) -> Result<Vec<f64>> {
    let places = cached.map(ScoreTable::places).unwrap_or_default();
    let known = |object: &Vec<Cell>| Some(cached?.scores[*places.get(&object[..])?]);
    let scores: Vec<Option<f64>> = objects.iter().map(known).collect();
    let missing: Vec<usize> = (0..objects.len()).filter(|place| scores[*place].is_none()).collect();
    let share = SHARE.min(missing.len().div_ceil(scorers.len().max(1))).max(1);
    let waiting = missing.chunks(share).map(<[usize]>::to_vec).collect();
    let seen = watched(observer, "scores", missing.len());
    let state = Mutex::new(Known { scores, waiting, failed: None, cache });
    std::thread::scope(|scope| {
        for (environment, scorer) in scorers {
            scope.spawn(|| {
                loop {
                    let share = {
                        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                        match state.waiting.pop_front() {
                            Some(share) if state.failed.is_none() => share,
                            _ => return,
                        }
                    };
                    let cells: Vec<Cell> =
                        share.iter().flat_map(|place| objects[*place].iter().copied()).collect();
                    let mut found = vec![0.0; share.len()];
                    let describe = |object: &[Cell]| environment.describe(object);
                    let mut asked = || checked(scorer.as_ref(), &cells, &[], &describe, &mut found);
                    // What fails once may have been the machine's fault.
                    let answer = match asked() {
                        Err(Failure::Skip(_)) => asked(),
                        other => other,
                    };
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    let kept = answer.map_err(Failure::into_error).and_then(|()| {
                        share
                            .iter()
                            .zip(&found)
                            .for_each(|(place, score)| state.scores[*place] = Some(*score));
                        write(&state, environment.as_ref(), objects)
                    });
                    let stopped = !seen(share.len());
                    if let Err(error) = kept {
                        state.failed.get_or_insert(error);
                    } else if stopped {
                        state.failed.get_or_insert(Error::Interrupted);
                    }
                }
            });
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(error) => Err(error),
        None => Ok(state.scores.into_iter().map(|score| score.expect("all were asked for")).collect()),
    }
}

/// Writes all that is known.
fn write(
    state: &Known<'_>,
    environment: &dyn crate::environment::Environment,
    objects: &[Vec<Cell>],
) -> Result<()> {
    let rows = objects.iter().zip(&state.scores).filter_map(|(object, score)| {
        score.map(|score| vec![environment.describe(object), score.to_string()])
    });
    write_records(state.cache, "object,score", rows)
}
