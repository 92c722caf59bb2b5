//! Checkpoints: everything a run needs to go on, in one safetensors file.
//!
//! Tensors are named `weights/NAME`, `first/NAME`, `second/NAME`, `average/NAME` and `best/NAME`; what else a family keeps is
//! bytes, named `memory/NAME`. The header's metadata hold a checksum over names, contents and counters, and the counters. A file is written beside its place and renamed,
//! so a kill leaves the one before; a damaged file is detected by its checksum and the one before it is used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{Best, State, Training};
use crate::data::atomic::atomic_write;
use crate::error::{Error, Problem, Result, reason};

#[derive(Serialize, Deserialize)]
struct Counters {
    step: u64,
    seed: u64,
    stale: u64,
    best_score: Option<f64>,
    best_step: Option<u64>,
    /// The run's [`Checkpoints::run`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
}

/// A directory of checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    directory: PathBuf,
    /// The [`identity`] of the run, by which it knows its own.
    run: Option<u32>,
}

impl Checkpoints {
    /// The checkpoints of a run directory.
    pub fn of(run: &Path) -> Self {
        let recipe = std::fs::read_to_string(run.join("recipe.toml")).ok();
        Self { directory: run.join("checkpoints"), run: recipe.map(|recipe| identity(&recipe)) }
    }

    /// Writes a checkpoint and removes all but the last `kept`, that one included.
    ///
    /// # Errors
    /// If it cannot be written; older ones are then left alone.
    pub fn save(&self, trainer: &dyn Training, kept: usize) -> Result<()> {
        std::fs::create_dir_all(&self.directory)
            .map_err(|error| Error::io("create", &self.directory, error))?;
        let bytes = encode(&trainer.names(), trainer.state(), trainer.memory(), self.run);
        let path = self.directory.join(name(trainer.state().step));
        atomic_write(&path, |out| out.write_all(&bytes))?;
        // Files of later steps are damaged or foreign ones, which count for nothing.
        let known = self.files()?;
        for old in known.iter().rev().skip_while(|known| **known != path).skip(kept) {
            std::fs::remove_file(old).map_err(|error| Error::io("remove", old, error))?;
        }
        Ok(())
    }

    /// Whether there is any, whole or not.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn any(&self) -> Result<bool> {
        Ok(!self.files()?.is_empty())
    }

    /// Restores the newest checkpoint that is whole and belongs to the run of which `trainer` is a beginning; answers a
    /// message for every newer one that was passed over.
    ///
    /// # Errors
    /// If there is none.
    pub fn restore(&self, trainer: &mut dyn Training) -> Result<Vec<String>> {
        let mut passed = Vec::new();
        for path in self.files()?.iter().rev() {
            match self.restore_file(path, trainer) {
                Ok(()) => return Ok(passed),
                Err(reason) => passed.push(format!("{}: {reason}", path.display())),
            }
        }
        let found = if passed.is_empty() { "no checkpoint".to_owned() } else { passed.join("; ") };
        Err(Problem::new(self.directory.display().to_string(), found)
            .allowed("at least one whole checkpoint of this run")
            .into())
    }

    /// Restores the checkpoint of a step.
    ///
    /// # Errors
    /// If there is none, or it is damaged or of another run.
    pub fn restore_step(&self, step: u64, trainer: &mut dyn Training) -> Result<()> {
        let path = self.directory.join(name(step));
        let known = self.files()?;
        let problem =
            |found: String| Error::from(Problem::new("--checkpoint", found).allowed(allowed(&known)));
        if !known.contains(&path) {
            return Err(problem(format!("step {step}, of which there is none")));
        }
        self.restore_file(&path, trainer).map_err(|reason| problem(format!("{}: {reason}", path.display())))
    }

    /// Restores the checkpoint in a file; what is wrong with it is told in words.
    fn restore_file(&self, path: &Path, trainer: &mut dyn Training) -> std::result::Result<(), String> {
        let bytes = std::fs::read(path).map_err(|error| reason(&error))?;
        let (state, memory) = decode(&bytes, &trainer.names(), trainer.state(), self.run)?;
        if !path.ends_with(name(state.step)) {
            return Err(format!("renamed (it holds step {})", state.step));
        }
        trainer.restore(state, memory)
    }

    /// The files, oldest first.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list", &self.directory, error)),
        };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
            .collect();
        // Steps of more digits than the usual ten come last.
        files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        Ok(files)
    }
}

