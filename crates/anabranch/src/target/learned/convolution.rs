//! An energy by small convolutions over an image of categories, beside a base.
//!
//! ```text
//! log R(x) = log q(x) + sum_p v_p . h_L(p),      h_0(p)_v = [x_p = v],      h_l(p) = act(b_l + sum_t W_l(t) h_{l-1}(s_l p + t))
//! estimates  as of a perceptron, by the gradient at the indicators
//! on the way v times the place
//! ```
//!
//! with taps `t` in a square around 0. Beyond the border lies nothing, or the other side of the image. Where positions count alike, `v_p = v`,
//! a periodic energy without strides is that of any shifted image.

use super::listed::Listed;
use super::{Energy, ExactLaw, Family, Independent};
use crate::array::layer::{self, Backward, Input, Layer as Packed, Outputs, sum_columns};
use crate::array::matmul::{Panels, Rows, columns_times, row_stride};
use crate::array::scratch::Scratch;
use crate::array::weights::{Slot, layout};
use crate::kernel::discrete_mcmc::CategoricalDensity;
use crate::network::Activation;
use crate::rng::Noise;

/// The shape of convolutions over an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvolutionShape {
    /// Height and width, whose product is the number of sites, row-major.
    pub image: [usize; 2],
    /// Channels of each layer.
    pub channels: Vec<usize>,
    /// How far the places of a layer are apart in the one before: as many as layers.
    pub strides: Vec<usize>,
    /// Side of the square of taps, odd.
    pub kernel: usize,
    /// Whether the other side of the image lies beyond its border, and not nothing.
    pub periodic: bool,
    /// Whether all places of the last layer count alike.
    pub pooled: bool,
    /// Behind every layer.
    pub activation: Activation,
}

/// One layer.
#[derive(Debug, Clone)]
struct Layer {
    /// Channels before and after.
    channels: [usize; 2],
    /// The place before of every tap of every place after, `[places, taps]`; [`OUTSIDE`] where there is none.
    taps: Vec<usize>,
    places: usize,
    /// Where its weights, `[taps, channels before, channels after]`, and its bias begin.
    weight: usize,
    bias: usize,
}

const OUTSIDE: usize = usize::MAX;

impl Layer {
    /// Numbers that a place sees: rows of the weight.
    fn depth(&self) -> usize {
        self.taps.len() / self.places * self.channels[0]
    }

    /// The taps of a place that lie inside, with the places before that they see.
    fn taps_of(&self, place: usize) -> impl Iterator<Item = (usize, usize)> {
        let count = self.taps.len() / self.places;
        let taps = self.taps[place * count..][..count].iter().copied().enumerate();
        taps.filter(|(_, from)| *from != OUTSIDE)
    }
}

/// Energies by convolutions.
#[derive(Debug, Clone)]
pub struct Convolution {
    base: Independent,
    shape: ConvolutionShape,
    layers: Vec<Layer>,
    layout: Vec<Slot>,
}

impl Convolution {
    /// Energies of this shape over a base.
    ///
    /// # Panics
    /// If the image has not as many sites as the base, there is no layer, or not a stride for each.
    pub fn new(base: Independent, shape: ConvolutionShape) -> Self {
        assert_eq!(shape.image.iter().product::<usize>(), base.sites(), "the sites of the image");
        assert_eq!(shape.channels.len(), shape.strides.len(), "a stride for each layer");
        assert!(!shape.channels.is_empty(), "some layers");
        let taps = shape.kernel * shape.kernel;
        let (mut sides, mut before, mut layers) = (shape.image, base.values(), Vec::new());
        let mut parts: Vec<(String, Vec<usize>)> = Vec::new();
        let mut start = 0;
        for (index, (after, stride)) in shape.channels.iter().zip(&shape.strides).enumerate() {
            let next = sides.map(|side| side.div_ceil(*stride));
            let (weight, bias) = (start, start + taps * before * after);
            start = bias + after;
            parts.push((format!("{index}.weight"), vec![taps * before, *after]));
            parts.push((format!("{index}.bias"), vec![*after]));
            let taps = places(&shape, sides, next, *stride);
            layers.push(Layer { channels: [before, *after], taps, places: next[0] * next[1], weight, bias });
            (sides, before) = (next, *after);
        }
        let counted = if shape.pooled { 1 } else { sides[0] * sides[1] };
        parts.push(("readout.weight".to_owned(), vec![counted * before, 1]));
        let layout = layout(parts.iter().map(|(name, shape)| (name.as_str(), shape.clone())));
        Self { base, shape, layers, layout }
    }

