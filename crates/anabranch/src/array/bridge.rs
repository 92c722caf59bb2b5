//! From slices to tensors: runs a fused kernel as one differentiable operation of burn.
//!
//! A [`Fused`] operation has up to three inputs and one output, all row-major `f32`. It is recorded on the
//! autodiff tape as a single node only where an input is tracked; elsewhere nothing is saved.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchTensor, DispatchTensorKind, Flex, TensorMetadata,
    backend_extension,
};
use burn::tensor::{Device, Tensor, TensorData};

use super::weights::to_vec;

/// What a forward pass leaves for its backward pass.
pub type Saved = Arc<dyn Any + Send + Sync>;

/// A differentiable operation over slices.
///
/// Inputs arrive as contiguous row-major slices in the order of [`fused`]'s arguments; an absent input is
/// an empty slice.
pub trait Fused: Debug + Send + Sync + 'static {
    /// The output's shape for these input lengths, `[rows, columns]`.
    fn shape(&self, inputs: [&[f32]; 3]) -> [usize; 2];

    /// The output, with nothing kept for a backward pass.
    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32>;

    /// The output and what [`Fused::backward`] needs of it.
    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved);

    /// The gradients of the inputs that are wanted, given that of the output.
    fn backward(
        &self,
        inputs: [&[f32]; 3],
        saved: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3];
}

/// Applies a fused operation to up to three tensors of any rank.
///
/// # Panics
/// If an input is not f32, or lives on a device other than flex (with or without autodiff).
pub fn fused<const A: usize, const B: usize, const C: usize>(
    op: Arc<dyn Fused>,
    a: Tensor<A>,
    b: Tensor<B>,
    c: Option<Tensor<C>>,
) -> Tensor<2> {
    let inputs = if c.is_some() { 3 } else { 2 };
    let c = match c {
        Some(c) => c.into_dispatch(),
        None => absent(&a.device()),
    };
    let call = Call { op, inputs };
    let output = <Dispatch as FusedBackend>::fused_call(a.into_dispatch(), b.into_dispatch(), c, call);
    Tensor::from_dispatch(output)
}

/// Applies a fused operation to one tensor.
///
/// # Panics
/// As [`fused`].
pub fn fused_of_one<const A: usize>(op: Arc<dyn Fused>, a: Tensor<A>) -> Tensor<2> {
    let [b, c] = [0; 2].map(|_| absent(&a.device()));
    let call = Call { op, inputs: 1 };
    Tensor::from_dispatch(<Dispatch as FusedBackend>::fused_call(a.into_dispatch(), b, c, call))
}

/// What stands for an input that there is not.
fn absent(device: &Device) -> DispatchTensor {
    Tensor::<1>::zeros([1], device).into_dispatch()
}

/// Whether two tensors are the same numbers: the same step of a tape, or elsewhere equal bit for bit.
pub fn same(a: &Tensor<2>, b: &Tensor<2>) -> bool {
    let step = |x: &Tensor<2>| match x.clone().into_dispatch().kind {
        DispatchTensorKind::Autodiff(inner) => match *inner {
            DispatchTensorKind::Flex(BackendTensor::Autodiff(tensor)) => Some(tensor.id()),
            _ => None,
        },
        _ => None,
    };
    let bits = |x: &Tensor<2>| to_vec(x.clone()).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    match (step(a), step(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.dims() == b.dims() && bits(a) == bits(b),
        _ => false,
    }
}

/// An operation together with how many of its inputs are real.
#[derive(Debug, Clone)]
pub struct Call {
    op: Arc<dyn Fused>,
    inputs: usize,
}

impl Call {
    fn slices<'a>(&self, inputs: &'a [FlexTensor; 3]) -> [&'a [f32]; 3] {
        let slice = |index: usize| -> &'a [f32] {
            if index < self.inputs {
                inputs[index].as_slice().expect("a contiguous f32 tensor has a slice")
            } else {
                &[]
            }
        };
        [slice(0), slice(1), slice(2)]
    }

    fn tensor(&self, inputs: &[FlexTensor; 3], values: Vec<f32>) -> FlexTensor {
        let shape = self.op.shape(self.slices(inputs));
        FlexTensor::from_data(TensorData::new(values, shape))
    }
}

/// The backend operation behind [`fused`].
#[backend_extension(Flex, Autodiff)]
pub trait FusedBackend: Backend {
    /// Runs `call` on three float tensors.
    fn fused_call(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        call: Call,
    ) -> FloatTensor<Self>;
}

impl FusedBackend for Flex {
    fn fused_call(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        call: Call,
    ) -> FloatTensor<Self> {
        let inputs = [a.to_contiguous(), b.to_contiguous(), c.to_contiguous()];
        let values = call.op.forward(call.slices(&inputs));
        call.tensor(&inputs, values)
    }
}

impl<C: CheckpointStrategy> FusedBackend for Autodiff<Flex, C> {
    fn fused_call(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        call: Call,
    ) -> FloatTensor<Self> {
        let ((a, node_a), (b, node_b), (c, node_c)) = (a.into_parts(), b.into_parts(), c.into_parts());
        let inputs = [a.to_contiguous(), b.to_contiguous(), c.to_contiguous()];
        match FusedStep.prepare::<C>([node_a, node_b, node_c]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (values, saved) = call.op.forward_saving(call.slices(&inputs));
                let output = call.tensor(&inputs, values);
                prep.finish(Tape { call, inputs, saved }, output)
            }
            OpsKind::UnTracked(prep) => {
                let values = call.op.forward(call.slices(&inputs));
                prep.finish(call.tensor(&inputs, values))
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Tape {
    call: Call,
    inputs: [FlexTensor; 3],
    saved: Saved,
}

#[derive(Debug)]
struct FusedStep;

impl Backward<Flex, 3> for FusedStep {
    type State = Tape;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Tape { call, inputs, saved } = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let grad = grad.as_slice().expect("a contiguous f32 tensor has a slice");
        let results = call.op.backward(call.slices(&inputs), &saved, grad, wanted);
        for ((parent, input), result) in ops.parents.into_iter().zip(&inputs).zip(results) {
            if let (Some(parent), Some(values)) = (parent, result) {
                let gradient = FlexTensor::from_data(TensorData::new(values, input.shape()));
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
