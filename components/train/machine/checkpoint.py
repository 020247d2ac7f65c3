"""Checkpoints: all that a run needs to go on, published as artifacts while it runs.

    PLACE/KEY/step-00000500-1f3a9c07/             a checkpoint
    PLACE/KEY/record/00000001-00000500-5be02d11/  a part of the gradient record: what was written in these steps

The key says what a run's bytes follow from (identity.py), so one place serves all runs, and none meets a checkpoint of
another. A checkpoint holds every variable (of the network, the optimizer, the transformation, and what a person's file
keeps), the last gradients, the rows of the record that are not in a part yet, and the position. It names the last part
by its digest, as each part does the one before it: what was written once is uploaded once, and a checkpoint does not
grow with the run. The order of the images follows from seed and epoch, and so do the random numbers of a way or a
transformation, so they need no state of their own. The end of each name is drawn by chance: two tries never write to
the same place, so what one of them left damaged or unfinished is in nobody's way.
"""

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from components.contract import artifact, location, rendezvous
from components.contract.artifact import canonical_json
from components.contract.ending import Asked
from components.contract.errors import BadInput, StepError, StoreRefused
from components.contract.rendezvous import ALONE, Group
from components.train.component import COMPONENT, TrainParameters
from components.train.machine.identity import key_of
from components.train.machine.restore import EPOCHS, RECORD, Found, Part, restore
from components.train.machine.state import State

PLACE = "TAPELINE_CHECKPOINTS"  # the environment's word for the parameter `checkpoints`
KEPT = 2  # a newer checkpoint is whole before an older one goes
# From one checkpoint to the next, where no number of steps is given: so long, or so many times what one takes.
SECONDS, TIMES = 60, 20
_INSTEAD = {True: "the one before it is taken", False: "there is none before it, so the run begins anew"}
_NAME = re.compile(r"step-(\d{8,})-[0-9a-f]{8}")


def with_place(parameters: TrainParameters) -> TrainParameters:
    """Return the parameters with a place for checkpoints, if the environment names one and they do not."""
    place = parameters.checkpoints or os.environ.get(PLACE, "")
    if not place and not rendezvous.number():
        print(f"no checkpoints: a run that is lost begins anew; name a place, by checkpoints or {PLACE}, to go on")
    return parameters.model_copy(update={"checkpoints": place})