/// The checksum of a recipe's text but for `training.steps`, which says how far a run goes and not what it is.
fn identity(recipe: &str) -> u32 {
    let mut training = false;
    let mut sum = 0;
    for line in recipe.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            training = line == "[training]";
        }
        if !(training && line.starts_with("steps = ")) {
            sum = crc32c::crc32c_append(sum, line.as_bytes());
        }
    }
    sum
}

/// The steps of checkpoints, in words.
fn allowed(files: &[PathBuf]) -> String {
    let step = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let steps: Vec<String> = files.iter().filter_map(step).map(|step| step.to_string()).collect();
    match steps.is_empty() {
        true => "a run with checkpoints".to_owned(),
        false => format!("one of the steps {}; `training.keep_checkpoints` keeps more", steps.join(", ")),
    }
}

/// The name of the file of a step.
fn name(step: u64) -> String {
    format!("step-{step:010}.safetensors")
}

/// Bytes by name.
type Memory = Vec<(String, Vec<u8>)>;

/// What the names of these tensors begin with.
const MEMORY: &str = "memory/";

type Group<'a> = (&'static str, &'a [Vec<f32>]);

fn groups(state: &State) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = vec![
        ("weights", &state.weights),
        ("first", &state.first),
        ("second", &state.second),
        ("average", &state.average),
    ];
    groups.extend(state.best.iter().map(|best| ("best", &best.weights[..])));
    groups
}

pub(crate) fn checksum<'a>(counters: &str, tensors: impl Iterator<Item = (String, &'a [u8])>) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(counters.as_bytes());
    for (name, bytes) in tensors {
        crc.update(name.as_bytes());
        crc.update(&(bytes.len() as u64).to_le_bytes());
        crc.update(bytes);
    }
    format!("{:08x}", crc.sum())
}