    /// Where the readout's weights begin.
    fn readout(&self) -> usize {
        self.layout[self.layout.len() - 1].range.start
    }
}

/// The places of an image of these `sides` under the taps of each place of the next one.
fn places(shape: &ConvolutionShape, sides: [usize; 2], next: [usize; 2], stride: usize) -> Vec<usize> {
    let half = (shape.kernel / 2) as isize;
    let along = |axis: usize, place: usize, tap: usize| -> Option<usize> {
        let (at, side) = ((place * stride + tap) as isize - half, sides[axis] as isize);
        let inside = if shape.periodic { at.rem_euclid(side) } else { at };
        (0..side).contains(&inside).then_some(inside as usize)
    };
    let mut all = Vec::new();
    for (y, x) in (0..next[0]).flat_map(|y| (0..next[1]).map(move |x| (y, x))) {
        for (down, right) in
            (0..shape.kernel).flat_map(|down| (0..shape.kernel).map(move |right| (down, right)))
        {
            let at = along(0, y, down).zip(along(1, x, right));
            all.push(at.map_or(OUTSIDE, |(y, x)| y * sides[1] + x));
        }
    }
    all
}

impl Family for Convolution {
    fn base(&self) -> &Independent {
        &self.base
    }

    fn layout(&self) -> Vec<Slot> {
        self.layout.clone()
    }

    fn initial(&self, noise: &Noise) -> Vec<f32> {
        // As of a perceptron: by the number of inputs of a unit.
        let mut all = Vec::new();
        for (index, pair) in self.layout.chunks(2).enumerate() {
            let depth = pair[0].shape[0];
            let count: usize = pair.iter().map(|slot| slot.range.len()).sum();
            let bound = 1.0 / (depth as f32).sqrt();
            let uniform = noise.from_trajectory((index as u64) << 32).uniform(1, count);
            all.extend(uniform.into_iter().map(|u| bound * (2.0 * u - 1.0)));
        }
        all
    }

    fn on_the_way(&self, weights: &[f32], place: f64) -> Vec<f32> {
        let mut on_the_way = weights.to_vec();
        on_the_way[self.readout()..].iter_mut().for_each(|w| *w = (place * f64::from(*w)) as f32);
        on_the_way
    }

    fn with(&self, weights: &[f32]) -> Box<dyn Energy> {
        assert_eq!(Some(weights.len()), self.layout.last().map(|slot| slot.range.end), "the weights");
        let of = |layer: &Layer| {
            let ([_, after], depth) = (layer.channels, layer.depth());
            let (weight, bias) = (&weights[layer.weight..][..depth * after], &weights[layer.bias..][..after]);
            let packed = Packed::pack(weight, bias, depth);
            (packed, Panels::pack_transposed(weight, depth, after))
        };
        let (packed, transposed) = self.layers.iter().map(of).unzip();
        let readout = weights[self.readout()..].to_vec();
        Box::new(ConvolutionEnergy {
            family: self.clone(),
            weights: weights.len(),
            packed,
            transposed,
            readout,
        })
    }
}

/// An energy by convolutions with weights.
struct ConvolutionEnergy {
    family: Convolution,
    /// How many weights there are.
    weights: usize,
    /// `W_l` with its bias, and `W_l^T`.
    packed: Vec<Packed>,
    transposed: Vec<Panels>,
    readout: Vec<f32>,
}

/// Images that are answered together.
const CHUNK: usize = 16;

/// What some images are reckoned in, for each layer.
struct Room {
    /// What each place sees, `[images * places, row_stride(depth)]`.
    seen: Vec<Scratch>,
    /// `h_l` and `act'`, `[images * places, row_stride(channels)]`.
    values: Vec<Scratch>,
    slopes: Vec<Scratch>,
}

