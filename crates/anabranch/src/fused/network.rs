//! A whole feed-forward network as one differentiable operation.
//!
//! Rows are cut into chunks whose size depends on nothing but the constant below; each chunk runs on one thread, with
//! its activations in cache, and has its own gradient buffer; buffers are added in the chunks' order. Results are
//! therefore the same for any number of threads.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::bridge::{Fused, Saved, fused};
use super::math::{exp, sigmoid, tanh};
use super::matmul::{Matrix, multiply};
use crate::network::feedforward::{Activation, Feedforward};

/// Rows per chunk.
const CHUNK: usize = 128;

/// `y` of the network for inputs `x`, weights `theta` and an optional context (see [`crate::network::Network::apply`]).
///
/// # Panics
/// If the columns do not fit, or a context is missing.
pub fn apply(
    shape: &Arc<Feedforward>,
    mask: Option<&Arc<[f32]>>,
    x: Tensor<2>,
    theta: Tensor<1>,
    context: Option<Tensor<2>>,
) -> Tensor<2> {
    assert_eq!(x.dims()[1], shape.input, "columns of the input");
    assert_eq!(context.as_ref().map_or(0, |c| c.dims()[1]), shape.context, "columns of the context");
    let op = NetworkOp { shape: shape.clone(), mask: mask.cloned() };
    fused(Arc::new(op), x, theta, context)
}

#[derive(Debug)]
struct NetworkOp {
    shape: Arc<Feedforward>,
    mask: Option<Arc<[f32]>>,
}

/// What one chunk keeps: the state before each activation, and the input of each linear layer but the first.
struct ChunkTape {
    before: Vec<Vec<f32>>,
    inputs: Vec<Vec<f32>>,
}

/// One linear layer's place in the weight vector.
struct Linear {
    input: usize,
    output: usize,
    start: usize,
}

impl Linear {
    fn weight<'a>(&self, theta: &'a [f32]) -> &'a [f32] {
        &theta[self.start..self.start + self.input * self.output]
    }

    fn bias<'a>(&self, theta: &'a [f32]) -> &'a [f32] {
        let start = self.start + self.input * self.output;
        &theta[start..start + self.output]
    }
}

impl NetworkOp {
    fn linears(&self) -> Vec<Linear> {
        let mut start = 0;
        let sizes = self.shape.linears();
        sizes
            .into_iter()
            .map(|(input, output)| {
                let linear = Linear { input, output, start };
                start += (input + 1) * output;
                linear
            })
            .collect()
    }

    fn masked(&self, theta: &[f32]) -> Option<Vec<f32>> {
        self.mask.as_ref().map(|mask| theta.iter().zip(mask.iter()).map(|(t, m)| t * m).collect())
    }

