"""The losses, one a file: `loss(labels, logits)` returns one number for each image, float32 [batch].

`labels` are int32 [batch], `logits` float32 (or float64) [batch, classes]. Parameters are keyword-only arguments with
`parameter(...)`. Class weights, the mean, and what Keras adds come afterwards.

To add your own, copy a file; its name is then a choice of `--loss`, everywhere.
"""
