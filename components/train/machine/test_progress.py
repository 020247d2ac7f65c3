# mypy: allow-untyped-defs, allow-untyped-calls
import re

import pytest

from components.train.machine.progress import Progress

METRICS = {"train_loss": 0.1, "train_accuracy": 0.9, "validation_loss": 0.2, "validation_accuracy": 0.8}


@pytest.mark.parametrize(
    ("epochs", "said"), [(1, [1]), (3, [1, 2, 3]), (100, [*range(1, 101)]), (250, [1, *range(3, 250, 3), 250])]
)
def test_many_epochs_have_about_a_hundred_lines(epochs, said, capsys):
    with Progress(epochs, 14, 0) as progress:
        for epoch in range(1, epochs + 1):
            progress.step(epoch * 14, 0.1)
            progress.end_epoch(METRICS | {"epoch": epoch}, 1000.0)
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[1].split("/")[0]) for line in lines] == said
    losses = "loss 0.1000  accuracy 0.9000  validation loss 0.2000  accuracy 0.8000"
    assert lines[-1] == f"epoch {epochs}/{epochs}  {losses}  1,000 images/s"
    assert all(re.search(r"images/s, \d+ (s|min) left$", line) for line in lines[:-1])
