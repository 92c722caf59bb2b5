//! Stacks composed of burn's own operations: the oracle of the fused kernel.
//!
//! ```text
//! plain     h_0 = [x, c],  h_i = act(h_{i-1} W_i + b_i),  y = h_n W + b
//! residual  h_0 = [x, c] W_0 + b_0,  h_i = h_{i-1} + act(act(h_{i-1}) U_i + a_i) V_i + b_i,  y = h_n W + b
//! ```

use burn::tensor::Tensor;

use crate::array::shape::Feedforward;

impl Feedforward {
    /// `y` for `x`, `[rows, input]`, weights `theta` and a context `[rows, context]` or `[1, context]`, composed of burn's own
    /// operations: the oracle of the fused kernel.
    pub(crate) fn composed(&self, theta: &Tensor<1>, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let entry = joined(x, context);
        let linears = self.linears();
        let slots = self.layout();
        let linear = |index: usize, x: Tensor<2>| {
            let (input, output) = linears[index];
            let weight = theta.clone().slice([slots[2 * index].range.clone()]).reshape([input, output]);
            let bias = theta.clone().slice([slots[2 * index + 1].range.clone()]).reshape([1, output]);
            x.matmul(weight) + bias
        };
        let act = |x| self.activation.apply(x);
        let last = linears.len() - 1;
        let mut hidden = linear(0, entry);
        if self.residual {
            for block in 0..self.hidden.len() {
                let inner = linear(1 + 2 * block, act(hidden.clone()));
                hidden = hidden + linear(2 + 2 * block, act(inner));
            }
            return linear(last, hidden);
        }
        for index in 1..=last {
            hidden = linear(index, act(hidden));
        }
        hidden
    }

    /// `y` of a plain stack and the derivative by `x` of any function of it whose derivative by `y` is `slope(y)`, both as
    /// operations that can be differentiated again: backward mode, written out.
    ///
    /// # Panics
    /// If there are residual blocks.
    pub(crate) fn pulled_back(
        &self,
        theta: &Tensor<1>,
        x: Tensor<2>,
        context: Option<Tensor<2>>,
        slope: impl FnOnce(&Tensor<2>) -> Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        assert!(!self.residual, "a plain stack");
        let (linears, slots, rows) = (self.linears(), self.layout(), x.dims()[0]);
        let weight = |index: usize| {
            let (input, output) = linears[index];
            theta.clone().slice([slots[2 * index].range.clone()]).reshape([input, output])
        };
        let mut hidden = joined(x, context);
        let mut passed = Vec::new();
        for index in 0..linears.len() {
            let bias = theta.clone().slice([slots[2 * index + 1].range.clone()]);
            let output: Tensor<2> = hidden.matmul(weight(index)) + bias.reshape([1, linears[index].1]);
            hidden = if index + 1 < linears.len() {
                self.activation.apply(output.clone())
            } else {
                output.clone()
            };
            passed.push(output);
        }
        let mut pulled = slope(&hidden);
        for index in (0..linears.len()).rev() {
            if index + 1 < linears.len() {
                pulled = pulled * self.activation.slope(passed[index].clone());
            }
            pulled = pulled.matmul(weight(index).transpose());
        }
        (hidden, pulled.slice([0..rows, 0..self.input]))
    }
}

/// `[x, c]`, where there is a context.
fn joined(x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
    let Some(context) = context else { return x };
    let (rows, columns) = (x.dims()[0], context.dims()[1]);
    Tensor::cat(vec![x, context.expand([rows, columns])], 1)
}