    /// The context's rows that belong to a chunk: its own, or the one that all share.
    fn context_rows<'a>(&self, context: &'a [f32], chunk: usize, rows: usize) -> &'a [f32] {
        let width = self.shape.context;
        if context.len() <= width { context } else { &context[chunk * CHUNK * width..][..rows * width] }
    }

    fn run(
        &self,
        theta: &[f32],
        x: &[f32],
        context: &[f32],
        out: &mut [f32],
        keep: bool,
    ) -> Option<ChunkTape> {
        let rows = x.len() / self.shape.input;
        let linears = self.linears();
        let last = linears.len() - 1;
        let mut tape = ChunkTape { before: Vec::new(), inputs: Vec::new() };
        let mut hidden = vec![0.0; rows * linears[0].output];
        self.entry(&linears[0], theta, x, context, rows, &mut hidden);
        let mut skip: Vec<f32> = Vec::new();
        for (index, linear) in linears.iter().enumerate().skip(1) {
            let plain_input = self.shape.residual && index == last;
            let input = if plain_input { hidden.clone() } else { activate(self.shape.activation, &hidden) };
            if self.shape.residual && index % 2 == 1 && index != last {
                skip.clone_from(&hidden);
            }
            if keep {
                tape.before.push(std::mem::take(&mut hidden));
            }
            let target: &mut [f32] = if index == last {
                out
            } else {
                hidden.clear();
                hidden.resize(rows * linear.output, 0.0);
                &mut hidden
            };
            spread_bias(linear.bias(theta), target);
            if self.shape.residual && index % 2 == 0 && index != last {
                add(target, &skip);
            }
            multiply(
                Matrix::new(&input, rows, linear.input),
                Matrix::new(linear.weight(theta), linear.input, linear.output),
                target,
                true,
            );
            if keep {
                tape.inputs.push(input);
            }
        }
        keep.then_some(tape)
    }

    /// `x W_x + c W_c + b`; a shared context is folded into the bias.
    fn entry(
        &self,
        linear: &Linear,
        theta: &[f32],
        x: &[f32],
        context: &[f32],
        rows: usize,
        out: &mut [f32],
    ) {
        let (input, width) = (self.shape.input, self.shape.context);
        let (weight_x, weight_c) = linear.weight(theta).split_at(input * linear.output);
        if context.len() == width && width > 0 {
            let mut bias = linear.bias(theta).to_vec();
            multiply(
                Matrix::new(context, 1, width),
                Matrix::new(weight_c, width, linear.output),
                &mut bias,
                true,
            );
            spread_bias(&bias, out);
        } else {
            spread_bias(linear.bias(theta), out);
            if width > 0 {
                multiply(
                    Matrix::new(context, rows, width),
                    Matrix::new(weight_c, width, linear.output),
                    out,
                    true,
                );
            }
        }
        multiply(Matrix::new(x, rows, input), Matrix::new(weight_x, input, linear.output), out, true);
    }

    /// Adds a chunk's weight gradient to `grad_theta`; returns the gradient of the first layer's output.
    fn back(
        &self,
        theta: &[f32],
        tape: &ChunkTape,
        grad: &[f32],
        rows: usize,
        grad_theta: &mut [f32],
    ) -> Vec<f32> {
        let linears = self.linears();
        let last = linears.len() - 1;
        let mut grad = grad.to_vec();
        let mut skip: Vec<f32> = Vec::new();
        for (index, linear) in linears.iter().enumerate().skip(1).rev() {
            if self.shape.residual && index % 2 == 0 && index != last {
                skip.clone_from(&grad);
            }
            let (weight, bias) = grad_theta[linear.start..][..(linear.input + 1) * linear.output]
                .split_at_mut(linear.input * linear.output);
            let input = Matrix::new(&tape.inputs[index - 1], rows, linear.input);
            let grad_matrix = Matrix::new(&grad, rows, linear.output);
            multiply(input.transposed(), grad_matrix, weight, true);
            sum_columns(&grad, bias);
            let mut below = vec![0.0; rows * linear.input];
            let weight = Matrix::new(linear.weight(theta), linear.input, linear.output);
            multiply(grad_matrix, weight.transposed(), &mut below, false);
            if !(self.shape.residual && index == last) {
                scale_by_slope(self.shape.activation, &tape.before[index - 1], &mut below);
            }
            if self.shape.residual && index % 2 == 1 && index != last {
                add(&mut below, &skip);
            }
            grad = below;
        }
        grad
    }
}

/// The tapes of all chunks.
struct Tapes(Vec<ChunkTape>);

impl Fused for NetworkOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.shape.input, self.shape.output]
    }

    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32> {
        self.evaluate(inputs, false).0
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let (out, tapes) = self.evaluate(inputs, true);
        (out, Arc::new(Tapes(tapes)))
    }

    fn backward(
        &self,
        [x, theta, context]: [&[f32]; 3],
        saved: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let tapes = saved.downcast_ref::<Tapes>().expect("this operation's own tapes");
        let masked = self.masked(theta);
        let theta = masked.as_deref().unwrap_or(theta);
        let (input, width, output) = (self.shape.input, self.shape.context, self.shape.output);
        let first = &self.linears()[0];
        let (weight_x, weight_c) = first.weight(theta).split_at(input * first.output);
        let chunk = |(index, tape): (usize, &ChunkTape)| {
            let x = &x[index * CHUNK * input..];
            let x = &x[..x.len().min(CHUNK * input)];
            let rows = x.len() / input;
            let context = self.context_rows(context, index, rows);
            let mut grad_theta = vec![0.0; theta.len()];
            let grad = self.back(
                theta,
                tape,
                &grad[index * CHUNK * output..][..rows * output],
                rows,
                &mut grad_theta,
            );
            let grad_matrix = Matrix::new(&grad, rows, first.output);
            let (weights, bias) = grad_theta[first.start..][..(first.input + 1) * first.output]
                .split_at_mut(first.input * first.output);
            let (grad_weight_x, grad_weight_c) = weights.split_at_mut(input * first.output);
            multiply(Matrix::new(x, rows, input).transposed(), grad_matrix, grad_weight_x, true);
            sum_columns(&grad, bias);
            let shared = width > 0 && context.len() == width;
            let context_grad = if shared { Matrix::new(bias, 1, first.output) } else { grad_matrix };
            let context_rows = if shared { 1 } else { rows };
            if width > 0 {
                let context = Matrix::new(context, context_rows, width);
                multiply(context.transposed(), context_grad, grad_weight_c, true);
            }
            let against = |wanted: bool,
                           grad: Matrix<'_>,
                           grad_rows: usize,
                           weight: &[f32],
                           columns: usize| {
                let mut out = vec![0.0; if wanted { grad_rows * columns } else { 0 }];
                if wanted {
                    multiply(grad, Matrix::new(weight, columns, first.output).transposed(), &mut out, false);
                }
                out
            };
            let grad_x = against(wanted[0], grad_matrix, rows, weight_x, input);
            let grad_c = against(wanted[2] && width > 0, context_grad, context_rows, weight_c, width);
            (grad_x, grad_theta, grad_c)
        };
        let mut parts: Vec<_> = tapes.0.par_iter().enumerate().map(chunk).collect();
        let shared = context.len() == width;
        let (mut grad_x, mut grad_theta, mut grad_c) = parts.remove(0);
        for (more_x, more_theta, more_c) in parts {
            grad_x.extend(more_x);
            add(&mut grad_theta, &more_theta);
            if shared { add(&mut grad_c, &more_c) } else { grad_c.extend(more_c) }
        }
        if let Some(mask) = &self.mask {
            grad_theta.iter_mut().zip(mask.iter()).for_each(|(g, m)| *g *= m);
        }
        [
            wanted[0].then_some(grad_x),
            wanted[1].then_some(grad_theta),
            (wanted[2] && width > 0).then_some(grad_c),
        ]
    }
}

