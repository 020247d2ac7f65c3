# mypy: allow-untyped-defs, allow-untyped-calls
"""Each augmentation: what it is by its source, for grey and colour, with and without channels."""

import numpy as np
import pytest
import tensorflow as tf

from components.contract.errors import BadInput
from components.train.component import AUGMENTATIONS, TrainParameters
from components.train.machine.augment import Augment
from components.train.machine.objective import with_weights
from components.train.machine.sample import places_of, sample

COUNT = 64
RANDOM = np.random.default_rng(0)
GREY = tf.constant(RANDOM.uniform(0.1, 1, (COUNT, 14, 10)).astype(np.float32))
LABELS = tf.constant(RANDOM.integers(0, 5, COUNT, np.int32))
SHAPES = {"none": GREY, "grey": GREY[..., tf.newaxis], "colour": tf.stack([GREY, GREY / 2, 1 - GREY], -1)}


def augment(names, images, step=0, labels=None, **values):
    """Return what a step learns from, as arrays."""
    given = {"augment": names, "batch_size": len(images), "augment_share": 1.0}
    chain = Augment(TrainParameters.checked(given | values))
    found, targets = chain(
        tf.constant(images), with_weights(LABELS, None) if labels is None else labels, tf.constant(step)
    )
    return found.numpy(), targets.numpy()


def test_every_file_is_a_choice():
    assert list(AUGMENTATIONS) == ["elastic", "erase", "mixup", "rotate", "scale", "shift"]
    assert TrainParameters.several("augment") == list(AUGMENTATIONS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [*AUGMENTATIONS, "shift,elastic,mixup,erase"])
def test_it_follows_from_seed_and_step_and_keeps_shape_and_range(name, shape):
    images = SHAPES[shape]
    found, _ = augment(name, images)
    assert found.shape == images.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(augment(name, images)[0], found)
    for other in (augment(name, images, step=1), augment(name, images, seed=1)):
        assert (other[0] != found).any()


def test_its_place_in_the_list_gives_another_seed():
    """A shift and then a turn is not the shift alone: and the same file second draws other numbers than first."""
    shifted, _ = augment("shift", GREY)
    after, _ = augment("erase,shift", GREY, erase_chance=1e-9)
    assert (shifted != after).any()


def test_the_colours_of_an_image_move_together():
    for name in ("shift", "rotate", "scale", "elastic"):
        found, _ = augment(name, SHAPES["colour"])
        np.testing.assert_allclose(found[..., 1], found[..., 0] / 2, atol=1e-6)


def test_a_shift_is_by_whole_pixels_and_black_comes_in():
    found, _ = augment("shift", GREY, shift_pixels=3)
    seen = set()
    for one, other in zip(GREY.numpy(), found, strict=True):
        fits = []
        for down in range(-3, 4):
            for right in range(-3, 4):
                moved = np.zeros_like(one)
                moved[max(down, 0) : 14 + min(down, 0), max(right, 0) : 10 + min(right, 0)] = one[
                    max(-down, 0) : 14 - max(down, 0), max(-right, 0) : 10 - max(right, 0)
                ]
                if np.array_equal(moved, other):
                    fits.append((down, right))
        assert len(fits) == 1
        seen |= set(fits)
    assert {down for down, _ in seen} == {right for _, right in seen} == set(range(-3, 4))


def test_a_turn_by_a_right_angle_and_a_doubling_are_exact():
    square = SHAPES["grey"][:, :9, :9]
    places = places_of(square)
    turned = sample(square, tf.stack([-places[..., 1], places[..., 0]], 3))
    np.testing.assert_array_equal(turned, np.rot90(square.numpy(), -1, (1, 2)))
    doubled = sample(square, places / 2).numpy()
    np.testing.assert_allclose(doubled[:, ::2, ::2], square.numpy()[:, 2:7, 2:7], atol=1e-6)
    np.testing.assert_array_equal(sample(square, places), square)
    assert not sample(square, places + 9).numpy().any()
    assert np.isnan(sample(square, places * float("nan"))).all()  # to be seen, not hidden


def test_what_moves_pixels_one_after_the_other_moves_them_once():
    """Bilinear between pixels: half a pixel and back again would blur, were it done twice."""
    chain = Augment(TrainParameters.checked({"augment": "scale,rotate,erase,shift", "batch_size": COUNT}))
    assert [[name for _, name, _ in group] for group in chain.chain] == [["rotate", "scale"], ["erase"], ["shift"]]
    *_, found = chain.stages(GREY, LABELS, tf.constant(0))
    scaled, turned = found["scale"][0].numpy(), found["rotate"][0].numpy()
    # Each image is first scaled, then turned: a pixel of the outcome is from a place that is turned back first.
    factor = np.linalg.norm(scaled[:, 0, 0], axis=1) / np.linalg.norm(turned[:, 0, 0], axis=1)
    np.testing.assert_allclose(scaled, turned * factor[:, None, None, None], rtol=1e-4, atol=1e-5)


def ramp(axis):
    """Return images whose brightness says where a pixel is along an axis, 101 × 101."""
    line = np.linspace(0, 1, 101, dtype=np.float32)
    one = np.broadcast_to(line[:, np.newaxis] if axis == 0 else line, (101, 101))
    return tf.constant(np.broadcast_to(one, (COUNT, 101, 101)).copy())