@dataclass
class Checkpoints:
    """The checkpoints of a run."""

    parameters: TrainParameters
    dataset: str  # its digest
    key: str
    group: Group = ALONE
    names: list[str] = field(default_factory=list)  # of those that are there, the oldest first
    damaged: list[str] = field(default_factory=list)  # of those that are of no use
    saved: int = 0  # the step of the newest one
    saved_at: float = field(default_factory=time.monotonic)
    took: float = 0  # seconds, to save it
    part: Part | None = None  # the last part of the record
    told: int = 0  # how many epochs the parts tell of
    sent: set[str] = field(default_factory=set)  # the files of the record that are in parts
    removes: bool = True  # until the store refuses

    @classmethod
    def of(cls, parameters: TrainParameters, dataset: Path, group: Group = ALONE) -> Self:
        """Return the checkpoints of a run on the data set in a folder, by all workers of a group."""
        digest = artifact.digest(dataset)
        return cls(parameters, digest, key_of(parameters, digest), group)

    @property
    def place(self) -> str:
        """The folder or s3:// prefix of this run's; empty for none."""
        place = self.parameters.checkpoints.rstrip("/")
        return f"{place}/{self.key}" if place else ""

    def pause(self, state: State, step: int, asked: Asked) -> None:
        """Publish a checkpoint after `step` if one is due; or if the process was asked to end, which ends it then.

        Of several workers the chief does so; another one that is asked to end has it know.
        """
        self.group.ask(asked)
        if not self.group.leads:
            return
        if self.place and step > self.saved and (asked.number or self._due(step)):
            try:
                self.save(state, step)
            except (StepError, OSError, SafetensorError) as error:
                if not asked.number:
                    raise
                print(f"warning: no checkpoint of step {step}: {error}", flush=True)
            else:
                if asked.number:
                    print(f"saved at step {step}; the same call goes on from there", flush=True)
        asked.end()

    def keep(self, state: State, step: int) -> None:
        """Publish a checkpoint after `step`, unless there is one."""
        if self.place and step > self.saved and self.group.leads:
            self.save(state, step)

    def _due(self, step: int) -> bool:
        every = self.parameters.checkpoint_every
        return step % every == 0 if every else time.monotonic() - self.saved_at >= max(SECONDS, TIMES * self.took)

    def save(self, state: State, step: int) -> None:
        """Publish a checkpoint, and then remove the oldest."""
        began = time.monotonic()
        state.recorder.settle(step)
        self._send_record(state, step)
        name = f"step-{step:08}-{secrets.token_hex(4)}"
        with location.staging(f"{self.place}/{name}") as folder:
            save_file({name: np.asarray(each.numpy()) for name, each in state.variables().items()},
                      folder / "state.safetensors")  # fmt: skip
            save_file(state.recorder.tensors(), folder / "pending.safetensors")
            last = {str(index): np.asarray(gradient.numpy()) for index, gradient in enumerate(state.gradients)}
            save_file(last, folder / "gradients.safetensors")
            position = {
                "step": step,
                "totals": state.totals,
                "epochs": state.epochs[self.told :],
                "part": self.part and self.part.model_dump(),
                "record": f"{self.place if location.is_remote(self.place) else Path(self.place).absolute()}/{RECORD}",
            }
            (folder / "position.json").write_bytes(canonical_json(position))
            self._publish(folder, f"{self.place}/{name}", "checkpoint", {"step": step})
        self.names.append(name)
        self._remove_old()
        self.saved, self.saved_at = step, time.monotonic()
        self.took = self.saved_at - began

    def _send_record(self, state: State, step: int) -> None:
        """Publish what of the record was finished since the last part."""
        files = [name for name in state.recorder.files() if name not in self.sent]
        if not files:
            return
        first = self.part.step + 1 if self.part else 1
        name = f"{first:08}-{step:08}-{secrets.token_hex(4)}"
        with location.staging(f"{self.place}/{RECORD}/{name}") as folder:
            for each in files:
                (folder / each).parent.mkdir(exist_ok=True)
                shutil.copyfile(state.recorder.folder / each, folder / each)
            (folder / EPOCHS).write_bytes(canonical_json(state.epochs[self.told :]))
            before = {"before": self.part and self.part.model_dump()}
            digest = self._publish(folder, f"{self.place}/{RECORD}/{name}", "part", before)
        self.part = Part(name=name, digest=digest, step=step)
        self.told = len(state.epochs)
        self.sent.update(files)

    def _publish(self, folder: Path, target: str, output: str, metadata: Mapping[str, Any]) -> str:
        """Seal and publish an artifact; return its digest."""
        artifact.seal(
            folder,
            component=COMPONENT.name,
            output=output,
            parameters=self.parameters.course(),
            inputs={"dataset": self.dataset},
            packages=COMPONENT.packages,
            metadata=metadata,
        )
        digest = artifact.digest(folder)
        location.publish(folder, target)
        return digest

    def _remove_old(self) -> None:
        """Remove the checkpoints that are of no use any more; that this fails is no reason to end a training."""
        old, self.names, self.damaged = self.damaged + self.names[:-KEPT], self.names[-KEPT:], []
        for name in old if self.removes else ():
            try:
                location.remove(f"{self.place}/{name}")
            except FileNotFoundError:
                pass  # another try of the same run was there first
            except (StoreRefused, OSError) as error:
                self.removes = False
                print(f"warning: old checkpoints stay: {error}", flush=True)

    def resume(self, state: State, checkpoint: Path | None, last: int) -> int:
        """Go on from `checkpoint`, else from the newest sound one published; return the step reached, 0 for a new run.

        `last` is the step after which the run ends or pauses; what was published after it is left where it is. Raises
        `BadInput` for a `checkpoint` that is damaged, of another run, or of a later step. One of those published that
        is of no use is a warning, and the one before it is taken.
        """
        origin = {"parameters": self.parameters.course(), "inputs": {"dataset": self.dataset}}
        if checkpoint is not None:
            beside = checkpoint.parent / RECORD
            found = restore(state, checkpoint, "checkpoint", str(beside) if beside.is_dir() else "", origin)
            if found.position.step > last:
                raise BadInput(
                    f"checkpoint is of step {found.position.step}, but the run pauses after step {last}; give an "
                    "earlier one, or a later pause_at"
                )
            return self._go_on(found.position.step, "checkpoint")
        return self._lead(state, last, origin) if self.group.leads else self._follow(state, origin)

    def _lead(self, state: State, last: int, origin: Mapping[str, Any]) -> int:
        """Go on from the newest sound checkpoint, and have the other workers know which."""
        names = [name for name in location.children(self.place) if _NAME.fullmatch(name)] if self.place else []
        steps = {name: int(name.split("-")[1]) for name in names}
        self.names = sorted((name for name in names if steps[name] <= last), key=lambda name: steps[name])
        while self.names:
            where = f"{self.place}/{self.names[-1]}"
            try:
                found = self._restore(state, where, origin)
            except BadInput as error:
                self.damaged.append(self.names.pop())
                why = str(error).removesuffix("; make the artifact again")
                print(f"warning: a checkpoint is of no use: {why}; {_INSTEAD[bool(self.names)]}", flush=True)
                continue
            self.group.decide("checkpoint", where)
            self.part, self.told, self.sent = found.position.part, len(found.told), {name for name, _ in found.files()}
            return self._go_on(found.position.step, where)
        self.group.decide("checkpoint", "")
        return 0

    def _follow(self, state: State, origin: Mapping[str, Any]) -> int:
        """Go on from where the chief does."""
        where = self.group.decide("checkpoint", "")
        if not where:
            return 0
        try:
            found = self._restore(state, where, origin)
        except BadInput as error:
            raise BadInput(
                f"worker {self.group.number} cannot go on from where the chief does: {error}; checkpoints must be at a "
                "place that every worker sees, such as s3://…"
            ) from None
        return self._go_on(found.position.step, where)

    @staticmethod
    def _restore(state: State, where: str, origin: Mapping[str, Any]) -> Found:
        with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
            folder = location.fetch(where, Path(scratch))
            return restore(state, folder, where, f"{where.rpartition('/')[0]}/{RECORD}", origin)

    def _go_on(self, step: int, where: str) -> int:
        print(f"going on from step {step} ({where})")
        self.saved = step
        return step
