//! A whole feed-forward network as one differentiable operation.
//!
//! Rows are cut into chunks whose size depends on their number alone; each chunk runs on one thread, with its
//! activations in cache, and has its own gradient of the weights; these are added in the chunks' order. Results are
//! therefore the same for any number of threads.
//!
//! With `z_0 = [x, c] W_0 + b_0` and `x_j` the (activated) input of layer `j`:
//!
//! ```text
//! z_j = x_j W_j + b_j (+ z_{j-2} at the end of a residual block),   x_{j+1} = act(z_j)
//! ```

mod tangent;

pub use tangent::{Directions, push_forward};

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::bridge::{Fused, Saved, fused};
use super::chunk::chunk_rows;
use super::layer::{self, Input, Layer, Outputs, forward, sum_columns, unpad};
use super::matmul::{Panels, Rows, columns_times, row_stride};
use super::scratch::Scratch;
use super::shape::{Activation, Feedforward};

/// `y` of the network for inputs `x`, weights `theta` and an optional context (see [`crate::network::Network::apply`]).
///
/// # Panics
/// If the columns do not fit, or a context is missing.
pub fn apply(
    shape: &Arc<Feedforward>,
    mask: Option<&Arc<[f32]>>,
    packed: Option<&PackedWeights>,
    x: Tensor<2>,
    theta: Tensor<1>,
    context: Option<Tensor<2>>,
) -> Tensor<2> {
    assert_eq!(x.dims()[1], shape.input, "columns of the input");
    assert_eq!(context.as_ref().map_or(0, |c| c.dims()[1]), shape.context, "columns of the context");
    let op = NetworkOp { shape: shape.clone(), mask: mask.cloned(), packed: packed.cloned() };
    fused(Arc::new(op), x, theta, context)
}

/// A place for packed weights that do not change, shared by all calls of a network.
#[derive(Debug, Clone, Default)]
pub struct PackedWeights(Arc<OnceLock<Vec<Layer>>>);

#[derive(Debug)]
struct NetworkOp {
    shape: Arc<Feedforward>,
    mask: Option<Arc<[f32]>>,
    packed: Option<PackedWeights>,
}

/// What one chunk keeps: every layer's input and the slope at every activation, padded.
struct ChunkTape {
    inputs: Vec<Scratch>,
    slopes: Vec<Scratch>,
}

/// One linear layer's place in the weight vector.
#[derive(Clone, Copy)]
struct Linear {
    input: usize,
    output: usize,
    start: usize,
}

impl Linear {
    fn weight<'a>(&self, theta: &'a [f32]) -> &'a [f32] {
        &theta[self.start..][..self.input * self.output]
    }

    fn bias<'a>(&self, theta: &'a [f32]) -> &'a [f32] {
        &theta[self.start + self.input * self.output..][..self.output]
    }
}

