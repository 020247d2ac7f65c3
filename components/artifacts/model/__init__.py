"""The model that train makes: its files, how they are written, and how they are read.

    model.keras         the network in Keras's own format; the same weights give the same bytes
    model.json          what it takes and gives, and which file of components/models built it: a `Spec`
    probe.safetensors   a few made-up images, and the logits that the network had for them when it was written
    saved_model/        the same for servers: raw uint8 images in, probabilities and class out, and no Python class

`python -m components.artifacts.model FOLDER` reads one in a fresh process, and says whether it is sound.
"""

from components.artifacts.model.folder import SAVED, check, read, write
from components.artifacts.model.serving import function, signature_of
from components.artifacts.model.spec import Spec, channels_of, pixels, sentence

__all__ = ["SAVED", "Spec", "channels_of", "check", "function", "pixels", "read", "sentence", "signature_of", "write"]
