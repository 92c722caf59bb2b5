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
        Box::new(ConvolutionEnergy { family: self.clone(), weights: weights.to_vec() })
    }
}

/// An energy by convolutions with weights.
struct ConvolutionEnergy {
    family: Convolution,
    weights: Vec<f32>,
}

/// What one image is reckoned in.
struct Room {
    /// `h_l` and `act'`, `[places, channels]` of each layer.
    values: Vec<Vec<f32>>,
    slopes: Vec<Vec<f32>>,
    /// Gradients by them, and by the indicators of the image in front.
    pulled: Vec<Vec<f32>>,
}

impl ConvolutionEnergy {
    fn room(&self) -> Room {
        let sizes: Vec<usize> =
            self.family.layers.iter().map(|layer| layer.places * layer.channels[1]).collect();
        let zeros = || sizes.iter().map(|size| vec![0.0; *size]).collect::<Vec<_>>();
        let mut pulled = vec![vec![0.0; self.sites() * self.values()]];
        pulled.extend(zeros());
        Room { values: zeros(), slopes: zeros(), pulled }
    }

    /// The readout's weights of a place, of as many as there are channels.
    fn readout(&self, place: usize, channels: usize) -> usize {
        self.family.readout() + if self.family.shape.pooled { 0 } else { place * channels }
    }

    /// `sum_p v_p . h_L(p)`.
    fn forward(&self, image: &[u8], room: &mut Room) -> f64 {
        let family = &self.family;
        for (index, layer) in family.layers.iter().enumerate() {
            let ([before, after], count) = (layer.channels, layer.taps.len() / layer.places);
            let (lower, upper) = room.values.split_at_mut(index);
            let (from, to) = (lower.last(), &mut upper[0]);
            let bias = &self.weights[layer.bias..][..after];
            for (out, taps) in to.chunks_exact_mut(after).zip(layer.taps.chunks_exact(count)) {
                out.copy_from_slice(bias);
                for (tap, place) in taps.iter().enumerate().filter(|(_, place)| **place != OUTSIDE) {
                    let first = layer.weight + tap * before * after;
                    let row = |channel: usize| &self.weights[first + channel * after..][..after];
                    match from {
                        None => add(out, row(usize::from(image[*place])), 1.0),
                        Some(from) => {
                            let from = &from[place * before..][..before];
                            from.iter().enumerate().for_each(|(c, x)| add(out, row(c), *x));
                        }
                    }
                }
            }
            family.shape.activation.with_slopes(to, &mut room.slopes[index]);
        }
        let channels = family.shape.channels[family.layers.len() - 1];
        let last = room.values[family.layers.len() - 1].chunks_exact(channels);
        last.enumerate().map(|(place, h)| dot(h, &self.weights[self.readout(place, channels)..])).sum()
    }

    /// Adds `slope` times the gradient of what was forwarded to `gradient`, if there is one; leaves that by the indicators in the room.
    fn backward(&self, image: &[u8], slope: f32, mut gradient: Option<&mut [f32]>, room: &mut Room) {
        let family = &self.family;
        let (last, channels) = (family.layers.len() - 1, family.shape.channels[family.layers.len() - 1]);
        for (place, pulled) in room.pulled[last + 1].chunks_exact_mut(channels).enumerate() {
            let first = self.readout(place, channels);
            pulled.fill(0.0);
            add(pulled, &self.weights[first..][..channels], slope);
            if let Some(gradient) = &mut gradient {
                let own = &room.values[last][place * channels..][..channels];
                add(&mut gradient[first..][..channels], own, slope);
            }
        }
        for (index, layer) in family.layers.iter().enumerate().rev() {
            let ([before, after], count) = (layer.channels, layer.taps.len() / layer.places);
            let (lower, upper) = room.pulled.split_at_mut(index + 1);
            let (inner, outer) = (&mut lower[index], &mut upper[0]);
            outer.iter_mut().zip(&room.slopes[index]).for_each(|(pulled, slope)| *pulled *= slope);
            inner.fill(0.0);
            for (pulled, taps) in outer.chunks_exact(after).zip(layer.taps.chunks_exact(count)) {
                if let Some(gradient) = &mut gradient {
                    add(&mut gradient[layer.bias..][..after], pulled, 1.0);
                }
                for (tap, place) in taps.iter().enumerate().filter(|(_, place)| **place != OUTSIDE) {
                    let first = layer.weight + tap * before * after;
                    for (c, inner) in inner[place * before..][..before].iter_mut().enumerate() {
                        let row = first + c * after..first + (c + 1) * after;
                        *inner += dot(pulled, &self.weights[row.clone()]) as f32;
                        let value = match index {
                            0 => f32::from(u8::from(usize::from(image[*place]) == c)),
                            _ => room.values[index - 1][place * before + c],
                        };
                        if let Some(gradient) = gradient.as_mut().filter(|_| value != 0.0) {
                            add(&mut gradient[row], pulled, value);
                        }
                    }
                }
            }
        }
    }
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
        let rows = states.chunks_exact(self.sites()).zip(out);
        rows.for_each(|(image, out)| *out += self.forward(image, &mut room));
    }

    fn estimates(&self, states: &[u8], out: &mut [f64]) {
        let (sites, values) = (self.sites(), self.values());
        let mut room = self.room();
        for (image, out) in states.chunks_exact(sites).zip(out.chunks_exact_mut(sites * values)) {
            self.forward(image, &mut room);
            self.backward(image, 1.0, None, &mut room);
            let all = out.chunks_exact_mut(values).zip(room.pulled[0].chunks_exact(values)).zip(image);
            let masses = self.family.base.log_masses().chunks_exact(values);
            for (((out, slopes), x), masses) in all.zip(masses) {
                let worth = |v: usize| f64::from(slopes[v]) + masses[v];
                let here = worth(usize::from(*x));
                out.iter_mut().enumerate().for_each(|(v, out)| *out = worth(v) - here);
            }
        }
    }
}

impl Energy for ConvolutionEnergy {
    fn pull(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        let mut room = self.room();
        for (image, slope) in states.chunks_exact(self.sites()).zip(slopes) {
            self.forward(image, &mut room);
            self.backward(image, *slope as f32, Some(gradient), &mut room);
        }
    }

    fn exact(&self) -> Option<Box<dyn ExactLaw>> {
        Listed::of(self).map(|listed| Box::new(listed) as Box<dyn ExactLaw>)
    }
}