/// The context of one chunk.
#[derive(Clone, Copy)]
enum Context<'a> {
    None,
    Shared(&'a [f32]),
    Rows(&'a [f32]),
}

impl NetworkOp {
    fn linears(&self) -> Vec<Linear> {
        let mut start = 0;
        let place = |(input, output)| {
            let linear = Linear { input, output, start };
            start += (input + 1) * output;
            linear
        };
        self.shape.linears().into_iter().map(place).collect()
    }

    fn masked(&self, theta: &[f32]) -> Option<Vec<f32>> {
        self.mask.as_ref().map(|mask| theta.iter().zip(mask.iter()).map(|(t, m)| t * m).collect())
    }

    /// On one thread: others wait for what is packed once, and must not be given its parts to do.
    fn pack(&self, theta: &[f32]) -> Vec<Layer> {
        let masked = self.masked(theta);
        let theta = masked.as_deref().unwrap_or(theta);
        self.linears().iter().map(|l| Layer::pack(l.weight(theta), l.bias(theta), l.input)).collect()
    }

    /// `W^T` of a layer's first `rows` rows.
    fn transpose(&self, linear: &Linear, rows: usize, theta: &[f32]) -> Panels {
        Panels::pack_transposed(&linear.weight(theta)[..rows * linear.output], rows, linear.output)
    }

    fn context<'a>(&self, context: &'a [f32], rows: usize, first: usize, count: usize) -> Context<'a> {
        let width = self.shape.context;
        match width {
            0 => Context::None,
            _ if context.len() == width && rows != 1 => Context::Shared(context),
            _ if context.len() == width => Context::Rows(context),
            _ => Context::Rows(&context[first * width..][..count * width]),
        }
    }

    /// Whether layer `index` ends a residual block, and adds the `z` of the layer two before.
    fn joins(&self, index: usize, last: usize) -> bool {
        self.shape.residual && index > 0 && index.is_multiple_of(2) && index != last
    }

    /// The activation behind layer `index`: none behind the last, nor behind the last residual block.
    fn activation(&self, index: usize, last: usize) -> Option<Activation> {
        let plain = index == last || (self.shape.residual && index + 1 == last);
        (!plain).then_some(self.shape.activation)
    }

    fn run(
        &self,
        layers: &[Layer],
        x: &[f32],
        context: Context<'_>,
        out: &mut [f32],
        keep: bool,
    ) -> Option<ChunkTape> {
        let input = self.shape.input;
        let rows = x.len() / input;
        let end = layers.len() - 1;
        let joined;
        let mut bias = layers[0].bias.as_slice();
        let folded;
        let (entry, depth) = match context {
            Context::None => (x, input),
            Context::Rows(context) => {
                joined = join(x, context, rows);
                (&joined[..], input + self.shape.context)
            }
            Context::Shared(context) => {
                folded = self.folded_bias(&layers[0], context);
                bias = &folded;
                (x, input)
            }
        };
        let mut tape = ChunkTape { inputs: Vec::new(), slopes: Vec::new() };
        let mut previous = Scratch::take(0);
        let mut skip = Scratch::take(0);
        for (index, layer) in layers[..end].iter().enumerate() {
            let width = row_stride(layer.weight.columns());
            let source = match index {
                0 => Rows { values: entry, stride: depth, count: rows },
                _ => Rows { values: &previous, stride: row_stride(layer.weight.depth()), count: rows },
            };
            let (depth, bias) =
                if index == 0 { (depth, bias) } else { (layer.weight.depth(), &layer.bias[..]) };
            let activation = self.activation(index, end);
            let mut next = Scratch::take(rows * width);
            let mut slope = Scratch::take(if keep && activation.is_some() { rows * width } else { 0 });
            let joins = self.joins(index, end);
            let starts = self.shape.residual && index.is_multiple_of(2) && activation.is_some();
            let mut before = Scratch::take(if starts { rows * width } else { 0 });
            let outputs = Outputs { before: &mut before, next: &mut next, slope: &mut slope };
            let skip_in = joins.then_some(&skip[..]);
            let input = Input { x: source, depth, weight: &layer.weight, bias, skip: skip_in };
            forward(activation, input, outputs);
            if starts {
                skip = before;
            }
            if keep {
                let source = match index {
                    0 => pad(entry, depth),
                    _ => std::mem::replace(&mut previous, Scratch::take(0)),
                };
                tape.inputs.push(source);
                tape.slopes.push(slope);
            }
            previous = next;
        }
        let layer = &layers[end];
        let mut wide = Scratch::take(rows * row_stride(layer.weight.columns()));
        let (source, depth, bias) = match end {
            0 => (Rows { values: entry, stride: depth, count: rows }, depth, bias),
            _ => {
                let depth = layer.weight.depth();
                (Rows { values: &previous, stride: row_stride(depth), count: rows }, depth, &layer.bias[..])
            }
        };
        let outputs = Outputs { before: &mut [], next: &mut wide, slope: &mut [] };
        forward(None, Input { x: source, depth, weight: &layer.weight, bias, skip: None }, outputs);
        unpad(&wide, layer.weight.columns(), out);
        if keep {
            tape.inputs.push(if end == 0 { pad(entry, depth) } else { previous });
        }
        keep.then_some(tape)
    }

    /// `c W_c + b`, padded.
    fn folded_bias(&self, layer: &Layer, context: &[f32]) -> Vec<f32> {
        let mut bias = layer.bias.clone();
        for (k, c) in context.iter().enumerate() {
            layer.weight.add_row(self.shape.input + k, *c, &mut bias);
        }
        bias
    }

    /// The gradients of one chunk: of the weights, and of the entry `[rows, input + context]` or, where it shares a
    /// context, of the entry `[rows, input]`.
    fn back(
        &self,
        job: &Backward<'_>,
        tape: &ChunkTape,
        grad: &[f32],
        context: Context<'_>,
    ) -> ChunkGradient {
        let linears = self.linears();
        let end = linears.len() - 1;
        let rows = grad.len() / linears[end].output;
        let mut theta = Scratch::take(job.parameters);
        let mut grad = pad(grad, linears[end].output);
        // The gradient at the end of the residual block that is being passed.
        let mut block: Option<Scratch> = None;
        for index in (0..=end).rev() {
            let linear = linears[index];
            let width = row_stride(linear.output);
            let (weight, bias) = theta[linear.start..][..(linear.input + 1) * linear.output]
                .split_at_mut(linear.input * linear.output);
            let above = Rows { values: &grad, stride: width, count: rows };
            bias.fill(0.0);
            sum_columns(&grad, bias);
            if index == 0 {
                let depth =
                    if matches!(context, Context::Shared(_)) { self.shape.input } else { linear.input };
                let x = Rows { values: &tape.inputs[0], stride: row_stride(depth), count: rows };
                columns_times(x, depth, above, linear.output, &mut weight[..depth * linear.output]);
                if let Context::Shared(context) = context {
                    let tail = weight[depth * linear.output..].chunks_exact_mut(linear.output);
                    for (row, c) in tail.zip(context) {
                        row.iter_mut().zip(&*bias).for_each(|(w, b)| *w = c * b);
                    }
                }
                break;
            }
            let stride = row_stride(linear.input);
            let x = Rows { values: &tape.inputs[index], stride, count: rows };
            columns_times(x, linear.input, above, linear.output, weight);
            let joins = self.joins(index, end);
            if joins {
                block = Some(copied(&grad));
            }
            // Layer index - 1 starts a block where the block's end adds it again.
            let skip = if self.shape.residual && !joins && index != end { block.take() } else { None };
            let slope = &tape.slopes[index - 1];
            let slope = (!slope.is_empty()).then_some(&slope[..]);
            let mut below = Scratch::take(rows * stride);
            let transposed = &job.transposed[index - 1];
            layer::Backward { grad: above, transposed, slope, skip: skip.as_deref(), out: &mut below }.run();
            grad = below;
        }
        let first = linears[0];
        let mut entry = Vec::new();
        if let Some(transposed) = &job.first {
            let mut wide = Scratch::take(rows * row_stride(transposed.columns()));
            let source = Rows { values: &grad, stride: row_stride(first.output), count: rows };
            layer::Backward { grad: source, transposed, slope: None, skip: None, out: &mut wide }.run();
            entry = vec![0.0; rows * transposed.columns()];
            unpad(&wide, transposed.columns(), &mut entry);
        }
        ChunkGradient { entry, theta }
    }
}

