# mypy: allow-untyped-defs, allow-untyped-calls
"""The quick part of the failure zoo: real trainings on a few hundred images, each found out or found sound."""

import pytest

from benchmarks.animals import ANIMALS, BROKEN, SOUND
from benchmarks.zoo import watch
from components.conftest import SMALL, make
from components.export.checks import RULES
from components.ingest.component import COMPONENT as INGEST

QUICK = ("logarithm of 0", "dead ReLU", "stopped gradient", "learning rate too low", "four dense layers",
         "other: dead ReLU in a nested network", "other: zeros in a hidden layer", "other: batchnorm",
         "other: attention", "other: zero-last")  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make(INGEST, SMALL, {}, tmp_path_factory.mktemp("zoo")) / "dataset"


@pytest.mark.parametrize("name", QUICK)
def test_what_is_broken_is_found_and_what_is_sound_is_not(dataset, name):
    animal = ANIMALS[name]
    findings = {finding.rule for finding in watch(animal, dataset, seed=0)}
    assert animal.must <= findings
    assert findings <= animal.must | animal.may


def test_every_rule_has_a_training_that_must_have_it():
    assert {rule for animal in BROKEN.values() for rule in animal.must} == {rule.id for rule in RULES}
    assert all(not animal.must for animal in SOUND.values())