impl NetworkOp {
    fn evaluate(&self, [x, theta, context]: [&[f32]; 3], keep: bool) -> (Vec<f32>, Vec<ChunkTape>) {
        let masked = self.masked(theta);
        let theta = masked.as_deref().unwrap_or(theta);
        let rows = x.len() / self.shape.input;
        let mut out = vec![0.0; rows * self.shape.output];
        let run = |(index, (x, out)): (usize, (&[f32], &mut [f32]))| {
            let context = self.context_rows(context, index, x.len() / self.shape.input);
            self.run(theta, x, context, out, keep)
        };
        let tapes: Vec<Option<ChunkTape>> = if rows <= CHUNK {
            vec![run((0, (x, &mut out)))]
        } else {
            let chunks =
                x.par_chunks(CHUNK * self.shape.input).zip(out.par_chunks_mut(CHUNK * self.shape.output));
            chunks.enumerate().map(run).collect()
        };
        (out, tapes.into_iter().flatten().collect())
    }
}

fn spread_bias(bias: &[f32], out: &mut [f32]) {
    out.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
}

fn add(to: &mut [f32], from: &[f32]) {
    pulp::Arch::new().dispatch(|| to.iter_mut().zip(from).for_each(|(t, f)| *t += f));
}

fn sum_columns(values: &[f32], out: &mut [f32]) {
    values.chunks_exact(out.len()).for_each(|row| add(out, row));
}

const GELU_IN: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;

/// The activation of every element.
fn activate(activation: Activation, values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    let mut map = |f: fn(f32) -> f32| {
        // Kept for the rare activations; the common ones below are vectorised.
        out.iter_mut().zip(values).for_each(|(o, v)| *o = f(*v));
    };
    match activation {
        Activation::Relu => map(|x| x.max(0.0)),
        Activation::Elu => map(|x| if x > 0.0 { x } else { exp(x) - 1.0 }),
        Activation::Silu => pulp::Arch::new().dispatch(|| {
            out.iter_mut().zip(values).for_each(|(o, v)| *o = v * sigmoid(*v));
        }),
        Activation::Tanh => pulp::Arch::new().dispatch(|| {
            out.iter_mut().zip(values).for_each(|(o, v)| *o = tanh(*v));
        }),
        Activation::Gelu => pulp::Arch::new().dispatch(|| {
            out.iter_mut().zip(values).for_each(|(o, v)| {
                *o = 0.5 * v * (1.0 + tanh(GELU_IN * (v + GELU_CUBE * v * v * v)));
            });
        }),
    }
    out
}

/// Multiplies `grad` by the activation's slope at `before`.
fn scale_by_slope(activation: Activation, before: &[f32], grad: &mut [f32]) {
    let pairs = grad.iter_mut().zip(before);
    pulp::Arch::new().dispatch(|| match activation {
        Activation::Relu => pairs.for_each(|(g, x)| *g = if *x > 0.0 { *g } else { 0.0 }),
        Activation::Elu => pairs.for_each(|(g, x)| *g *= if *x > 0.0 { 1.0 } else { exp(*x) }),
        Activation::Silu => pairs.for_each(|(g, x)| {
            let s = sigmoid(*x);
            *g *= s * (1.0 + x * (1.0 - s));
        }),
        Activation::Tanh => pairs.for_each(|(g, x)| {
            let t = tanh(*x);
            *g *= 1.0 - t * t;
        }),
        Activation::Gelu => pairs.for_each(|(g, x)| {
            let t = tanh(GELU_IN * (x + GELU_CUBE * x * x * x));
            *g *= 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * GELU_IN * (1.0 + 3.0 * GELU_CUBE * x * x);
        }),
    });
}
