"""The same bytes, whoever calls: the digests of all artifacts of one run, by `make run`, Kubeflow and Airflow.

But for those of tasks that are fresh, such as the gate: they follow from what was blessed before, too.

Each caller's test records what it made in run/parity; `make parity` runs them all and prints the table:
python -m tests.parity
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from components.contract.artifact import Manifest
from components.contract.declaration import argument
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.workflow import WORKFLOW

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "run/parity"
CACHE = Path("~/.cache/tapeline").expanduser()
VALUES = {"model": "convnet", "epochs": 1, "seed": 3, "min_accuracy": 0.9}
CALLERS = ("local", "kfp.local", "launcher", "airflow-process", "airflow-docker")

Digests = dict[str, str]  # {"component/output": digest}; of an output that is one file, the file's


def local() -> Digests:
    """Return the digests of a local run, which is repeated only if something has changed."""
    return record("local", run_locally(VALUES, FOLDER))


def run_locally(values: Mapping[str, object], folder: Path) -> Digests:
    """Run the workflow on this machine, everything in `folder`; return the digests."""
    flags = [argument(name, value) for name, value in values.items()]
    command = [str(ROOT / ".venv/bin/python"), "-m", "dags.local", f"--folder={folder}", *flags]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    places = json.loads((folder / "summary.json").read_text())["artifacts"]
    with serve(folder / "store", "tapeline") as settings:
        return in_store(Store.from_environment(settings), lambda component, output: str(places[component][output]))


def places_in(store: Store, root: str) -> Callable[[str, str], str]:
    """Return what says where an output of the one run below `root` is, each step having been tried once, in Airflow."""
    parts = [name.split("/") for name in store.names(root) if name.endswith("/manifest.json")]
    found = {(step, output): f"{root}/{run}/{step}/{attempt}/{output}"
             for run, step, attempt, output, _ in (each for each in parts if len(each) == 5)}  # fmt: skip
    return lambda component, output: found[component, output]


def in_store(store: Store, place: Callable[[str, str], str]) -> Digests:
    """Return the digests of what a run left in a store, `place` saying where."""
    found = {}
    for task in WORKFLOW.tasks:
        for item in task.component.outputs if not task.fresh else ():
            text = store.manifest(place(task.component.name, item.name))
            assert text, f"there is nothing at {place(task.component.name, item.name)}"
            whole = hashlib.sha256(text).hexdigest()
            digest = Manifest.parse(text, item.name).files[item.file].sha256 if item.file else whole
            found[f"{task.component.name}/{item.name}"] = digest
    return found


def record(caller: str, digests: Digests) -> Digests:
    """Keep a caller's digests for the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{caller}.json").write_text(json.dumps(digests, indent=1), encoding="utf-8")
    return digests


def main() -> None:
    """Print the table; exit with 1 if a caller is missing or its bytes differ."""
    print(f"{'artifact':26}", *(f"{caller:16}" for caller in CALLERS))
    found = [
        json.loads(path.read_text()) if (path := FOLDER / f"{caller}.json").is_file() else {} for caller in CALLERS
    ]
    for name in sorted(found[0]):
        print(f"{name:26}", *(f"{digests.get(name, 'missing')[:12]:16}" for digests in found))
    if differing := [
        caller for caller, digests in zip(CALLERS, found, strict=True) if not digests or digests != found[0]
    ]:
        sys.exit(f"missing, or not the same as local: {', '.join(differing)}")
    print(f"{len(found[0])} artifacts, the same bytes by {len(CALLERS)} callers, with {VALUES} on {os.uname().machine}")


if __name__ == "__main__":
    main()
