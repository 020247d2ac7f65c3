"""What a person sees while a model learns: a bar in a terminal, and a line an epoch everywhere."""

from collections.abc import Mapping
from typing import Self

import rich.console
import rich.progress


class Progress:
    """A progress bar over all steps, with the latest loss."""

    def __init__(self, epochs: int, steps_per_epoch: int, start: int) -> None:
        self.epochs = epochs
        self._console = rich.console.Console(highlight=False, soft_wrap=True)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("step {task.completed}/{task.total}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("loss {task.fields[loss]:.4f}"),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=epochs * steps_per_epoch, completed=start, loss=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, step: int, loss: float) -> None:
        """Show that `step` steps are done."""
        self._bar.update(self._task, completed=step, loss=loss)

    def end_epoch(self, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Print the line of an epoch."""
        self._console.print(
            f"epoch {metrics['epoch']}/{self.epochs}"
            f"  loss {metrics['train_loss']:.4f}  accuracy {metrics['train_accuracy']:.4f}"
            f"  validation loss {metrics['validation_loss']:.4f}  accuracy {metrics['validation_accuracy']:.4f}"
            f"  {images_per_second:,.0f} images/s"
        )
