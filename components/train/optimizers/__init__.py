"""The optimizers, one a file: `build(learning_rate)` returns a Keras optimizer.

`learning_rate` is a number or a Keras schedule. Parameters are keyword-only arguments with `parameter(...)`.

To add your own, copy a file; its name is then a choice of `--optimizer`, everywhere.
"""
