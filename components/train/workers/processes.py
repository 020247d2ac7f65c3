"""The other workers as processes of this machine, on its loopback."""

from pathlib import Path

from components.train.workers.worker import Ended, Process


class Processes:
    """Workers 1, 2, … beside the chief."""

    host = "127.0.0.1"

    def __init__(self, count: int, arguments: list[str], scratch: Path) -> None:
        self.count, self.arguments, self.scratch = count, arguments, scratch
        self.running: list[Process] = []

    def start(self, place: str) -> None:
        """Have them run, and come to the chief at `place`."""
        self.running = [Process.begin(i, self.count, self.arguments, place, self.scratch) for i in range(1, self.count)]

    def ended(self) -> list[Ended]:
        """Return those that have ended badly."""
        return [end for each in self.running if (end := each.ended()) and end.code]

    def stop(self) -> None:
        """End those that are still there."""
        for each in self.running:
            each.stop(0)
        self.running = []
