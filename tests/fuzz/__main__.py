"""Look for bytes that a parser takes badly, guided by which of its lines they reach: atheris, which is libFuzzer.

python -m tests.fuzz                            every parser, an hour in all
python -m tests.fuzz idx-images --seconds 600   one of them

What is new to a parser is kept in run/fuzz/NAME, and the next call begins with it. Bytes that it takes badly go to
tests/fuzz/corpus/NAME, where `make test` has them from then on; the exit code is 1 until the parser is mended.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOUR = 3600
MEMORY = 3072  # MiB that a parser may take, TensorFlow included
LONGEST = 2**16  # bytes of an input
SLOWEST = 20  # seconds for one


def main() -> int:
    """Fuzz the parsers that are named, or all, each in a process of its own; return how it went."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - a process that fuzzes imports it by atheris

    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=0, help="for each; by default an hour is shared among them")
    options = parser.parse_args()
    if unknown := [name for name in options.name if name not in TARGETS]:
        parser.error(f"there is no parser {unknown[0]}; there are {', '.join(TARGETS)}")
    names = options.name or list(TARGETS)
    seconds = options.seconds or max(1, HOUR // len(names))
    found = [path for name in names for path in _hunt(name, seconds)]
    for path in found:
        print(f"taken badly: {path.relative_to(ROOT)}; `make test ARGS=tests/fuzz/test_fuzz.py` says how")
    return 1 if found else 0


def _hunt(name: str, seconds: int) -> list[Path]:
    """Fuzz a parser for so long; return the inputs that it takes badly, which are kept."""
    from tests.fuzz.targets import examples_of  # noqa: PLC0415 - as above

    kept, met = HERE / "corpus" / name, ROOT / "run" / "fuzz" / name
    met.mkdir(parents=True, exist_ok=True)
    for _, content in examples_of(name):
        (met / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        bounds = [
            "-len_control=0",
            f"-max_total_time={seconds}",
            f"-rss_limit_mb={MEMORY}",
            f"-timeout={SLOWEST}",
            f"-max_len={LONGEST}",
        ]
        command = [sys.executable, "-W", "ignore", str(HERE / "guided.py"), name, str(met), *bounds]
        print(f"── {name}: {seconds} s", flush=True)
        log = Path(scratch) / "log"
        with log.open("w", encoding="utf-8") as out:
            code = subprocess.run(
                [*command, f"-artifact_prefix={scratch}/", "-print_final_stats=1"],
                stdout=out,
                stderr=out,
                cwd=ROOT,
                check=False,
            ).returncode
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(line for line in lines if "number_of_executed" in line or "peak_rss" in line or "DONE" in line))
        bad = [
            path for path in Path(scratch).iterdir() if path.name.startswith(("crash-", "timeout-", "oom-", "leak-"))
        ]
        if code and not bad:
            raise SystemExit("\n".join([f"{name} could not be fuzzed:", *lines[-20:]]))
        if bad:
            print("\n".join(lines[-40:]))
            kept.mkdir(parents=True, exist_ok=True)
        return [_keep(path, kept) for path in bad]


def _keep(path: Path, folder: Path) -> Path:
    target = folder / path.name
    target.write_bytes(path.read_bytes())
    return target


if __name__ == "__main__":
    sys.exit(main())