fn encode(names: &[String], state: &State, mut memory: Memory, run: Option<u32>) -> Vec<u8> {
    let counters = Counters {
        step: state.step,
        seed: state.seed,
        stale: state.stale,
        best_score: state.best.as_ref().map(|best| best.score),
        best_step: state.best.as_ref().map(|best| best.step),
        run,
    };
    let counters = serde_json::to_string(&counters).expect("counters are plain numbers");
    memory.sort();
    let memory = memory.into_iter().map(|(name, bytes)| (format!("{MEMORY}{name}"), bytes));
    let buffers: Memory = groups(state)
        .into_iter()
        .flat_map(|(group, vectors)| {
            names.iter().zip(vectors).map(move |(name, vector)| {
                (format!("{group}/{name}"), vector.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
        })
        .chain(memory)
        .collect();
    let sum = checksum(&counters, buffers.iter().map(|(name, bytes)| (name.clone(), &bytes[..])));
    let views = buffers.iter().map(|(name, bytes)| {
        let (dtype, size) = if name.starts_with(MEMORY) { (Dtype::U8, 1) } else { (Dtype::F32, 4) };
        let view =
            TensorView::new(dtype, vec![bytes.len() / size], bytes).expect("as many bytes as numbers need");
        (name.clone(), view)
    });
    let metadata = HashMap::from([("anabranch".to_owned(), format!("{sum} {counters}"))]);
    safetensors::serialize(views, Some(metadata)).expect("names are unique")
}

fn decode(
    bytes: &[u8],
    names: &[String],
    known: &State,
    run: Option<u32>,
) -> std::result::Result<(State, Memory), String> {
    let damaged = |what: &dyn std::fmt::Display| format!("damaged ({what})");
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let metadata = header.metadata().as_ref().ok_or("not a checkpoint of this program (no metadata)")?;
    // One entry: the order of several would not be the same in every file.
    let entry = metadata.get("anabranch").ok_or("not a checkpoint of this program (no counters)")?;
    let (sum, counters_text) = entry.split_once(' ').ok_or("damaged (no checksum)")?;
    let counters: Counters = serde_json::from_str(counters_text).map_err(|error| damaged(&error))?;
    let mut read: Vec<(String, &[u8])> = Vec::new();
    let mut group = |group: &str| -> std::result::Result<Vec<Vec<f32>>, String> {
        let mut vectors = Vec::new();
        for (name, length) in names.iter().zip(known.weights.iter().map(Vec::len)) {
            let full = format!("{group}/{name}");
            let tensor = tensors.tensor(&full).map_err(|_| format!("of another model (it has no {full})"))?;
            if tensor.dtype() != Dtype::F32 || tensor.data().len() != 4 * length {
                return Err(format!(
                    "of another model ({full} has {} bytes, not {})",
                    tensor.data().len(),
                    4 * length
                ));
            }
            let chunks = tensor.data().chunks_exact(4);
            vectors.push(chunks.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect());
            read.push((full, tensor.data()));
        }
        Ok(vectors)
    };
    let (weights, first, second, average) =
        (group("weights")?, group("first")?, group("second")?, group("average")?);
    let best = match (counters.best_score, counters.best_step) {
        (Some(score), Some(step)) => Some(Best { score, step, weights: group("best")? }),
        _ => None,
    };
    let mut kept: Vec<&str> = tensors.names().into_iter().filter(|name| name.starts_with(MEMORY)).collect();
    kept.sort_unstable();
    let mut memory = Memory::new();
    for name in kept {
        let tensor = tensors.tensor(name).map_err(|error| damaged(&error))?;
        memory.push((name[MEMORY.len()..].to_owned(), tensor.data().to_vec()));
        read.push((name.to_owned(), tensor.data()));
    }
    if checksum(counters_text, read.into_iter()) != sum {
        return Err("damaged (its checksum does not match)".to_owned());
    }
    if counters.seed != known.seed {
        return Err(format!("of another run (its seed is {}, not {})", counters.seed, known.seed));
    }
    // Those of older versions do not say.
    if run.zip(counters.run).is_some_and(|(own, other)| own != other) {
        return Err("of another run (its recipe is another one)".to_owned());
    }
    let state = State {
        step: counters.step,
        seed: counters.seed,
        weights,
        first,
        second,
        average,
        best,
        stale: counters.stale,
    };
    Ok((state, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let vectors = |offset: f32| vec![vec![offset, offset + 0.5], vec![-offset]];
        State {
            step: 7,
            seed: u64::MAX,
            weights: vectors(1.0),
            first: vectors(2.0),
            second: vectors(3.0),
            average: vectors(4.0),
            best: Some(Best { score: -1.25, step: 5, weights: vectors(5.0) }),
            stale: 2,
        }
    }

    #[test]
    fn a_run_is_its_recipe_but_for_its_length() {
        let own = "# sealed 1\nseed = 0\n\n[training]\nsteps = 30\nbatch = 8\n\n[sampler]\nsteps = 5\n";
        let changed = |from: &str, to: &str| identity(own) != identity(&own.replace(from, to));
        assert!(!changed("sealed 1", "sealed 2") && !changed("steps = 30", "steps = 60"));
        assert!(
            changed("seed = 0", "seed = 1")
                && changed("batch = 8", "batch = 9")
                && changed("steps = 5", "steps = 6")
        );
    }

    #[test]
    fn a_checkpoint_comes_back_and_every_flipped_bit_is_noticed() {
        let names = ["a".to_owned(), "b".to_owned()];
        let memory = vec![("replay".to_owned(), vec![7, 0, 255]), ("counts".to_owned(), Vec::new())];
        let bytes = encode(&names, &state(), memory.clone(), Some(3));
        let whole = (state(), vec![memory[1].clone(), memory[0].clone()]);
        assert_eq!(decode(&bytes, &names, &state(), Some(3)).unwrap(), whole);
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1 << bit;
                if let Ok(read) = decode(&damaged, &names, &state(), Some(3)) {
                    assert_eq!(read, whole, "byte {position}, bit {bit}: accepted with other content");
                }
            }
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], &names, &state(), Some(3)).is_err());
        }
        assert!(decode(&bytes, &names, &state(), Some(4)).unwrap_err().contains("its recipe is another one"));
        assert!(decode(&encode(&names, &state(), Vec::new(), None), &names, &state(), Some(4)).is_ok());
        let wider = State { weights: vec![vec![0.0; 2], vec![0.0; 2]], ..state() };
        assert!(decode(&bytes, &names, &wider, Some(3)).unwrap_err().contains("of another model"));
        let other = State { seed: 3, ..state() };
        assert!(
            decode(&bytes, &names, &other, Some(3))
                .unwrap_err()
                .contains("its seed is 18446744073709551615, not 3")
        );
    }
}