impl ConvolutionEnergy {
    fn room(&self) -> Room {
        let sizes = |columns: fn(&Layer) -> usize| -> Vec<Scratch> {
            let size = |layer: &Layer| CHUNK * layer.places * row_stride(columns(layer));
            self.family.layers.iter().map(|layer| Scratch::take(size(layer))).collect()
        };
        let after = |layer: &Layer| layer.channels[1];
        Room { seen: sizes(Layer::depth), values: sizes(after), slopes: sizes(after) }
    }

    /// The readout's weights of a place.
    fn readout(&self, place: usize) -> &[f32] {
        let channels = self.family.shape.channels[self.family.layers.len() - 1];
        &self.readout[if self.family.shape.pooled { 0 } else { place * channels }..][..channels]
    }

    /// Adds `sum_p v_p . h_L(p)` of each of at most [`CHUNK`] images to `out`.
    fn forward(&self, images: &[u8], room: &mut Room, out: &mut [f64]) {
        let (family, count) = (&self.family, out.len());
        for (index, layer) in family.layers.iter().enumerate() {
            let ([before, after], depth, rows) = (layer.channels, layer.depth(), count * layer.places);
            let (stride, width) = (row_stride(depth), row_stride(after));
            let seen = &mut room.seen[index][..rows * stride];
            let (lower, upper) = room.values.split_at_mut(index);
            for (at, seen) in seen.chunks_exact_mut(stride).enumerate() {
                let (image, place) = (at / layer.places, at % layer.places);
                seen[..depth].fill(0.0);
                for (tap, from) in layer.taps_of(place) {
                    match lower.last() {
                        None => {
                            let value = usize::from(images[image * self.sites() + from]);
                            seen[tap * before + value] = 1.0;
                        }
                        Some(lower) => {
                            let row = image * family.layers[index - 1].places + from;
                            let values = &lower[row * row_stride(before)..][..before];
                            seen[tap * before..][..before].copy_from_slice(values);
                        }
                    }
                }
            }
            let Packed { weight, bias } = &self.packed[index];
            let x = Rows { values: seen, stride, count: rows };
            let (next, slope) = (&mut upper[0][..rows * width], &mut room.slopes[index][..rows * width]);
            let input = Input { x, depth, weight, bias, skip: None };
            layer::forward(Some(family.shape.activation), input, Outputs { before: &mut [], next, slope });
        }
        let last = &family.layers[family.layers.len() - 1];
        let width = row_stride(last.channels[1]);
        let values = &room.values[family.layers.len() - 1];
        for (out, values) in out.iter_mut().zip(values.chunks_exact(last.places * width)) {
            let places = values.chunks_exact(width).enumerate();
            *out += places.map(|(place, h)| dot(self.readout(place), h)).sum::<f64>();
        }
    }

    /// Adds `slopes` times the gradients of the images that were forwarded to `gradient`, if there is one; answers those by their
    /// indicators, `[images * sites, row_stride(values)]`, if they are wanted.
    fn backward(
        &self,
        slopes: &[f32],
        mut gradient: Option<&mut [f32]>,
        wanted: bool,
        room: &mut Room,
    ) -> Scratch {
        let (family, count) = (&self.family, slopes.len());
        let end = family.layers.len() - 1;
        let (last, channels) = (&family.layers[end], family.layers[end].channels[1]);
        let width = row_stride(channels);
        let mut pulled = zeros(count * last.places * width);
        for (at, pulled) in pulled.chunks_exact_mut(width).enumerate() {
            let (slope, place) = (slopes[at / last.places], at % last.places);
            add(&mut pulled[..channels], self.readout(place), slope);
            if let Some(gradient) = &mut gradient {
                let first = family.readout() + if family.shape.pooled { 0 } else { place * channels };
                add(&mut gradient[first..][..channels], &room.values[end][at * width..], slope);
            }
        }
        for (index, layer) in family.layers.iter().enumerate().rev() {
            let ([before, after], depth, rows) = (layer.channels, layer.depth(), count * layer.places);
            let (stride, width) = (row_stride(depth), row_stride(after));
            let each = pulled.iter_mut().zip(&room.slopes[index][..]);
            each.for_each(|(pulled, slope)| *pulled *= slope);
            let grad = Rows { values: &pulled, stride: width, count: rows };
            if let Some(gradient) = &mut gradient {
                let mut part = Scratch::take(depth * after);
                let seen = Rows { values: &room.seen[index][..rows * stride], stride, count: rows };
                columns_times(seen, depth, grad, after, &mut part);
                add(&mut gradient[layer.weight..][..depth * after], &part, 1.0);
                sum_columns(&pulled, &mut gradient[layer.bias..][..after]);
            }
            if index == 0 && !wanted {
                break;
            }
            let mut of_seen = Scratch::take(rows * stride);
            let (transposed, out) = (&self.transposed[index], &mut of_seen[..]);
            Backward { grad, transposed, slope: None, skip: None, out }.run();
            let places = if index == 0 { self.sites() } else { family.layers[index - 1].places };
            let mut inner = zeros(count * places * row_stride(before));
            for (at, of_seen) in of_seen.chunks_exact(stride).enumerate() {
                let (image, place) = (at / layer.places, at % layer.places);
                for (tap, from) in layer.taps_of(place) {
                    let to = &mut inner[(image * places + from) * row_stride(before)..][..before];
                    add(to, &of_seen[tap * before..], 1.0);
                }
            }
            pulled = inner;
        }
        pulled
    }
}