/// What all chunks of a backward pass share.
struct Backward<'a> {
    /// `W^T` of every layer but the first.
    transposed: &'a [Panels],
    /// `W^T` of the first layer where the entry's gradient is wanted.
    first: Option<Panels>,
    parameters: usize,
    theta: &'a [f32],
}

struct ChunkGradient {
    entry: Vec<f32>,
    theta: Scratch,
}

/// `[a, b]` row by row.
fn join(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
    let pairs = a.chunks_exact(a.len() / rows).zip(b.chunks_exact(b.len() / rows));
    let mut joined = Vec::with_capacity(a.len() + b.len());
    pairs.for_each(|(a, b)| {
        joined.extend_from_slice(a);
        joined.extend_from_slice(b);
    });
    joined
}

fn pad(values: &[f32], columns: usize) -> Scratch {
    let width = row_stride(columns);
    let mut out = Scratch::take(values.len() / columns * width);
    let rows = out.chunks_exact_mut(width).zip(values.chunks_exact(columns));
    rows.for_each(|(to, from)| {
        to[..columns].copy_from_slice(from);
        to[columns..].fill(0.0);
    });
    out
}

fn copied(values: &[f32]) -> Scratch {
    let mut out = Scratch::take(values.len());
    out.copy_from_slice(values);
    out
}

/// What a forward pass keeps.
struct Tapes {
    chunks: Vec<ChunkTape>,
    /// `W^T` of every layer but the first.
    transposed: Vec<Panels>,
}

impl Fused for NetworkOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.shape.input, self.shape.output]
    }

    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32> {
        self.evaluate(inputs, false).0
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let (out, tapes) = self.evaluate(inputs, true);
        (out, Arc::new(tapes))
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
        let rows = x.len() / input;
        let shared = matches!(self.context(context, rows, 0, 1), Context::Shared(_));
        let first = (wanted[0] || (wanted[2] && width > 0 && !shared)).then(|| {
            let linear = self.linears()[0];
            self.transpose(&linear, if shared { input } else { linear.input }, theta)
        });
        let job = Backward { transposed: &tapes.transposed, first, parameters: theta.len(), theta };
        let size = chunk_rows(rows);
        let chunk = |(index, tape): (usize, &ChunkTape)| {
            let grad = &grad[index * size * output..];
            let grad = &grad[..grad.len().min(size * output)];
            self.back(&job, tape, grad, self.context(context, rows, index * size, grad.len() / output))
        };
        let mut parts: Vec<ChunkGradient> = tapes.chunks.par_iter().enumerate().map(chunk).collect();
        let entry = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.entry)).collect::<Vec<f32>>();
        let mut grad_theta = sum(parts.into_iter().map(|part| part.theta));
        let grad_c = (wanted[2] && width > 0).then(|| {
            if shared {
                self.shared_context_gradient(&job, &grad_theta)
            } else {
                columns(&entry, input, width)
            }
        });
        let grad_x = wanted[0]
            .then(|| if shared || width == 0 { entry.clone() } else { columns_before(&entry, input, width) });
        if let Some(mask) = &self.mask {
            grad_theta.iter_mut().zip(mask.iter()).for_each(|(g, m)| *g *= m);
        }
        [grad_x, wanted[1].then_some(grad_theta), grad_c]
    }
}

