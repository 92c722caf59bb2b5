//! What is known already of a run that is being measured, so that a run that was killed meanwhile goes on from there.
//!
//! Numbers by name, in one safetensors file of the run's directory until its measures are complete. The file belongs to the run's recipe
//! and weights, which its metadata name with a checksum over all: one that is damaged, or of another run, counts for nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::array::weights::{matrix, to_vec};
use crate::chain::{Given, State};
use crate::data::atomic::atomic_write;
use crate::error::Result;
use crate::recipe::saved::MEASURED;
use crate::sampler::smc::{Population, Stage, Walk};
use crate::target::{Cost, Target};
use crate::train::Trained;
use crate::train::checkpoint::checksum;

/// Numbers by name, each as bytes, little-endian.
type Entries = BTreeMap<String, Vec<u8>>;

/// What is kept of measures that are under way.
pub(super) struct Kept {
    /// Where, where it is.
    path: Option<PathBuf>,
    /// The run's recipe and weights.
    owner: String,
    entries: RefCell<Entries>,
}

impl Kept {
    /// Keeps nothing: measures that nobody goes on with.
    pub(super) fn nothing() -> Self {
        Self { path: None, owner: String::new(), entries: RefCell::default() }
    }

    /// What a run's directory holds of measures of these weights.
    pub(super) fn of(directory: &Path, trained: &Trained) -> Self {
        let path = directory.join(MEASURED);
        let recipe = std::fs::read(directory.join("recipe.toml")).unwrap_or_default();
        let mut sum = crc32c::crc32c(&recipe);
        for values in &trained.vectors {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            sum = crc32c::crc32c_append(sum, &bytes);
        }
        let owner = format!("{sum:08x}");
        let entries = std::fs::read(&path).ok().and_then(|bytes| decode(&bytes, &owner)).unwrap_or_default();
        Self { path: Some(path), owner, entries: RefCell::new(entries) }
    }

