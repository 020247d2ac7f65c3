"""The networks, one a file: `build(image_shape, classes)` returns a Keras model from pixels in 0..1 to logits.

`image_shape` is height and width. A network that takes grey images and such in colour asks for `channels`, 1 or 3, by
that name. To add your own, copy a file; its name is then a choice of `--model`, everywhere.
"""

from pathlib import Path

from components.contract.plugins import Plugins

MODELS = Plugins("model", "components.models", Path(__file__).parent)
