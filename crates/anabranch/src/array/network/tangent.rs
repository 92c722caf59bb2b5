//! Derivatives of a network along directions of its input: forward mode.
//!
//! The slopes `act'(z_j)` of one evaluation serve all directions. With `t_j` the derivative of `x_j` along a direction,
//!
//! ```text
//! d_j = t_j W_j (+ d_{j-2} at the end of a residual block),   t_{j+1} = act'(z_j) d_j
//! ```
//!
//! Along coordinate `i` of the input, `d_0` is row `i` of `W_0`; and where only the outputs that belong to the coordinate
//! are wanted, the last layer is their columns alone. A whole diagonal of the Jacobian costs the hidden layers once per
//! coordinate and next to nothing besides.

use super::*;
use crate::array::layer::Tangent;
use crate::array::weights::{matrix, to_vec};

/// Tangent rows that pass through the layers together.
const BLOCK: usize = 128;

/// Along which directions a network is differentiated.
#[derive(Debug, Clone)]
pub enum Directions {
    /// These, `[rows * count, input]`: the `count` directions of a row stand next to each other.
    Given(Tensor<2>),
    /// Each coordinate, of which only that coordinate's own outputs are wanted: `output / input` numbers, next to each other.
    Own,
}

/// `y` of the network and its derivatives: `[rows * count, output]` along given directions; the own derivatives
/// `dy_{i,k} / dx_i`, `[rows, output]`, laid out as `y`. Nothing is recorded for a gradient.
///
/// # Panics
/// If the columns do not fit, a context is missing, or directions are not a whole number per row.
pub fn push_forward(
    shape: &Arc<Feedforward>,
    mask: Option<&Arc<[f32]>>,
    packed: Option<&PackedWeights>,
    x: &Tensor<2>,
    theta: Tensor<1>,
    context: Option<Tensor<2>>,
    directions: &Directions,
) -> (Tensor<2>, Tensor<2>) {
    let ([rows, input], device) = (x.dims(), x.device());
    assert_eq!(input, shape.input, "columns of the input");
    assert_eq!(context.as_ref().map_or(0, |c| c.dims()[1]), shape.context, "columns of the context");
    let op = NetworkOp { shape: shape.clone(), mask: mask.cloned(), packed: packed.cloned() };
    let (x, theta, context) = (to_vec(x.clone()), to_vec(theta), context.map_or_else(Vec::new, to_vec));
    let given;
    let (count, directions) = match directions {
        Directions::Given(tangents) => {
            let [tangent_rows, columns] = tangents.dims();
            assert_eq!(columns, input, "columns of the directions");
            assert!(tangent_rows.is_multiple_of(rows), "{tangent_rows} directions for {rows} rows");
            given = to_vec(tangents.clone());
            (tangent_rows / rows, Some(&given[..]))
        }
        Directions::Own => {
            assert!(shape.output.is_multiple_of(input), "as many outputs for each coordinate");
            (input, None)
        }
    };
    op.with_layers(&theta, |layers| {
        let (out, tapes) = op.evaluate_layers(layers, &x, &context, true);
        let entry = directions.is_none().then(|| op.entry_rows(&layers[0]));
        let job = Job { op: &op, layers, count, entry };
        let unit = if directions.is_some() { count * shape.output } else { shape.output };
        let mut tangents = vec![0.0; rows * unit];
        let size = chunk_rows(rows);
        let chunks = tangents.par_chunks_mut(size * unit).zip(&tapes).enumerate();
        chunks.for_each(|(chunk, (tangents, tape))| {
            let rows = (BLOCK / count).max(1);
            tangents.par_chunks_mut(rows * unit).enumerate().for_each(|(block, out)| {
                let first = block * rows;
                let given = directions.map(|all| {
                    let start = (chunk * size + first) * count * input;
                    &all[start..][..out.len() / unit * count * input]
                });
                job.run(tape, first, out.len() / unit, given, out);
            });
        });
        (matrix(out, shape.output, &device), matrix(tangents, shape.output, &device))
    })
}

