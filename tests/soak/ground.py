"""What the trials stand on: the stores, a copy of the code with a tiny model, and what each step makes undisturbed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.conftest import DIGITS, SERVERS
from components.contract import artifact
from components.contract.declaration import flag
from components.contract.processes import tied
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.workflow import WORKFLOW
from tests.soak.faults import Request
from tests.soak.proxy import Proxy

ROOT = Path(__file__).parent.parent.parent
BUCKET = "soak"
GOOD = "good"  # the folder in the bucket of what was made undisturbed; a trial's is TRIALS/its number
TRIALS = "trials"
RAW = "raw"
WAIT_SECONDS = "6"  # of the step, for a store that may come back
LIMIT_SECONDS = 180  # what has not ended by then is hung; many times what a step takes on a busy machine
STEPS = tuple(task.name for task in WORKFLOW.tasks)
FLAGS = {
    "ingest": (f"--source=s3://{BUCKET}/{RAW}", "--validation-size=64"),
    "train": ("--model=tiny", "--epochs=2", "--batch-size=64", "--checkpoint-every=4"),
    "evaluate": ("--no-check-labels",),
}
MODEL = """\
import keras
from keras import layers


def build(image_shape, classes):
    return keras.Sequential([keras.Input(image_shape), layers.Flatten(), layers.Dense(classes)], name="tiny")