/// A buffer of zeros.
fn zeros(length: usize) -> Scratch {
    let mut zeros = Scratch::take(length);
    zeros.fill(0.0);
    zeros
}

/// `to += factor * from`.
fn add(to: &mut [f32], from: &[f32], factor: f32) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

/// The sum of products with as many numbers of `b` as `a` has, in eight lanes.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let b = &b[..a.len()];
    let (whole, rest) = (a.len() / 8 * 8, a.len() % 8);
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes[..rest]
        .iter_mut()
        .zip(a[whole..].iter().zip(&b[whole..]))
        .for_each(|(lane, (a, b))| *lane += a * b);
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

impl CategoricalDensity for ConvolutionEnergy {
    fn sites(&self) -> usize {
        self.family.base.sites()
    }

    fn values(&self) -> usize {
        self.family.base.values()
    }

    fn log_density(&self, states: &[u8], out: &mut [f64]) {
        self.family.base.log_density(states, out);
        let mut room = self.room();
        let chunks = states.chunks(CHUNK * self.sites()).zip(out.chunks_mut(CHUNK));
        chunks.for_each(|(images, out)| self.forward(images, &mut room, out));
    }

    fn estimates(&self, states: &[u8], out: &mut [f64]) {
        let (sites, values) = (self.sites(), self.values());
        let mut room = self.room();
        let masses = self.family.base.log_masses();
        for (images, out) in states.chunks(CHUNK * sites).zip(out.chunks_mut(CHUNK * sites * values)) {
            let count = images.len() / sites;
            self.forward(images, &mut room, &mut [0.0; CHUNK][..count]);
            let slopes = self.backward(&[1.0; CHUNK][..count], None, true, &mut room);
            let all = out.chunks_exact_mut(values).zip(slopes.chunks_exact(row_stride(values))).zip(images);
            for (((out, slopes), x), masses) in all.zip(masses.chunks_exact(values).cycle()) {
                let worth = |v: usize| f64::from(slopes[v]) + masses[v];
                let here = worth(usize::from(*x));
                out.iter_mut().enumerate().for_each(|(v, out)| *out = worth(v) - here);
            }
        }
    }
}

impl Energy for ConvolutionEnergy {
    fn pull(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        assert_eq!(gradient.len(), self.weights, "a gradient of all weights");
        let mut room = self.room();
        for (images, slopes) in states.chunks(CHUNK * self.sites()).zip(slopes.chunks(CHUNK)) {
            self.forward(images, &mut room, &mut [0.0; CHUNK][..slopes.len()]);
            let slopes: Vec<f32> = slopes.iter().map(|slope| *slope as f32).collect();
            self.backward(&slopes, Some(gradient), false, &mut room);
        }
    }

    fn exact(&self) -> Option<Box<dyn ExactLaw>> {
        Listed::of(self).map(|listed| Box::new(listed) as Box<dyn ExactLaw>)
    }
}
