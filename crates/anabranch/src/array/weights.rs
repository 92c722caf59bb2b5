//! The trainable numbers of a network: one flat vector with named parts.
//!
//! A flat vector is one leaf of the autodiff tape, one pass of the optimiser, one line of the exponential
//! moving average and one entry of a checkpoint, whatever the number of layers.

use std::ops::Range;

use burn::tensor::{Device, Gradients, Tensor, TensorData};

/// A named part of a flat weight vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The part's name, such as `0.weight`.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Where it lies in the vector.
    pub range: Range<usize>,
}

impl Slot {
    /// Whether weight decay reaches it: matrices shrink; biases, norms, scales and schedules have another place than 0 to be.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// Lays parts out one after the other.
pub fn layout<'a>(parts: impl IntoIterator<Item = (&'a str, Vec<usize>)>) -> Vec<Slot> {
    let mut start = 0;
    parts
        .into_iter()
        .map(|(name, shape)| {
            let end = start + shape.iter().product::<usize>();
            let slot = Slot { name: name.to_owned(), shape, range: start..end };
            start = end;
            slot
        })
        .collect()
}

/// A network's weights.
#[derive(Debug, Clone)]
pub struct Weights {
    name: String,
    slots: Vec<Slot>,
    values: Tensor<1>,
}

impl Weights {
    /// Untracked weights with the given layout.
    ///
    /// # Panics
    /// If the layout does not cover `values` exactly.
    pub fn new(name: impl Into<String>, slots: Vec<Slot>, values: Vec<f32>) -> Self {
        let covered = slots.last().map_or(0, |slot| slot.range.end);
        assert_eq!(covered, values.len(), "the layout covers every weight");
        Self { name: name.into(), slots, values: vector(values, &Device::flex()) }
    }

    /// The name, unique within a model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives them another name.
    pub fn rename(&mut self, name: impl Into<String>) {
        self.name = name.into();
    }

    /// The named parts.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.slots.last().map_or(0, |slot| slot.range.end)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flat vector, tracked if the weights are.
    pub fn tensor(&self) -> Tensor<1> {
        self.values.clone()
    }

    /// One part as a matrix or, for a part of rank 1, a single row.
    ///
    /// # Panics
    /// If there is no such part, or its rank is above 2.
    pub fn matrix(&self, name: &str) -> Tensor<2> {
        let slot = self.slots.iter().find(|slot| slot.name == name).expect("the part exists");
        let shape = match slot.shape[..] {
            [columns] => [1, columns],
            [rows, columns] => [rows, columns],
            _ => panic!("part {name} has rank {}", slot.shape.len()),
        };
        self.values.clone().slice([slot.range.clone()]).reshape(shape)
    }

    /// A copy of the numbers.
    pub fn values(&self) -> Vec<f32> {
        to_vec(self.values.clone())
    }

    /// Replaces the numbers; they stay tracked if they were.
    ///
    /// # Panics
    /// If the length differs.
    pub fn set(&mut self, values: Vec<f32>) {
        assert_eq!(values.len(), self.len(), "weights keep their length");
        self.replace(values);
    }

    /// Takes the numbers out, without a copy where nothing else holds them; there are none until the next
    /// [`Weights::set`].
    pub fn take(&mut self) -> Vec<f32> {
        to_vec(self.replace(Vec::new()))
    }

    fn replace(&mut self, values: Vec<f32>) -> Tensor<1> {
        let tracked = self.values.is_require_grad();
        let values = vector(values, &self.values.device());
        std::mem::replace(&mut self.values, if tracked { values.require_grad() } else { values })
    }

    /// The device that inputs must live on to meet these weights.
    pub fn device(&self) -> Device {
        self.values.device()
    }

    /// Whether gradients are recorded for these weights.
    pub fn is_tracked(&self) -> bool {
        self.values.is_require_grad()
    }

    /// Tracks the weights from now on.
    pub fn track(&mut self) {
        self.values = vector(self.values(), &Device::flex().autodiff()).require_grad();
    }

    /// Stops tracking, on the device of states that carry gradients.
    pub fn stop(&mut self) {
        self.values = vector(self.values(), &Device::flex().autodiff());
    }

    /// Stops tracking.
    pub fn freeze(&mut self) {
        self.values = vector(self.values(), &Device::flex());
    }

    /// The gradient that a backward pass left for these weights; `None` if they took no part.
    pub fn gradient(&self, gradients: &mut Gradients) -> Option<Vec<f32>> {
        self.values.grad_remove(gradients).map(to_vec)
    }
}

pub(crate) fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// The numbers of an f32 tensor, row-major.
///
/// # Panics
/// If the tensor is not f32.
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("the tensor is f32")
}

/// The numbers of an f64 tensor, row-major.
///
/// # Panics
/// If the tensor is not f64.
pub fn to_vec_f64<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_into_vec().expect("the tensor is f64")
}

/// A `[rows, columns]` tensor of the given row-major numbers.
///
/// # Panics
/// If the count does not match.
pub fn matrix(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Sums the coordinates of each row: `[batch, dimension]` to `[batch]`.
pub fn sum_rows(values: Tensor<2>) -> Tensor<1> {
    values.sum_dim(1).squeeze_dim(1)
}
