"""The training, top to bottom: data, model, a look before the first step, the steps, and what is kept of them."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from components.contract import artifact, quiet, rendezvous
from components.contract.artifact import canonical_json
from components.contract.declaration import Metadata
from components.contract.ending import Asked, held
from components.contract.plugins import Bound
from components.contract.rendezvous import ALONE, Group

with quiet.importing():
    import keras
    import tensorflow as tf

from components.artifacts import model as models
from components.artifacts.dataset import at_once
from components.artifacts.record.writer import Recorder
from components.train.component import STEPS, TrainParameters
from components.train.machine import look
from components.train.machine.assemble import assemble, files_of
from components.train.machine.blame import blame
from components.train.machine.checkpoint import Checkpoints, with_place
from components.train.machine.compiled import compile_steps, needed
from components.train.machine.data import Split, labels_of, load, noise
from components.train.machine.devices import choose_devices
from components.train.machine.diverged import ADVICE, Diverged, check_finite
from components.train.machine.graph import Traced
from components.train.machine.identity import about
from components.train.machine.plan import Pace, Plan, plan
from components.train.machine.progress import Progress
from components.train.machine.state import State
from components.train.machine.windows import Feed, Window
from components.train.tape import Training
from components.train.workers.launch import launch


def train(  # noqa: PLR0913 - one path for each input and output
    parameters: TrainParameters,
    *,
    dataset: Path,
    checkpoint: Path | None,
    trained_model: Path,
    gradients: Path,
    metrics: Path,
) -> Metadata:
    """Learn the training split of `dataset`; write the model, the record of its gradients, and its metrics.

    The same dataset, parameters and seed give the same bytes, also after an interruption: from a checkpoint the run
    goes on as if it had not been cut off. Raises `BadInput` for what does not fit, `Diverged` for a loss that does.
    """
    if parameters.workers > 1 and not rendezvous.joined():
        outputs = {"trained_model": trained_model, "gradients": gradients, "metrics": metrics}
        return launch(parameters, {"dataset": dataset, "checkpoint": checkpoint}, outputs)
    parameters = with_place(parameters)
    group = Group(parameters.workers, about(parameters, artifact.digest(dataset)))
    with group.watch(), prepared(parameters, lambda: load(dataset, parameters.shuffle_window), gradients, group) as run:
        checkpoints = Checkpoints.of(parameters, dataset, group)
        step = checkpoints.resume(run.state, checkpoint, parameters.last_epoch * run.steps_per_epoch)
        if group.leads:
            print(run.summary())
        try:
            with blame("the training fails", *files_of(parameters)):
                learn(run, step, checkpoints)
        except Diverged as error:
            if parameters.diverged == "fail":
                raise
            print(f"stopped: {str(error).partition(';')[0]}")
        group.part()
        state = run.state
        settings = {
            "steps_per_epoch": run.steps_per_epoch,
            "images_per_step": run.batch,
            "classes": run.spec.classes,
            "clip_norm": parameters.clip_norm,
            "frozen": run.traced.frozen,
        }
        if run.training.augment.names:
            settings["augment"] = parameters.augment
        state.recorder.finish(settings, state.epochs)
        models.write(run.training.network, run.spec, trained_model)
        figures = run.figures()
        weighted = {"weighted": names} if (names := run.weighted()) else {}
        (metrics / "metrics.json").write_bytes(canonical_json({"epochs": state.epochs} | figures | weighted))
        last = {name: value for name, value in (state.epochs or [{}])[-1].items() if name != "epoch"}
        count = run.training.network.count_params()
        told = {"framework": "keras", "model": parameters.model, "parameters": count, "seed": parameters.seed}
        told["steps"] = int(run.training.optimizer.iterations.numpy())
        told |= {name: value for name, value in last.items() if name.startswith("validation_")}
        return {"metrics": last | figures, "trained_model": told}


def check(parameters: TrainParameters, *, dataset: Path | None, **_: Path | None) -> None:
    """Take the look before the first step, and no step; without a data set, on noise that looks like MNIST."""
    if dataset is None:
        print("no --dataset: looking at images of 28×28 pixels in 10 classes, all noise")

    def data() -> tuple[Split, Split, int]:
        return load(dataset, parameters.shuffle_window) if dataset else noise(parameters)

    with (
        tempfile.TemporaryDirectory(prefix="tapeline-") as scratch,
        prepared(parameters.model_copy(update={"workers": 1}), data, Path(scratch), read_back=True) as run,
    ):
        print(run.summary())
        for variable in run.traced.variables:
            if not variable["connected"]:
                print(f"  the loss does not depend on {variable['name']}")
        for name in run.traced.frozen:
            print(f"  {name} is frozen")
        print("it fits: built, called, compiled, a step taken and undone, saved, and read again in another process")


@dataclass
class Run:
    """A run that is ready for its first step."""

    parameters: TrainParameters
    group: Group
    training: Training
    spec: models.Spec
    traced: Traced
    state: State
    plan: Plan
    feed: Feed
    steps_per_epoch: int
    batch: int  # images in a step
    splits: tuple[Split, Split]  # training and validation
    run_steps: dict[bool, Any]  # observed or not

    def summary(self) -> str:
        """Return what is learned from how much."""
        count, images = self.training.network.count_params(), len(self.splits[0].labels)
        return f"{self.parameters.model}: {count:,} parameters, {images:,} images, {self.batch} a step"

    def weighted(self) -> list[str]:
        """Return which of the metrics are means by the images' weights."""
        names = ("train", "validation")
        return [f"{name}_loss" for name, split in zip(names, self.splits, strict=True) if split.weights is not None]

    def agreed(self, stop: int) -> int:
        """Return where the next call ends: as all workers take it together, the chief says so."""
        return self.group.decide("stop", stop)

    def figures(self) -> dict[str, float | None]:
        """Return what the way to find gradients has to say of the whole run, such as its privacy."""
        said = getattr(STEPS.load(self.parameters.step), "figures", None)
        steps, examples = int(self.training.optimizer.iterations.numpy()), len(self.splits[0].labels)
        if said is None or not steps:
            return {}
        figures = Bound(said, self.parameters)(
            examples=lambda: examples, batch_size=lambda: self.batch, steps=lambda: steps
        )
        print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        return {name: artifact.number(value) for name, value in figures.items()}


