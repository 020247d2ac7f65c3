"""What a person sees while a model learns: where it is, how long it will take, and a line an epoch."""

from collections.abc import Mapping

from components.contract import terminal

LINES = 100  # of epochs, at most about so many; metrics.json has them all


class Progress(terminal.Progress):
    """Progress over all steps, with the latest loss."""

    def __init__(self, epochs: int, steps_per_epoch: int, start: int, *, quiet: bool = False) -> None:
        super().__init__(epochs * steps_per_epoch, start, quiet=quiet)
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self._every = -(-epochs // LINES)

    def step(self, step: int, loss: float) -> None:
        """Show that `step` steps are done."""
        self.advance(step, f"step {step:,}/{self.epochs * self.steps_per_epoch:,}  loss {loss:.4f}")

    def end_epoch(self, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Print the line of an epoch; of many epochs, that of the first, the last, and some between."""
        epoch = int(metrics["epoch"])
        if epoch not in (1, self.epochs) and epoch % self._every:
            return
        left = "" if self.live else self.left(epoch * self.steps_per_epoch)  # a terminal has it beside the bar
        self.print(
            f"epoch {epoch}/{self.epochs}"
            f"  loss {metrics['train_loss']:.4f}  accuracy {metrics['train_accuracy']:.4f}"
            f"  validation loss {metrics['validation_loss']:.4f}  accuracy {metrics['validation_accuracy']:.4f}"
            f"  {images_per_second:,.0f} images/s{', ' if left else ''}{left}"
        )