def test_turns_and_sizes_are_within_their_bounds_and_spread_over_them():
    turned, _ = augment("rotate", ramp(0), rotate_degrees=30)
    angles = np.degrees(np.arcsin(100 * (turned[:, 50, 60] - turned[:, 50, 40]) / 20))
    assert np.abs(angles).max() <= 30.01
    assert (angles.min(), angles.max()) == (pytest.approx(-30, abs=4), pytest.approx(30, abs=4))
    scaled, _ = augment("scale", ramp(0), scale_by=0.5)
    factors = 100 * (scaled[:, 60, 50] - scaled[:, 40, 50]) / 20
    assert (factors.min(), factors.max()) == (pytest.approx(1 / 1.5, abs=0.05), pytest.approx(1.5, abs=0.05))
    assert np.log(factors).mean() == pytest.approx(0, abs=0.1)


def test_elastic_moves_by_a_smoothed_field_as_strong_as_its_source_says():
    """Of numbers in −1..1, a Gaussian of sigma leaves 1/√3 · 1/(2√π·sigma): with 34 and 4 that is 1.38 pixels."""
    moved, _ = augment("elastic", ramp(1))
    inside = 100 * (moved - ramp(1).numpy())[:, 20:80, 20:80]
    assert inside.std() == pytest.approx(34 / (np.sqrt(3) * 2 * np.sqrt(np.pi) * 4), rel=0.03)
    assert abs(inside.mean()) < 0.1
    neighbours = np.corrcoef(inside[:, :, 1:].ravel(), inside[:, :, :-1].ravel())[0, 1]
    assert neighbours == pytest.approx(np.exp(-1 / (4 * 4**2)), abs=0.005)  # what is smooth moves together
    still, _ = augment("elastic", GREY, elastic_alpha=1e-6)
    np.testing.assert_allclose(still, GREY.numpy(), atol=1e-5)


def test_erase_makes_one_rectangle_noise_and_leaves_the_rest():
    images = tf.fill([1000, 40, 30, 3], 2.0)
    chain = Augment(TrainParameters.checked({"augment": "erase", "batch_size": 1000, "erase_share": 0.25}))
    found = chain(images, tf.zeros([1000], tf.int32), tf.constant(0))[0].numpy()
    erased = (found != 2).any(axis=3)
    shares = erased.mean(axis=(1, 2))
    assert (shares > 0).mean() == pytest.approx(0.5, abs=0.05)
    assert shares.max() == pytest.approx(0.25, abs=0.03)
    for each in erased[shares > 0]:
        rows, columns = each.any(axis=1), each.any(axis=0)
        np.testing.assert_array_equal(each, np.outer(rows, columns))
        assert (np.diff(np.flatnonzero(rows)) == 1).all()
        assert (np.diff(np.flatnonzero(columns)) == 1).all()
    assert found[erased].mean() == pytest.approx(0.5, abs=0.01)
    assert not chain.mixes


def test_mixup_mixes_images_and_labels_by_the_same_share():
    found, labels = augment("mixup", GREY, mixup_alpha=1.0)
    share = labels[:, 0, 1]
    other = np.roll(GREY.numpy(), 1, 0)
    mixed = share[:, None, None] * GREY.numpy() + (1 - share)[:, None, None] * other
    np.testing.assert_allclose(found, mixed, atol=1e-6)
    np.testing.assert_array_equal(labels[:, 0, 0], LABELS.numpy())
    np.testing.assert_array_equal(labels[:, 1, 0], np.roll(LABELS.numpy(), 1))
    np.testing.assert_allclose(labels[:, :, 1].sum(axis=1), 1, atol=1e-6)
    assert share.min() >= 0.5
    assert share.mean() == pytest.approx(0.75, abs=0.05)  # the larger part of a stick that is broken anywhere


def test_mixup_of_weighed_images_weighs_each_label_by_its_own_image_and_of_a_tiny_alpha_mixes_nothing():
    weights = tf.constant(RANDOM.uniform(0.5, 2, COUNT).astype(np.float32))
    _, labels = augment("mixup", GREY, labels=with_weights(LABELS, weights), mixup_alpha=1.0)
    _, plain = augment("mixup", GREY, mixup_alpha=1.0)
    np.testing.assert_allclose(labels[:, 0, 1], plain[:, 0, 1] * weights.numpy(), rtol=1e-6)
    np.testing.assert_allclose(labels[:, 1, 1], plain[:, 1, 1] * np.roll(weights.numpy(), 1), rtol=1e-6)
    found, labels = augment("mixup", GREY, mixup_alpha=1e-6)
    np.testing.assert_allclose(found, GREY.numpy(), atol=1e-3)
    assert np.isfinite(labels).all()


def test_some_images_stay_as_sharp_as_they_are():
    found, _ = augment("rotate,shift", tf.tile(GREY, [20, 1, 1]), augment_share=0.7, shift_pixels=5)
    assert (found != np.tile(GREY, (20, 1, 1))).any(axis=(1, 2)).mean() == pytest.approx(0.7, abs=0.04)
    with pytest.raises(BadInput, match=r"^augment_share: 0.5 of the images, but augment is none$"):
        TrainParameters.checked({"augment_share": 0.5})


def test_a_parameter_of_one_that_is_not_chosen_is_refused():
    assert TrainParameters.checked({"augment": "shift, rotate", "shift_pixels": 3}).augment == "shift,rotate"
    with pytest.raises(BadInput, match="shift_pixels: a parameter of augment shift, but augment is rotate,scale"):
        TrainParameters.checked({"augment": "rotate,scale", "shift_pixels": 3})
