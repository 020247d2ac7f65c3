# mypy: allow-untyped-defs, allow-untyped-calls
"""Perceptual hashes, and the pairs that they lead to: what is nearly equal is found, and no two different digits."""

import numpy as np
import pytest

from benchmarks.data_sound import scenes
from benchmarks.spoil import jpeg, moved, noise, opposite, scaled
from components.ingest.hashes import hashes
from components.ingest.look import grey, small
from components.ingest.near import near_duplicates
from components.testdata.forms import digits

DIGITS, LABELS = digits(512)["train"]
SAME = {
    "moved by a pixel": moved(0, 1), "moved up and left": moved(-1, -1), "JPEG": jpeg(80), "noisy": noise(6),
    "darker": scaled(0.7), "brighter": scaled(0.8, 30),
}  # fmt: skip


def pairs(*images):
    """Return the pairs among images of digits, of which the first were the first digits as well."""
    labels = np.concatenate([np.resize(LABELS, len(each)) for each in images])
    return near_duplicates(images, labels, np.ones(len(labels), bool)).pairs.tolist()


@pytest.mark.parametrize("effect", SAME.values(), ids=SAME)
@pytest.mark.parametrize("ground", ["black", "white"])
def test_what_is_nearly_equal_is_found_in_another_split(effect, ground):
    random = np.random.default_rng(0)
    images = DIGITS if ground == "black" else opposite(DIGITS, random)
    copies = effect(DIGITS[:100], random) if ground == "black" else opposite(effect(DIGITS[:100], random), random)
    found = pairs(images, copies)
    assert len(found) >= 97
    assert all(second == first + 512 for first, second in found)


def test_real_digits_are_not_nearly_equal():
    assert pairs(DIGITS) == []


def test_colours_and_large_images_are_compared_by_what_is_coarse_in_them():
    colour, _ = scenes(0, (150, 200, 3), 70)["train"]
    for copies in (np.roll(colour[:20], 1, axis=2), colour[:20] // 2, jpeg(60)(colour[:20], np.random.default_rng(0))):
        assert pairs(colour, copies) == [[i, i + 40] for i in range(20)]


def test_what_is_not_kept_or_plain_is_in_no_pair():
    images = np.concatenate([DIGITS[:9], DIGITS[:9], np.zeros((4, 28, 28), np.uint8)])
    kept = np.ones(22, bool)
    assert near_duplicates([images], np.resize(LABELS[:9], 22), kept).pairs.tolist() == [[i, i + 9] for i in range(9)]
    kept[9:] = False
    assert near_duplicates([images], np.resize(LABELS[:9], 22), kept).pairs.tolist() == []


def test_the_hash_stays_where_the_image_moves_and_is_the_same_on_every_machine():
    plain, centred = hashes(DIGITS[:4])
    assert plain.bits.tolist() == GOLDEN
    after = hashes(np.roll(DIGITS[:4], (2, -1), axis=(1, 2)))
    assert (after[1].bits == centred.bits).all()
    assert (after[0].bits != plain.bits).all()


def test_images_are_made_small_by_means_and_grey_by_brightness():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert small(image, 2).tolist() == [[[2, 4]]]
    assert small(image, 4) is image
    assert grey(np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], np.uint8)).tolist() == [
        [[76, 149, 28, 255]]
    ]


GOLDEN = [15351120719419061483, 17694647262717714643, 10467817031669898920, 10420035570528665084]
