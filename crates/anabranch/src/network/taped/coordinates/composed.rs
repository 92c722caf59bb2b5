//! Networks over coordinates composed of burn's own operations: the oracle of their passes, and what other devices would run.

use burn::tensor::{Tensor, activation};

use super::{Body, CoordinateNetwork, EMBEDDINGS};
use crate::network::taped::transformer::Shape;

/// The linear maps of a layer of a transformer.
const MAPS: usize = 4;

impl CoordinateNetwork {
    /// The outputs for coordinates `x`, `[rows, input]`, weights `theta` and, where there is one, a context `[rows, context]` or
    /// `[1, context]`.
    pub fn composed(&self, theta: &Tensor<1>, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let coordinates = self.coordinates;
        let (rows, width, read) = (x.dims()[0], self.body.width(), coordinates.read());
        let tokens = coordinates.tokens();
        let values = x.reshape([rows * read, coordinates.patch]).matmul(self.matrix(theta, 0));
        let mut a = values.reshape([rows, read, width]);
        if tokens > read {
            let asked = Tensor::zeros([rows, tokens - read, width], &a.device());
            a = Tensor::cat(vec![a, asked], 1);
        }
        let places = self.matrix(theta, 1);
        let place = |token: usize| {
            let at = coordinates.place(token);
            places.clone().slice([at..at + 1, 0..width])
        };
        a = a + Tensor::cat((0..tokens).map(place).collect(), 0).reshape([1, tokens, width]);
        if let Some(context) = context {
            let count = context.dims()[0];
            a = a + context.matmul(self.matrix(theta, 2)).reshape([count, 1, width]);
        }
        let first = coordinates.first_answering();
        let answering = |x: Tensor<3>| x.slice([0..rows, first..tokens]);
        let y = match &self.body {
            Body::Transformer(shape) => {
                let y = self.blocks(theta, *shape, a);
                self.linear(theta, MAPS * shape.layers, answering(norm(y)))
            }
            Body::Sets { activation, hidden, .. } => {
                let act = |x: Tensor<3>| {
                    let [a, b, c] = x.dims();
                    activation.apply(x.reshape([a * b, c])).reshape::<3, _>([a, b, c])
                };
                let p = act(a);
                let mean = p.clone().slice([0..rows, 0..read]).mean_dim(1);
                let own = answering(p);
                let mean = mean.expand([rows, own.dims()[1], width]);
                let mut h = self.linear(theta, 0, Tensor::cat(vec![own, mean], 2));
                for layer in 1..=hidden.len() {
                    h = self.linear(theta, layer, act(h));
                }
                h
            }
        };
        let y = y.reshape([rows, coordinates.output, coordinates.each]);
        let y = if coordinates.planar { y.swap_dims(1, 2) } else { y };
        y.reshape([rows, coordinates.output * coordinates.each])
    }

    fn matrix(&self, theta: &Tensor<1>, part: usize) -> Tensor<2> {
        let slot = &self.parts[part];
        let columns = slot.shape[slot.shape.len() - 1];
        theta.clone().slice([slot.range.clone()]).reshape([slot.range.len() / columns, columns])
    }

    fn linear(&self, theta: &Tensor<1>, map: usize, x: Tensor<3>) -> Tensor<3> {
        let [rows, tokens, width] = x.dims();
        let at = EMBEDDINGS + 2 * map;
        let y = x.reshape([rows * tokens, width]).matmul(self.matrix(theta, at)) + self.matrix(theta, at + 1);
        y.reshape([rows, tokens, self.parts[at].shape[1]])
    }

    fn blocks(&self, theta: &Tensor<1>, shape: Shape, mut x: Tensor<3>) -> Tensor<3> {
        let [rows, tokens, width] = x.dims();
        let size = width / shape.heads;
        for layer in 0..shape.layers {
            let map = |map: usize, x: Tensor<3>| self.linear(theta, MAPS * layer + map, x);
            let qkv = map(0, norm(x.clone()));
            let heads = |part: usize| -> Tensor<4> {
                let part = qkv.clone().slice([0..rows, 0..tokens, part * width..(part + 1) * width]);
                part.reshape([rows, tokens, shape.heads, size]).swap_dims(1, 2)
            };
            let scores = heads(0).matmul(heads(1).swap_dims(2, 3)) / (size as f32).sqrt();
            let seen = activation::softmax(scores, 3).matmul(heads(2)).swap_dims(1, 2);
            x = x + map(1, seen.reshape([rows, tokens, width]));
            let inner = map(2, norm(x.clone())).reshape([rows * tokens, shape.inner]);
            let inner = shape.activation.apply(inner).reshape([rows, tokens, shape.inner]);
            x = x + map(3, inner);
        }
        x
    }
}

/// Rows of mean 0 and variance 1.
fn norm(x: Tensor<3>) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    centred / (variance + 1e-5).sqrt()
}