/// What all blocks share.
struct Job<'a> {
    op: &'a NetworkOp,
    layers: &'a [Layer],
    /// Directions per row.
    count: usize,
    /// The rows of `W_0` that belong to `x`, padded; with [`Directions::Own`].
    entry: Option<Vec<f32>>,
}

impl NetworkOp {
    fn entry_rows(&self, layer: &Layer) -> Vec<f32> {
        let width = row_stride(layer.weight.columns());
        let mut rows = vec![0.0; self.shape.input * width];
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            layer.weight.add_row(i, 1.0, row);
        }
        rows
    }
}

impl Job<'_> {
    /// The derivatives of `rows` rows from `first` on of one chunk.
    fn run(&self, tape: &ChunkTape, first: usize, rows: usize, given: Option<&[f32]>, out: &mut [f32]) {
        let (op, count, end) = (self.op, self.count, self.layers.len() - 1);
        let tangent_rows = rows * count;
        let mut previous = Scratch::take(0);
        let mut skip = Scratch::take(0);
        for (index, layer) in self.layers[..end].iter().enumerate() {
            let width = row_stride(layer.weight.columns());
            let slope = &tape.slopes[index];
            let slope = (!slope.is_empty()).then(|| &slope[first * width..][..rows * width]);
            let starts = op.shape.residual && index.is_multiple_of(2) && slope.is_some();
            let mut next = Scratch::take(tangent_rows * width);
            let mut before = Scratch::take(if starts { tangent_rows * width } else { 0 });
            if let (0, Some(entry)) = (index, &self.entry) {
                for (to, row) in next.chunks_exact_mut(count * width).zip(0..) {
                    to.copy_from_slice(entry);
                    if let Some(slope) = slope {
                        scale(to, &slope[row * width..][..width]);
                    }
                }
                before.chunks_exact_mut(count * width).for_each(|to| to.copy_from_slice(entry));
            } else {
                let (x, depth) = self.source(index, &previous, given, tangent_rows);
                let skip = op.joins(index, end).then_some(&skip[..]);
                let weight = &layer.weight;
                Tangent { x, depth, weight, skip, slope, count, before: &mut before, next: &mut next }.run();
            }
            if starts {
                skip = before;
            }
            previous = next;
        }
        let weight = &self.layers[end].weight;
        match &self.entry {
            Some(entry) => {
                let per = op.shape.output / count;
                let width = row_stride(weight.columns());
                for (t, out) in out.chunks_exact_mut(per).enumerate() {
                    let i = t % count;
                    if end == 0 {
                        out.copy_from_slice(&entry[i * width + i * per..][..per]);
                    } else {
                        let stride = row_stride(weight.depth());
                        weight.row_times(&previous[t * stride..][..weight.depth()], i * per, out);
                    }
                }
            }
            None => {
                let (x, depth) = self.source(end, &previous, given, tangent_rows);
                let mut wide = Scratch::take(tangent_rows * row_stride(weight.columns()));
                let next = &mut wide;
                Tangent { x, depth, weight, skip: None, slope: None, count, before: &mut [], next }.run();
                unpad(&wide, weight.columns(), out);
            }
        }
    }

    /// The derivatives of a layer's input, and how many of its weight's rows they meet.
    fn source<'a>(
        &self,
        index: usize,
        previous: &'a [f32],
        given: Option<&'a [f32]>,
        count: usize,
    ) -> (Rows<'a>, usize) {
        match (index, given) {
            (0, Some(values)) => {
                let stride = self.op.shape.input;
                (Rows { values, stride, count }, stride)
            }
            _ => {
                let depth = self.layers[index].weight.depth();
                (Rows { values: previous, stride: row_stride(depth), count }, depth)
            }
        }
    }
}

/// Multiplies every row by `slope`.
fn scale(rows: &mut [f32], slope: &[f32]) {
    for row in rows.chunks_exact_mut(slope.len()) {
        row.iter_mut().zip(slope).for_each(|(r, s)| *r *= s);
    }
}
