"""The ways to find gradients, one a file: `gradients(model, loss, images, labels)` returns loss, logits, gradients.

`model` is the Keras model, `images` are float32 in 0..1 and of the shape that it takes. `labels` are int32 [batch], or
float32 [batch, labels, 2] where images have weights or are mixed (machine/objective.py): `loss` can read either.
`loss(labels, logits)` is the mean loss of the batch with all that Keras adds to it (`model.losses` of the last call),
times `loss.scale`: divide by that what is compared with a number of your own. A gradient is a tensor for each variable
of `variables_of(model)`; None and IndexedSlices are fine. A way must not change the model.

Its parameters are keyword-only arguments with `parameter(...)`. It may also ask for `seed`, int32 [2], which is another
one at each call (for tf.random.stateless_…), and for `calls`, the number of calls whose mean makes a step. Two optional
functions: `check(model, traced)` raises ValueError for a model that the way is not for; `figures(*, examples,
batch_size, steps, …)` returns numbers to publish with the metrics.

To add your own, copy a file; its name is then a choice of `--step`, everywhere.
"""
