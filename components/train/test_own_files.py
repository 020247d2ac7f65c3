# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: E501, ISC004 - what a person writes is on a line, as they would
"""A person's own files that do not fit: each is said in a sentence, before the first step, with exit code 2."""

import re
import subprocess
import sys

import pytest

from components.conftest import SHORT
from components.contract.errors import BadInput
from components.models import MODELS
from components.train.component import LOSSES, OPTIMIZERS, STEPS, TRANSFORMS, TrainParameters
from components.train.train import check

MODEL = """
import keras
from keras import layers

def build(image_shape, classes):
    image = keras.Input((*image_shape, 1))
    hidden = layers.Flatten()(image)
    BODY
"""
MODEL_FAULTS = {
    "syntax": ("def build(:\n", "mine.py, line 1: the file cannot be imported: SyntaxError: invalid syntax"),
    "missing package": ("import nowhere\n", "line 1: the file cannot be imported: ModuleNotFoundError: No module named 'now"),
    "exit on import": ("import sys\nsys.exit('bye')\n", "line 2: the file cannot be imported: SystemExit: bye"),
    "no build": ("x = 1\n", "it has no function build"),
    "returns None": ("def build(image_shape, classes):\n    pass\n", "build returned nothing (None), not a keras.Model"),
    "returns a layer": (
        "import keras\ndef build(image_shape, classes):\n    return keras.layers.Dense(classes)\n",
        "build returned a Dense, not a keras.Model",
    ),
    "other arguments": ("def build():\n    pass\n", "fails: TypeError: build() takes 0 positional arguments"),
    "too few classes": ("return keras.Model(image, layers.Dense(9, name='few')(hidden))",
                        "the model gives (2, 9) (its last layer is few), but the data set has 10 classes"),
    "too many classes": ("return keras.Model(image, layers.Dense(11)(hidden))", "the model gives (2, 11)"),
    "four dimensions": ("return keras.Model(image, layers.Conv2D(10, 3)(image))", "the model gives (2, 26, 26, 10)"),
    "a list": ("return keras.Model(image, [layers.Dense(classes)(hidden), hidden])", "the model gives a list"),
    "a dict": ("return keras.Model(image, {'a': layers.Dense(classes)(hidden)})", "the model gives a dict"),
    "frozen": ("model = keras.Model(image, layers.Dense(classes)(hidden))\n    model.trainable = False\n    return model",
               "no variable is trainable"),
    "nothing to learn": ("return keras.Model(image, layers.Lambda(lambda x: x[:, :classes])(hidden))",
                         "no variable is trainable"),
    "softmax": ("return keras.Model(image, layers.Dense(classes, 'softmax', name='answer')(hidden))",
                "the last layer, answer, ends in softmax, but the loss takes logits"),
    "softmax layer": ("return keras.Model(image, layers.Softmax()(layers.Dense(classes)(hidden)))", "ends in softmax"),
    "sigmoid": ("return keras.Model(image, layers.Dense(classes, 'sigmoid')(hidden))", "ends in sigmoid"),
    "relu": ("return keras.Model(image, layers.Activation('relu')(layers.Dense(classes)(hidden)))", "ends in relu"),
    "not finite": ("return keras.Model(image, layers.Dense(classes)(keras.ops.log(hidden * 0)))",
                   "the logits of the first images are not finite numbers"),
    "a gradient that is not finite": (
        "hidden = layers.Dense(4, use_bias=False, kernel_initializer='zeros', name='zeros')(hidden)\n"
        "    return keras.Model(image, layers.Dense(classes)(keras.ops.sqrt(hidden)))",
        "at the first step the gradient of zeros/kernel has NaN or infinities: look for a root or logarithm of 0",
    ),
    "too large a kernel": ("return keras.Model(image, layers.Dense(classes)(layers.Flatten()(layers.Conv2D(4, 99)(image))))",
                           "build(image_shape, classes) fails"),
    "a layer that fails": (
        "import keras\n\nclass Odd(keras.layers.Layer):\n    def call(self, x):\n        return x @ self.missing\n\n"
        "def build(image_shape, classes):\n"
        "    return keras.Sequential([keras.Input((*image_shape, 1)), Odd(name='odd_one'), keras.layers.Dense(classes)])\n",
        "line 5: build(image_shape, classes) fails in the layer odd_one: AttributeError: 'Odd' object has no attribute",
    ),
    "a fixed batch": (
        "image = keras.Input(batch_shape=(7, *image_shape, 1))\n"
        "    return keras.Model(image, layers.Dense(classes)(layers.LSTM(4, stateful=True)(layers.Reshape((28, 28))(image))))",
        "the model cannot be called on images",
    ),
    "a blank in a name": ("return keras.Model(image, layers.Dense(classes, name='my layer #1')(hidden))",
                          "'my layer #1' is not a valid scope name"),
    "numbers of TensorFlow's own": (
        "return keras.Model(image, layers.Dense(classes)(layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)))(hidden)))",
        "RandomStandardNormal draws numbers from a state of TensorFlow's own",
    ),
}  # fmt: skip


