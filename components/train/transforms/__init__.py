"""What may be done to the gradients before they are applied, one rule a file.

`apply(gradients, variables, step)` takes and returns one tensor for each variable, and is compiled into the training
step. To add your own, copy a file; its name is then a choice of `--rule`, everywhere.
"""
