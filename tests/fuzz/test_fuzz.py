# mypy: allow-untyped-defs, allow-untyped-calls
"""Each parser on examples that are nearly right, the same ones each time; `make fuzz` looks longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, examples_of
from tests.fuzz.variations import bytes_near, documents_near

EXAMPLES = 120  # of each parser


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_is_taken_or_refused_in_a_sentence(name):
    said = [TARGETS[name](content) for _, content in examples_of(name)]
    assert "" in said  # or all that is varied of them would end at one sentence


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nearly_right_is_taken_or_refused_in_a_sentence(name):
    target, examples = TARGETS[name], [content for _, content in examples_of(name)]
    near = bytes_near(examples)
    if target.text:
        near = st.one_of(documents_near(target.seeds()), near)

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(near)
    def varied(content: bytes) -> None:
        target(content)

    varied()
