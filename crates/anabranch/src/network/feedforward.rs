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
        let rows = x.dims()[0];
        let entry = match context {
            Some(context) => {
                let columns = context.dims()[1];
                Tensor::cat(vec![x, context.expand([rows, columns])], 1)
            }
            None => x,
        };
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
}
