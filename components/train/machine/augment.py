"""The augmentations of a run, one after the other, on all images of a step before any replica gets its share."""

import inspect
import itertools
from typing import Any

import tensorflow as tf

from components.contract.errors import BadInput
from components.contract.plugins import Bound
from components.train.component import AUGMENTATIONS, TrainParameters
from components.train.machine.blame import blame
from components.train.machine.sample import places_of, sample

Stages = dict[str, tuple[tf.Tensor, ...]]


class Augment:
    """The chosen ones of augmentations/, if any."""

    def __init__(self, parameters: TrainParameters) -> None:
        self.seed = parameters.seed
        self.share = parameters.augment_share
        self.images = parameters.batch_size * parameters.accumulate  # of a step
        chosen = parameters.chosen(AUGMENTATIONS.kind)
        loaded = [(place, name, _load(name, parameters)) for place, name in enumerate(chosen)]
        # Those that move pixels one after the other move them at once. The first one to move an image is the last one
        # to say where a pixel of the outcome is from.
        groups = [(moves, list(group)) for moves, group in itertools.groupby(loaded, lambda each: _moves(each[2]))]
        self.chain = [group[::-1] if moves else group for moves, group in groups]
        self.names = [name for group in self.chain for _, name, _ in group]  # in the order in which they are called
        self.mixes = any(_takes_labels(each) for _, _, each in loaded)  # images have several labels afterwards

    def __call__(self, images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return images and labels as step `step`, counted from 0, sees them.

        Images are float32 [n, h, w] or [n, h, w, c] in 0..1; labels int32 [n], or as `Objective` has them. Raises
        `BadInput` for an augmentation that fails, or returns what is of another form.
        """
        images, labels, _ = self.stages(images, labels, step)
        return images, labels

    def stages(self, images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Stages]:
        """Return the same, and what each of the augmentations returned."""
        flat = images.shape.rank == 3
        images = tf.ensure_shape(images[..., tf.newaxis] if flat else images, [self.images, None, None, None])
        at_step = tf.random.experimental.stateless_fold_in([self.seed, 3], tf.cast(step, tf.int32))
        found: Stages = {}
        for group in self.chain:
            moved = places_of(images) if _moves(group[0][2]) else None
            for place, name, each in group:
                seed = tf.random.experimental.stateless_fold_in(at_step, place)
                with blame(f"augment {name} fails", *each.files):
                    if moved is None:
                        images, labels = _changed(each, images, labels, seed)
                        found[name] = images, labels
                    else:
                        moved = _moved(each, moved, seed)
                        found[name] = (moved,)
            if moved is not None:
                images = self._moved_of(images, sample(images, moved), at_step, group[0][0])
        return images[..., 0] if flat else images, labels, found

    def _moved_of(self, images: tf.Tensor, moved: tf.Tensor, at_step: tf.Tensor, place: int) -> tf.Tensor:
        """Return a share of the images moved, and the others as they are.

        What is between pixels is blurred; a network that sees nothing else tells sharp images less well.
        """
        if self.share == 1:
            return moved
        seed = tf.random.experimental.stateless_fold_in(at_step, -1 - place)
        return tf.where(tf.random.stateless_uniform([self.images, 1, 1, 1], seed) < self.share, moved, images)


def _load(name: str, parameters: TrainParameters) -> Bound:
    file = AUGMENTATIONS.files[name]
    with blame("the file cannot be imported", file):
        module = AUGMENTATIONS.load(name)
    functions = [function for each in ("move", "augment") if callable(function := getattr(module, each, None))]
    if len(functions) != 1:
        which = "both of" if functions else "neither of"
        raise BadInput(
            f"augment {name} ({file.name}): it has {which} the functions augment and move, not one; see the folder's "
            "__init__.py"
        )
    return Bound(functions[0], parameters, file)


def _moved(each: Bound, places: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return _fitting("places", each(places, seed=lambda: seed), places.shape)


def _changed(each: Bound, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what one augmentation makes of images and labels; raise ValueError unless it is of their form."""
    if not _takes_labels(each):
        return _fitting("images", each(images, seed=lambda: seed), images.shape), labels
    found = each(images, labels, seed=lambda: seed)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ValueError("augment(images, labels) must return two things: images and labels")
    return _fitting("images", found[0], images.shape), _fitting("labels", found[1], [images.shape[0], None, 2])


def _fitting(what: str, found: Any, shape: Any) -> tf.Tensor:
    wanted = tf.TensorShape(shape)
    if not tf.is_tensor(found):
        kind = "nothing (None)" if found is None else f"a {type(found).__name__}"
        raise ValueError(f"it returned {kind}; it must return {what}, a float32 tensor {wanted}")
    if found.dtype != tf.float32 or not found.shape.is_compatible_with(wanted):
        raise ValueError(f"it returned {found.dtype.name} {found.shape}; {what} must be float32 {wanted}")
    return tf.ensure_shape(found, wanted)


def _moves(each: Bound) -> bool:
    return each.function.__name__ == "move"


def _takes_labels(each: Bound) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = inspect.signature(each.function).parameters.values()
    return sum(parameter.kind in positional for parameter in given) > 1
