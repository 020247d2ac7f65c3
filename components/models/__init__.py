"""The networks, one a file: `build(image_shape, classes)` returns a Keras model from pixels in 0..1 to logits.

To add your own, copy a file; its name is then a choice of `--model`, everywhere.
"""

from pathlib import Path

from components.contract.plugins import Plugins

MODELS = Plugins("model", "components.models", Path(__file__).parent)