def look(**values):
    check(TrainParameters.checked(SHORT | values), dataset=None)


@pytest.mark.parametrize("name", MODEL_FAULTS)
def test_a_model_that_does_not_fit(own, name):
    body, message = MODEL_FAULTS[name]
    text = (
        body
        if ("\n" in body and "import" in body) or "def build" in body or body == "x = 1\n"
        else MODEL.replace("BODY", body)
    )
    chosen = own(MODELS, "mine", "import tensorflow as tf\n" * ("tf." in body) + text)
    with pytest.raises(BadInput, match=re.escape(message)) as error:
        look(model=chosen)
    assert "mine" in str(error.value)
    assert "\n" not in str(error.value)


TRANSFORM_FAULTS = {
    "nothing": ("return None", "update must return two things"),
    "only the gradients": ("return gradients", "update must return two things"),
    "a generator": ("return (g for g in gradients), state", "update must return two things"),
    "too few": ("return gradients[:-1], state", "update returned 7 gradients for 8 variables"),
    "too many": ("return [*gradients, gradients[0]], state", "update returned 9 gradients for 8 variables"),
    "another shape": ("return [g[0] for g in gradients], state", "not float32 (3, 3, 1, 16)"),
    "a None": ("return [None, *gradients[1:]], state", "update returned None for convnet/conv1/kernel"),
    "float16": ("return [tf.cast(g, tf.float16) for g in gradients], state", "update returned float16"),
    "another state": ("return gradients, [tf.zeros(3)]", "another form than init"),
    "its own fault": ("return [g / undefined for g in gradients], state", "NameError: name 'undefined' is not defined"),
    "numbers of TensorFlow's own": ("return [g + tf.random.normal(g.shape) for g in gradients], state",
                                    "line 4: RandomStandardNormal draws numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORM_FAULTS)
def test_a_transformation_that_does_not_fit(own, name):
    body, message = TRANSFORM_FAULTS[name]
    text = f"import tensorflow as tf\n\ndef update(gradients, state, variables):\n    {body}\n"
    with pytest.raises(BadInput, match=re.escape(message)) as error:
        look(transform=own(TRANSFORMS, "mine", text))
    assert "mine" in str(error.value)


def test_a_transformation_with_other_arguments_or_none(own):
    with pytest.raises(BadInput, match=r"mine.*TypeError: update\(\) takes 2 positional arguments but 3 were given"):
        look(transform=own(TRANSFORMS, "mine", "def update(gradients, state):\n    return gradients, state\n"))
    with pytest.raises(BadInput, match=r"transform apply \(apply\.py\): it has no function update"):
        look(transform=own(TRANSFORMS, "apply", "def apply(gradients, variables, step):\n    return gradients\n"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return tf.constant([1.0, 2.0, 3.0])",
            "for 2 images the loss is float32 (3,); a number for each image is needed",
        ),
        ("return 1.0", "for 2 images the loss is a float"),
        ("return tf.keras.losses.mean_squared_error(labels, logits)", "line 3: the loss fails"),
        ("return tf.cast(labels, tf.int32)", "the loss is int32 (2,)"),
    ],
)
def test_a_loss_that_does_not_fit(own, body, message):
    text = f"import tensorflow as tf\ndef loss(labels, logits):\n    {body}\n"
    with pytest.raises(BadInput, match=re.escape(message)):
        look(loss=own(LOSSES, "mine", text))


def test_a_loss_of_the_whole_batch_has_no_class_weights(own):
    text = (
        "import keras\ndef loss(labels, logits):\n"
        "    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)\n"
    )
    chosen = own(LOSSES, "whole", text)
    look(loss=chosen)
    with pytest.raises(BadInput, match=r"loss whole \(whole.py\): it gives one number for all images, so class_weight"):
        look(loss=chosen, class_weight="balanced")


def test_an_optimizer_and_a_step_that_do_not_fit(own):
    with pytest.raises(BadInput, match="build returned a str, not a Keras optimizer"):
        look(optimizer=own(OPTIMIZERS, "first", "def build(learning_rate):\n    return 'adam'\n"))
    with pytest.raises(BadInput, match=r"second.*gradients must return three things: loss, logits, and 8 gradients"):
        look(step=own(STEPS, "second", "def gradients(model, loss, images, labels):\n    return 1\n"))
    with pytest.raises(BadInput, match=r"third.*it has no function gradients"):
        look(step=own(STEPS, "third", "def other():\n    return 1\n"))


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (
            "power: float = parameter(1 + x, 'help')",
            "mine.py: the parameter power must be written as parameter(default, 'help', …)",
        ),
        ("power: float = parameter(1.0)", "mine.py: the parameter power must be written as"),
        ("power: list = parameter(1.0, 'help')", "mine.py: the parameter power must be a bool, int, float or str"),
        ("choice: str = parameter('mine', 'help')", "mine.py: there is another parameter choice;"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_said_when_its_file_is_chosen(tmp_path, declaration, message):
    from components.contract.declaration import Parameters, parameter
    from components.contract.plugins import Plugins, with_parameters_of

    (tmp_path / "mine.py").write_text(f"def loss(labels, logits, *, {declaration}): ...\n")
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "folder.py").mkdir()
    folder = Plugins("choice", "x", tmp_path)

    @with_parameters_of(folder)
    class Some(Parameters):
        """Some."""

        choice: str = parameter("none", "Choice", choices=["none", *folder.names])

    assert folder.names == ["broken", "mine"]
    assert Some.checked({"choice": "broken"}).choice == "broken"  # importing it says what is wrong
    with pytest.raises(BadInput, match=re.escape(message)):
        Some.checked({"choice": "mine"})


def test_own_parameters_are_read_from_the_file_and_go_where_they_are_asked_for(tmp_path):
    from components.contract.declaration import Parameters, parameter
    from components.contract.plugins import Bound, Plugins, with_parameters_of

    (tmp_path / "strong.py").write_text(
        "import nowhere\n"  # it is read, not imported
        "def loss(labels, logits, *, power: float = parameter(2.0, 'How strong', gt=0), "
        "twice: bool = parameter(False, 'x')):\n"
        "    return labels\n"
    )

    @with_parameters_of(Plugins("loss", "x", tmp_path))
    class Some(Parameters):
        """Some."""

        loss: str = parameter("strong", "Loss", choices=("strong", "weak"))

    assert list(Some.model_fields) == ["loss", "power", "twice"]
    assert Some.model_fields["power"].description == "loss strong: How strong"
    with pytest.raises(BadInput, match="power: 0 is not more than 0"):
        Some.checked({"power": "0"})
    with pytest.raises(BadInput, match="power: a parameter of loss strong, but loss is weak"):
        Some.checked({"power": 3.0, "loss": "weak"})
    scaled = Bound(lambda a, *, power, seed: a * power + seed, Some.checked({"power": 3.0}))
    assert scaled(2, seed=lambda: 1, other=lambda: 1 / 0) == 7


@pytest.mark.parametrize("flags", [[], ["--eager"], ["-v"]])
def test_the_traceback_comes_after_the_sentence_and_only_on_request(flags):
    command = [sys.executable, "-m", "components.train", "--check", "--step=dp-sgd", "--dp-noise=-1"]
    done = subprocess.run([*command, *flags], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("train: dp_noise: -1 is less than 0\n")
    assert ("Traceback" in done.stderr) == bool(flags)