@contextmanager
def prepared(
    parameters: TrainParameters,
    data: Callable[[], tuple[Split, Split, int]],
    gradients: Path,
    group: Group = ALONE,
    *,
    read_back: bool = False,
) -> Iterator[Run]:
    """Yield a run that is ready for its first step, in the scope of its devices, those of all workers.

    The model is saved and read back if it has code of its own, or on request.
    """
    strategy = choose_devices(parameters.device, parameters.replicas, group)
    tf.config.experimental.enable_op_determinism()
    tf.config.run_functions_eagerly(parameters.eager)
    keras.config.disable_traceback_filtering()  # so that a fault is found in the file where it is
    keras.utils.clear_session()  # Keras numbers its names; a second training in one process begins at 0 again
    keras.utils.set_random_seed(parameters.seed)

    training_split, validation, classes = data()  # only now that the devices are chosen
    batch = parameters.batch_size * parameters.accumulate
    shares, own = parameters.workers * parameters.replicas, needed(parameters, strategy)
    feed = Feed(training_split, parameters.seed, batch, parameters.shuffle_window, shares, own)
    feed.require()
    steps = parameters.epochs * feed.steps
    training, spec, traced = assemble(parameters, training_split, classes, steps, strategy)
    with strategy.scope():
        recorder = Recorder(gradients, traced.variables, parameters.gradient_level, objective=training.apart)
        none_yet = [tf.fill(variable.shape, float("nan")) for variable in training.network.trainable_variables]
        state = State(training, recorder, none_yet)
        run_steps = {
            observed: compile_steps(training, training_split, spec.channels, observed=observed, moves=traced.moves)
            for observed in (False, True)
        }
        planned = plan(parameters, steps)
        first = feed.first()
        if training.augment.names:
            recorder.sheet(*look.at_augmented(training, first, spec.channels))
        look.try_a_step(state, run_steps[planned.observes(1)], first)
        if read_back or not look.is_plain(training.network):
            look.save_and_read_back(training.network, spec, files_of(parameters))
        yield Run(parameters, group, training, spec, traced, state, planned, feed, feed.steps, batch,
                  (training_split, validation), run_steps)  # fmt: skip


