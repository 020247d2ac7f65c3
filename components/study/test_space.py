# mypy: allow-untyped-defs, allow-untyped-calls
"""What may be varied, and what is said of anything else."""

import pytest

from components.contract.errors import BadInput
from components.study.space import Choice, Range, space_of
from components.train.component import TrainParameters

NEVER = {"seed": "a seed is not for choosing"}


def space(*texts, **fixed):
    return space_of(texts, TrainParameters, fixed, NEVER)


def test_it_is_in_the_order_of_its_names_with_values_as_they_are_declared():
    assert space("model=simple,convnet", "learning_rate=1e-4..1e-2:log", "batch-size=32..512", "accumulate=1,2,4") == (
        Choice("accumulate", (1, 2, 4)),
        Range("batch_size", 32, 512, log=False, whole=True),
        Range("learning_rate", 1e-4, 1e-2, log=True, whole=False),
        Choice("model", ("simple", "convnet")),
    )
    assert space("augment=none,rotate+scale") == (Choice("augment", ("none", "rotate,scale")),)
    assert space("eager=true,false") == (Choice("eager", (True, False)),)


def test_a_value_that_goes_with_some_of_the_others_is_taken():
    assert len(space("step=plain,sam", "sam_radius=0.01,0.1")) == 2
    with pytest.raises(BadInput, match=r"^--vary sam_radius: a parameter of step sam, but step is plain"):
        space("sam_radius=0.01,0.1")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rte=1..2", "--vary learning_rte: no such parameter of a training (did you mean learning_rate?)"),
        ("learning_rate", "--vary 'learning_rate' is not of the form NAME=A..B, NAME=A..B:log or NAME=a,b,c"),
        ("model=simple,convent", "--vary model: 'convent' is not one of convnet, convnet-bn, simple"),
        ("model=a..b", "--vary model: 'a..b' is a range, but it is no number; give its values, joined by commas"),
        ("model=simple", "--vary model: 'simple': two or more different values are needed, joined by commas"),
        ("model=simple,simple", "--vary model: 'simple,simple': two or more different values are needed"),
        ("learning_rate=-1..1", "--vary learning_rate: -1.0 is not more than 0"),
        ("learning_rate=0..1:log", "--vary learning_rate: 0 has no logarithm; begin above 0, or leave out :log"),
        ("learning_rate=1..0.1", "--vary learning_rate: '1..0.1' is no range: the first number has to be less than"),
        ("learning_rate=1..2:lin", "--vary learning_rate: 'lin' is not a way to spread numbers; it is log, or left"),
        ("batch_size=1..2.5", "--vary batch_size: '1..2.5' is not two whole numbers with .. between them"),
        ("batch_size=1..nan", "--vary batch_size: '1..nan' is not two whole numbers"),
        ("seed=1,2", "--vary seed: a seed is not for choosing"),
        ("loss=cross-entropy,focal", "--vary loss: it is also given as focal; leave out the one or the other"),
    ],
)
def test_what_does_not_fit_is_a_sentence(text, sentence):
    with pytest.raises(BadInput) as caught:
        space(text, **({"loss": "focal"} if text.startswith("loss") else {}))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(BadInput) as caught:
        space("a=1,2", "model=simple", "batch_size=1..2", "batch_size=2..3")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "--vary a", "--vary model", "--vary batch_size",
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"^there is nothing to vary: give --vary NAME="):
        space()
