# mypy: allow-untyped-defs, allow-untyped-calls
"""The zoo of data sets, of the digits in the repository: what is spoilt is found out, and what is sound is not."""

import pytest

from benchmarks.data_animals import BROKEN
from benchmarks.data_sound import SOUND, small_digits
from benchmarks.data_zoo import look_at, watch
from components.ingest.validation import rules

# A limit was set where most is found; what it misses is in the table of docs/data.md.
MISSED = {"held out: drift-pixels: thick strokes"}


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in MISSED])
def test_what_is_spoilt_is_found(name):
    animal = BROKEN[name]
    assert animal.must <= {finding.rule for finding in watch(animal, small_digits(), seed=0)}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_has_no_warning(name):
    assert [finding.sentence for finding in look_at(SOUND[name]()) if finding.severity != "info"] == []


def test_every_rule_has_three_data_sets_that_must_have_it():
    for rule in rules():
        assert sum(rule.id in animal.must for animal in BROKEN.values()) >= 3, rule.id
