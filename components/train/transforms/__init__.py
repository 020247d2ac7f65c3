"""What may be done to the gradients before they are applied, one a file: optax's `init` and `update`.

`update(gradients, state, variables)` returns the new gradients and the new state; it is compiled into the step, and
called once in each. `init(variables)` returns the state that it begins with, tensors in lists, tuples or dicts; without
it the state is (). The state is in the checkpoints. Gradients are one float32 tensor for each variable, of its shape.

Parameters are keyword-only arguments with `parameter(...)`. `update` may also ask for `seed`, int32 [2], which is
another one at each step (for tf.random.stateless_…), and for `step`, counted from 0.

To add your own, copy a file; its name is then a choice of `--transform`, everywhere.
"""