def learn(run: Run, step: int, checkpoints: Checkpoints) -> None:
    """Go on from `step` to the end of the last epoch or to the pause, writing record, checkpoints and progress.

    Whoever ends the process waits for what is being computed, so that a checkpoint of it can be published.
    """
    parameters, state, per_epoch = run.parameters, run.state, run.steps_per_epoch
    with (
        Progress(parameters.epochs, per_epoch, step, quiet=not run.group.leads) as progress,
        held() if checkpoints.place else nullcontext(Asked()) as asked,
        run.feed.windows(step, parameters.last_epoch * per_epoch) as windows,
    ):
        pace = Pace()
        for epoch in range(len(state.epochs) + 1, parameters.last_epoch + 1):
            began, first = time.perf_counter(), step
            while step < epoch * per_epoch:
                window = next(windows)
                for end, observed in run.plan.calls(step, window.end, pace.steps, run.agreed):
                    with pace.of(end - step):
                        loss = advance(run, step, end, window, observed=observed)
                    step = end
                    checkpoints.pause(state, step, asked)
                    progress.step(step, loss)
                del window  # before the next one but one is read
            seconds = time.perf_counter() - began
            pause = partial(checkpoints.pause, state, step, asked)
            found = evaluate(run.training, run.splits[1], run.spec.channels, pause)
            metrics = state.end_epoch(epoch, per_epoch, *found)
            progress.end_epoch(metrics, (step - first) * run.batch / seconds)
            if not np.isfinite(metrics["validation_loss"]):
                raise Diverged(f"the validation loss is {metrics['validation_loss']} after step {step}; {ADVICE}")
        if parameters.pause_at:
            checkpoints.keep(state, step)
            progress.print(f"paused after epoch {parameters.pause_at} of {parameters.epochs}")


def advance(run: Run, step: int, end: int, window: Window, *, observed: bool) -> float:
    """Take the steps of a window after `step`, up to `end`, record them, and return the last one's loss."""
    state, order = run.state, tf.constant(window.order[step - window.step : end - window.step])
    rows, stats, hist, state.gradients = run.run_steps[observed](order, state.gradients, *window.split.tensors)
    values = rows.numpy()
    state.record(step, values, {"stats": stats.numpy(), "hist": hist.numpy()}, run.plan)
    check_finite(step, state.summed(values))
    if run.plan.kept["full"][end]:
        state.recorder.snapshot(end, [np.asarray(gradient.numpy()) for gradient in state.gradients])
    return float(values[-1, 0])


def evaluate(
    training: Training, split: Split, channels: int, pause: Callable[[], None], batch: int = 1000
) -> tuple[float, float]:
    """Return the data's loss, as it is trained on, with the images' weights, and the accuracy, of a whole split.

    `pause` is called after each batch.
    """
    loss, correct, batch = 0.0, 0, at_once(split.images, batch)
    for start in range(0, len(split.labels), batch):
        labels = split.labels[start : start + batch]
        logits = training.network(models.pixels(split.images[start : start + batch], channels), training=False)
        values = training.loss.values(labels_of(split, tf.range(start, start + len(labels))), logits)
        loss += float(tf.reduce_sum(values)) if values.shape.rank else float(values) * len(labels)
        correct += int(tf.math.count_nonzero(tf.argmax(logits, axis=1, output_type=tf.int32) == labels))
        pause()
    return loss / len(split.labels), correct / len(split.labels)