    /// The numbers of a name.
    pub(super) fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        let entries = self.entries.borrow();
        let chunks = entries.get(name)?.as_chunks::<8>().0;
        Some(chunks.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    /// Gives numbers a name.
    pub(super) fn put(&self, name: &str, numbers: &[f64]) {
        if self.path.is_some() {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            self.entries.borrow_mut().insert(name.to_owned(), bytes);
        }
    }

    /// Forgets what has a name that begins so.
    pub(super) fn forget(&self, beginning: &str) {
        self.entries.borrow_mut().retain(|name, _| !name.starts_with(beginning));
    }

    /// The particles that were put under a name.
    pub(super) fn walk(&self, name: &str) -> Option<Walk<State>> {
        let [rows, columns, log_z] = self.numbers(&format!("{name}/counts"))?.try_into().ok()?;
        let points = {
            let entries = self.entries.borrow();
            let chunks = entries.get(&format!("{name}/states"))?.as_chunks::<4>().0;
            chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<f32>>()
        };
        let states = matrix(points, columns as usize, &Device::default());
        let log_weights = self.numbers(&format!("{name}/log_weights"))?;
        let known = self.numbers(&format!("{name}/known"))?;
        let known = known.chunks_exact(rows as usize).map(<[f64]>::to_vec).collect();
        let stages = self.stages(name)?;
        let given = Given::nothing();
        Some(Walk { particles: Population { states, given, log_weights, log_z, stages }, known })
    }

    /// Puts particles under a name.
    pub(super) fn put_walk(&self, name: &str, walk: &Walk<State>) {
        if self.path.is_none() {
            return;
        }
        self.forget(&format!("{name}/"));
        let Population { states, log_weights, log_z, stages, .. } = &walk.particles;
        self.put(&format!("{name}/counts"), &[log_weights.len() as f64, states.dims()[1] as f64, *log_z]);
        self.put(&format!("{name}/log_weights"), log_weights);
        self.put(&format!("{name}/known"), &walk.known.concat());
        let points = to_vec(states.clone()).into_iter().flat_map(f32::to_le_bytes).collect();
        self.entries.borrow_mut().insert(format!("{name}/states"), points);
        let of_stage = |stage: &Stage| [stage.ess, f64::from(u8::from(stage.resampled)), stage.log_z];
        self.put(&format!("{name}/stages"), &stages.iter().flat_map(of_stage).collect::<Vec<f64>>());
        for (index, stage) in stages.iter().enumerate() {
            for (place, (told, value)) in stage.info.iter().enumerate() {
                self.put(&format!("{name}/info/{index}/{place}/{told}"), &[*value]);
            }
        }
    }

    fn stages(&self, name: &str) -> Option<Vec<Stage>> {
        let numbers = self.numbers(&format!("{name}/stages"))?;
        let mut stages: Vec<Stage> = numbers
            .as_chunks::<3>()
            .0
            .iter()
            .map(|[ess, resampled, log_z]| Stage {
                ess: *ess,
                resampled: *resampled > 0.0,
                log_z: *log_z,
                info: Vec::new(),
            })
            .collect();
        let beginning = format!("{name}/info/");
        let names: Vec<String> =
            self.entries.borrow().keys().filter(|name| name.starts_with(&beginning)).cloned().collect();
        for full in names {
            let mut parts = full[beginning.len()..].splitn(3, '/');
            let (index, _, told) = (parts.next()?.parse::<usize>().ok()?, parts.next()?, parts.next()?);
            let value = *self.numbers(&full)?.first()?;
            stages.get_mut(index)?.info.push((told.to_owned(), value));
        }
        Some(stages)
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn save(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let bytes = encode(&self.entries.borrow(), &self.owner);
        atomic_write(path, |out| out.write_all(&bytes))
    }

    /// All is measured.
    pub(super) fn close(self) {
        if let Some(path) = self.path {
            // One that stays is of this very run, and right.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What a target was asked for a piece of work, over all the times that the run was resumed.
pub(super) struct Spent<'a> {
    energy: &'a dyn Target,
    kept: &'a Kept,
    name: &'static str,
    /// What is known of earlier times.
    known: Cost,
    /// The target's count at the beginning of this one.
    before: Option<Cost>,
}

impl<'a> Spent<'a> {
    /// What is kept under a name already, and what is asked from now on.
    pub(super) fn since(energy: &'a dyn Target, kept: &'a Kept, name: &'static str) -> Self {
        let whole = |numbers: Vec<f64>| match numbers[..] {
            [values, gradients] => Some(Cost { values: values as u64, gradients: gradients as u64 }),
            _ => None,
        };
        let known = kept.numbers(name).and_then(whole).unwrap_or_default();
        Self { energy, kept, name, known, before: energy.cost() }
    }

    /// All of it; none of a target that does not count.
    pub(super) fn so_far(&self) -> Option<Cost> {
        let (now, before) = self.energy.cost().zip(self.before)?;
        Some(self.known + (now - before))
    }

    /// Puts it under its name.
    pub(super) fn put(&self) {
        if let Some(cost) = self.so_far() {
            self.kept.put(self.name, &[cost.values as f64, cost.gradients as f64]);
        }
    }
}

/// The name of the file's metadata.
const ENTRY: &str = "anabranch";

fn encode(entries: &Entries, owner: &str) -> Vec<u8> {
    let sum = checksum(owner, entries.iter().map(|(name, bytes)| (name.clone(), &bytes[..])));
    let views = entries.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::U8, vec![bytes.len()], bytes).expect("bytes are of size 1");
        (name.clone(), view)
    });
    let metadata = HashMap::from([(ENTRY.into(), format!("{sum} {owner}"))]);
    safetensors::serialize(views, Some(metadata)).expect("names are unique")
}

fn decode(bytes: &[u8], owner: &str) -> Option<Entries> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let entry = header.metadata().as_ref()?.get(ENTRY)?.clone();
    let entries: Entries =
        tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    let sum = checksum(owner, entries.iter().map(|(name, bytes)| (name.clone(), &bytes[..])));
    (entry == format!("{sum} {owner}")).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_come_back_to_the_bit_and_to_their_owner_alone() {
        let directory = std::env::temp_dir().join(format!("anabranch-kept-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let trained = |value: f32| Trained { names: vec!["w".to_owned()], vectors: vec![vec![value]] };
        let info = vec![("divergence".to_owned(), 0.0), ("acceptance".to_owned(), 0.1 + 0.2)];
        let first = Stage { ess: 1.0, resampled: false, log_z: 0.0, info: Vec::new() };
        let second = Stage { ess: 1.0 / 3.0, resampled: true, log_z: -1e-300, info };
        let states = matrix(vec![1.0, f32::MIN_POSITIVE, -0.0, 4.5, 5.0, f32::MAX], 2, &Device::flex());
        let particles = Population {
            states: states.clone(),
            given: Given::nothing(),
            log_weights: vec![f64::NEG_INFINITY, 0.3, -1.0],
            log_z: std::f64::consts::PI,
            stages: vec![first, second],
        };
        let walk = Walk { particles, known: vec![vec![0.1, 0.2, 0.3], vec![1.0, 2.0, 3.0]] };
        let kept = Kept::of(&directory, &trained(1.0));
        kept.put_walk("smc", &walk);
        kept.put("costs", &[3.0, 4.0]);
        kept.save().unwrap();
        let again = Kept::of(&directory, &trained(1.0));
        let found = again.walk("smc").unwrap();
        assert_eq!(found.particles.stages, walk.particles.stages);
        assert_eq!((found.known, found.particles.log_weights), (walk.known, walk.particles.log_weights));
        assert_eq!(to_vec(found.particles.states), to_vec(states.clone()));
        assert_eq!(found.particles.log_z.to_bits(), std::f64::consts::PI.to_bits());
        assert_eq!(again.numbers("costs"), Some(vec![3.0, 4.0]));
        assert!(Kept::of(&directory, &trained(2.0)).walk("smc").is_none());
        let path = directory.join(MEASURED);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(Kept::of(&directory, &trained(1.0)).numbers("costs").is_none());
        again.close();
        assert!(!path.exists());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