/// The last `width` columns of rows of `input + width`.
fn columns(entry: &[f32], input: usize, width: usize) -> Vec<f32> {
    entry.chunks_exact(input + width).flat_map(|row| row[input..].iter().copied()).collect()
}

/// The first `input` columns of rows of `input + width`.
fn columns_before(entry: &[f32], input: usize, width: usize) -> Vec<f32> {
    entry.chunks_exact(input + width).flat_map(|row| row[..input].iter().copied()).collect()
}

impl NetworkOp {
    /// The packed layers: those kept from an earlier call, or fresh ones.
    fn with_layers<R>(&self, theta: &[f32], use_layers: impl FnOnce(&[Layer]) -> R) -> R {
        match &self.packed {
            Some(PackedWeights(packed)) => use_layers(packed.get_or_init(|| self.pack(theta))),
            None => use_layers(&self.pack_in_parallel(theta, false).0),
        }
    }

    /// The packed layers and, where asked for, their transposes but the first.
    fn pack_in_parallel(&self, theta: &[f32], transposes: bool) -> (Vec<Layer>, Vec<Panels>) {
        let masked = self.masked(theta);
        let theta = masked.as_deref().unwrap_or(theta);
        // Both forms of a layer by one thread, which has read it then.
        let pack = |(index, l): (usize, &Linear)| {
            let transposed = (transposes && index > 0).then(|| self.transpose(l, l.input, theta));
            (Layer::pack(l.weight(theta), l.bias(theta), l.input), transposed)
        };
        let packed: Vec<_> = self.linears().par_iter().enumerate().map(pack).collect();
        let (layers, transposed): (Vec<Layer>, Vec<Option<Panels>>) = packed.into_iter().unzip();
        (layers, transposed.into_iter().flatten().collect())
    }

    fn evaluate(&self, [x, theta, context]: [&[f32]; 3], keep: bool) -> (Vec<f32>, Tapes) {
        if keep {
            let (layers, transposed) = self.pack_in_parallel(theta, true);
            let (out, chunks) = self.evaluate_layers(&layers, x, context, true);
            return (out, Tapes { chunks, transposed });
        }
        let (out, chunks) = self.with_layers(theta, |layers| self.evaluate_layers(layers, x, context, false));
        (out, Tapes { chunks, transposed: Vec::new() })
    }

    fn evaluate_layers(
        &self,
        layers: &[Layer],
        x: &[f32],
        context: &[f32],
        keep: bool,
    ) -> (Vec<f32>, Vec<ChunkTape>) {
        let rows = x.len() / self.shape.input;
        let size = chunk_rows(rows);
        let mut out = vec![0.0; rows * self.shape.output];
        let run = |(index, (x, out)): (usize, (&[f32], &mut [f32]))| {
            let count = x.len() / self.shape.input;
            self.run(layers, x, self.context(context, rows, index * size, count), out, keep)
        };
        let chunks = x.par_chunks(size * self.shape.input).zip(out.par_chunks_mut(size * self.shape.output));
        let tapes: Vec<Option<ChunkTape>> = match rows <= size {
            true => vec![run((0, (x, &mut out)))],
            false => chunks.enumerate().map(run).collect(),
        };
        (out, tapes.into_iter().flatten().collect())
    }

    /// `(sum of rows of g_0) W_c^T`: the bias' gradient is that sum.
    fn shared_context_gradient(&self, job: &Backward<'_>, grad_theta: &[f32]) -> Vec<f32> {
        let first = self.linears()[0];
        let sum = first.bias(grad_theta);
        let rows = first.weight(job.theta)[self.shape.input * first.output..].chunks_exact(first.output);
        rows.map(|row| row.iter().zip(sum).map(|(w, s)| w * s).sum()).collect()
    }
}

/// The sum of equally long parts, in their order.
pub(crate) fn sum(mut parts: impl Iterator<Item = Scratch>) -> Vec<f32> {
    const BLOCK: usize = 1 << 12;
    let mut out = parts.next().expect("there is at least one chunk").into_vec();
    let rest: Vec<Scratch> = parts.collect();
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(index, to)| {
        for part in &rest {
            let from = &part[index * BLOCK..];
            pulp::Arch::new().dispatch(|| to.iter_mut().zip(from).for_each(|(t, f)| *t += f));
        }
    });
    out
}
