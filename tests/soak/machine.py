"""Harm on the machine: a small or read-only disk, little memory, a clock that is off. A machine may lack for each."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# In a mount namespace of its own, so that nothing stays mounted whatever happens; what is on the disk when the command
# has ended is copied to $2.
_ON_A_DISK = """\
disk=$1 left=$2 size=$3; shift 3
mount -t tmpfs -o "size=$size" tapeline-soak "$disk" || exit 70
mkdir "$disk/tmp" "$disk/places" || exit 70
"$@"
code=$?
cp -a "$disk/." "$left" || exit 71
exit "$code"
"""
_ON_A_READ_ONLY_DISK = """\
disk=$1; shift 1
mount --bind "$disk" "$disk" && mount -o remount,bind,ro "$disk" || exit 70
for temporary in /tmp /var/tmp /dev/shm; do
  if [ "$disk" = / ] && mountpoint -q "$temporary"; then mount -o remount,bind,ro "$temporary" || exit 70; fi
done
exec "$@"
"""


class Lacking(Exception):
    """What this machine cannot do; the message says why."""


@functools.cache
def may_mount() -> bool:
    """Tell whether a file system can be mounted here, in a namespace of its own."""
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tapeline-soak /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, check=False, capture_output=True).returncode == 0


def on_a_disk(disk: Path, left: Path, size: int) -> list[str]:
    """Return the words before a command that give it a disk of `size` bytes; what is on it in the end is in `left`.

    Raises `Lacking` where nothing can be mounted.
    """
    _require_mounts()
    for path in (disk, left):
        path.mkdir(parents=True)
    return ["unshare", "--mount", "sh", "-c", _ON_A_DISK, "sh", str(disk), str(left), str(size)]


def on_a_read_only_disk(disk: Path) -> list[str]:
    """Return the words before a command for which a folder, or all (/), is on a disk that is read-only."""
    _require_mounts()
    return ["unshare", "--mount", "sh", "-c", _ON_A_READ_ONLY_DISK, "sh", str(disk)]


def _require_mounts() -> None:
    if not may_mount():
        raise Lacking("nothing can be mounted here: root in a mount namespace can")


def with_address_space(size: int) -> list[str]:
    """Return the words before a command that give it so many bytes of address space; more is a failed allocation."""
    if not shutil.which("prlimit"):
        raise Lacking("there is no prlimit (util-linux)")
    return ["prlimit", f"--as={size}"]


@contextlib.contextmanager
def cgroup(size: int) -> Iterator[list[str]]:
    """Yield the words before a command that give it so many bytes of memory; the kernel kills what takes more."""
    old = CGROUPS / "memory"
    folder = (old if old.is_dir() else CGROUPS) / f"tapeline-soak-{os.getpid()}-{size}-{os.urandom(4).hex()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise Lacking(f"no group of processes can be made: {error}") from None
    try:
        try:
            (folder / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(str(size))
            for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
                if (folder / swap).exists():
                    (folder / swap).write_text(str(size) if "memsw" in swap else "0")
        except OSError as error:
            raise Lacking(f"no group of processes can be given a limit: {error}") from None
        yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', str(folder)]
    finally:
        folder.rmdir()


def clock(hours: int) -> dict[str, str]:
    """Return the environment in which a command sees a clock that is so many hours off; empty where there is none."""
    for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return {"LD_PRELOAD": str(path), "FAKETIME": f"{hours:+d}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return {}


def in_session(number: int) -> list[int]:
    """Return the processes of a session that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == number and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def end(processes: list[int]) -> None:
    """Kill processes that a trial has left."""
    for number in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