"""


@dataclass
class Run:
    """A step that has ended: its exit code (negative: the signal), what it printed, and how long it took."""

    code: int
    output: str
    errors: str
    seconds: float
    hung: bool = False


@dataclass
class Ground:
    """Stores by name, with the environment that leads to each, and the good artifacts, which are in all of them."""

    folder: Path
    stores: dict[str, dict[str, str]]
    digests: dict[str, str] = field(default_factory=dict)  # of each output, by STEP/OUTPUT
    requests: dict[str, list[Request]] = field(default_factory=dict)  # what each step asked of the store
    seconds: dict[str, float] = field(default_factory=dict)
    unlike: dict[str, Path] = field(default_factory=dict)  # ingest's outputs of another seed
    unlike_digests: dict[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> list[str]:
        """What must be nowhere in what a step leaves."""
        return [settings["AWS_SECRET_ACCESS_KEY"] for settings in self.stores.values()]

    def environment(self, own: Path, store: str, endpoint: str = "") -> dict[str, str]:
        """Return all that a step sees; what it may write to is below `own`."""
        for name in ("home", "tmp"):
            (own / name).mkdir(parents=True, exist_ok=True)
        settings = self.stores[store] | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
        return {
            "PATH": os.environ["PATH"], "HOME": str(own / "home"), "TMPDIR": str(own / "tmp"),
            "MPLCONFIGDIR": str(self.folder / "matplotlib"),  # its cache of fonts takes seconds to make
            "TAPELINE_WAIT_SECONDS": WAIT_SECONDS,
        } | settings  # fmt: skip

    def good(self, step: str, output: str) -> Path:
        """Return the folder of a good artifact."""
        return self.folder / GOOD / step / output

    def command(self, step: str, base: str, inputs: str = f"s3://{BUCKET}/{GOOD}", *more: str) -> list[str]:
        """Return the command of a step with its outputs at BASE/STEP/OUTPUT, a folder or an s3:// prefix."""
        task = next(task for task in WORKFLOW.tasks if task.name == step)
        places = {name: f"{inputs}/{component.name}/{output}" for name, (component, output) in task.inputs.items()}
        places |= {item.name: f"{base}/{step}/{item.name}" for item in task.component.outputs}
        if task.checkpoints:
            places[task.checkpoints] = f"{base}/{step}/checkpoints"
        flags = [f"{flag(name)}={place}" for name, place in places.items()]
        return [sys.executable, "-m", f"components.{step}", *flags, *FLAGS.get(step, ()), *more]

    def start(self, command: Sequence[str], own: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, which ends with this process; its output goes to files in `own`."""
        number = len(list(own.glob("output-*")))
        with (own / f"output-{number}").open("wb") as output, (own / f"errors-{number}").open("wb") as errors:
            return subprocess.Popen(
                tied(list(command), signal.SIGKILL), cwd=self.folder / "code", env=dict(environment),
                stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True,
            )  # fmt: skip

    def finish(self, process: subprocess.Popen[bytes], own: Path, began: float, number: int = 0) -> Run:
        """Wait until the command that was started as this number in `own` ends, or end it where it hangs."""
        hung = False
        try:
            code = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            hung = True
            process.kill()
            code = process.wait()
        output, errors = ((own / f"{name}-{number}").read_text(errors="replace") for name in ("output", "errors"))
        return Run(code, output, errors, time.monotonic() - began, hung)

    def run(self, command: Sequence[str], own: Path, environment: Mapping[str, str]) -> Run:
        """Run a command to its end."""
        began = time.monotonic()
        return self.finish(self.start(command, own, environment), own, began)

    def make(self, steps: Sequence[str]) -> None:
        """Make the good artifacts of `steps` on the first store, noting what is asked of it; copy them to the others.

        Raises `RuntimeError` where a step fails without a fault.
        """
        first, *others = self.stores
        for step in steps:
            own = self.folder / "making" / step
            with Proxy(self.stores[first]["AWS_ENDPOINT_URL"]) as proxy:
                environment = self.environment(own, first, proxy.endpoint)
                done = self.run(self.command(step, f"s3://{BUCKET}/{GOOD}"), own, environment)
            if done.code or proxy.errors:
                raise RuntimeError(f"{step} fails without a fault: {done.errors} {proxy.errors}")
            self.requests[step], self.seconds[step] = proxy.requests, done.seconds
            task = next(task for task in WORKFLOW.tasks if task.name == step)
            for item in task.component.outputs:
                uri, folder = f"s3://{BUCKET}/{GOOD}/{step}/{item.name}", self.good(step, item.name)
                Store.from_environment(self.stores[first]).fetch(uri, folder)
                self.digests[f"{step}/{item.name}"] = artifact.digest(folder)
                for other in others:
                    Store.from_environment(self.stores[other]).publish(folder, uri)
        if "ingest" in steps:
            self._make_unlike(self.folder / "making/unlike", first)

    def _make_unlike(self, own: Path, store: str) -> None:
        command = self.command("ingest", str(own / "places"), "", "--seed=1")
        if (done := self.run(command, own, self.environment(own, store))).code:
            raise RuntimeError(f"ingest fails without a fault: {done.errors}")
        self.unlike = {name: own / "places" / name for name in ("ingest/dataset", "ingest/report")}
        self.unlike_digests = {name: artifact.digest(folder) for name, folder in self.unlike.items()}


@contextlib.contextmanager
def ground(folder: Path, steps: Sequence[str] = STEPS, stores: Sequence[str] = tuple(SERVERS)) -> Iterator[Ground]:
    """Yield the ground of a soak, in `folder`; the servers stop in every case."""
    copy = shutil.ignore_patterns("__pycache__", "test*")
    shutil.copytree(ROOT / "components", folder / "code/components", ignore=copy)
    (folder / "code/components/models/tiny.py").write_text(MODEL, encoding="utf-8")
    with contextlib.ExitStack() as stack:
        served = {name: stack.enter_context(serve(folder / name, BUCKET, server=SERVERS[name])) for name in stores}
        made = Ground(folder, served)
        for settings in served.values():
            upload(settings)
        made.make(steps)
        yield made


def upload(settings: Mapping[str, str]) -> None:
    """Put the images that ingest reads into a store."""
    store = Store.from_environment(settings)
    for path in sorted(DIGITS.glob("*.gz")):
        store.client.put_object(Bucket=BUCKET, Key=f"{RAW}/{path.name}", Body=path.read_bytes())
