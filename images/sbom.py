"""Write what is in each image to run/sbom/IMAGE.cdx.json (CycloneDX 1.5), and whose licence it has to docs/licences.md.

make sbom [ARGS="IMAGE ... | --check"]

It is read from the images themselves: Python's and Debian's packages, and the Go modules of a server. Python's must be
those of uv.lock, whose digests are added.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/licences.md"
DOCKER = os.environ.get("DOCKER", "docker")
SERVERS = {"minio": "minio", "seaweedfs": "weed"}  # image -> its program, which is of Go

# Runs in the image, whose Python knows its packages; a licence is an SPDX expression, a short text or a classifier.
ASK = """
import importlib.metadata, json, subprocess
def licence(told):
    short = [told.get("License-Expression") or "", told.get("License") or ""]
    classes = [c.split(" :: ")[-1] for c in told.get_all("Classifier", []) if c.startswith("License ::")]
    return next((text for text in short if text and len(text) < 80 and chr(10) not in text), " or ".join(classes))
python = {d.name: [d.version, licence(d.metadata)] for d in importlib.metadata.distributions()}
form = "${Package} ${Version} ${Architecture}\\n"
debian = [line.split() for line in subprocess.check_output(["dpkg-query", "-W", "-f", form], text=True).splitlines()]
print(json.dumps({"python": python, "debian": debian}))
"""


def main() -> None:
    """Write the documents, or look whether the page of the licences is that of the images."""
    parser = argparse.ArgumentParser(
        prog="make sbom", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="one of images/list; default: all that are built")
    parser.add_argument("--check", action="store_true", help="fail unless docs/licences.md is as it would be written")
    options = parser.parse_args()
    groups = {name: group for _, name, _, group in map(str.split, run([str(ROOT / "images/list")]).splitlines())}
    if unknown := [name for name in options.images if name not in groups]:
        sys.exit(f"no image {unknown[0]}; there are: {' '.join(groups)}")
    names = options.images or [name for name in groups if is_built(name)]
    if not names:
        sys.exit("no image is built yet: call `make images` first")
    licences: dict[str, dict[str, Any]] = {}
    for name in names:
        components = list(contents(name, groups[name]))
        write(name, components)
        for each in components:
            if each["purl"].startswith("pkg:pypi/"):
                licences.setdefault(each["name"], {"licence": each["licenses"][0]["license"]["name"], "in": []})
                licences[each["name"]]["in"].append(name)
    if not options.images:
        page(licences, names, check=options.check)


def is_built(name: str) -> bool:
    """Tell whether Docker has the image."""
    return subprocess.run([DOCKER, "image", "inspect", image(name)], capture_output=True, check=False).returncode == 0


def image(name: str) -> str:
    """Return the image of that name, as images/build calls it."""
    return f"{os.environ.get('REGISTRY', 'tapeline')}/{name}:{os.environ.get('TAG', 'dev')}"


def contents(name: str, group: str) -> Iterator[dict[str, Any]]:
    """Yield the components of an image, as CycloneDX has them."""
    if name not in SERVERS:
        told = json.loads(run([DOCKER, "run", "--rm", "--interactive", image(name), "python", "-"], text=ASK))
        locked = {key: each for each in exported(group) for key in [each["name"], each["name"].replace("-", "_")]}
        for package, (version, licence) in sorted(told["python"].items(), key=lambda item: item[0].lower()):
            each = locked.get(package.lower().replace(".", "-")) or locked.get(package.lower())
            if each is None or each["version"] != version:
                sys.exit(f"{image(name)} has {package} {version}, and uv.lock has not: build it again")
            yield each | {"licenses": [{"license": {"name": licence or "not said"}}]}
        for package, version, kind in told["debian"]:
            purl = f"pkg:deb/debian/{package}@{version}?arch={kind}"
            yield {"type": "library", "name": package, "version": version, "purl": purl}
    else:
        yield from modules(name)


def exported(group: str) -> list[dict[str, Any]]:
    """Return what uv.lock says of the packages of a group, with their digests."""
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    options = ["--locked", "--quiet", "--no-default-groups", "--group", group, "--format", "cyclonedx1.5"]
    found: list[dict[str, Any]] = json.loads(run([uv, "export", *options]))["components"]
    return found


def modules(name: str) -> Iterator[dict[str, Any]]:
    """Yield the Go modules that a server is built from, which its program tells to Go."""
    if shutil.which("go") is None:
        print(f"{name}: there is no go here to ask of what it is built, so its modules are not listed", file=sys.stderr)
        return
    container = run([DOCKER, "create", image(name)]).strip()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            program = f"{scratch}/program"
            run([DOCKER, "cp", f"{container}:/usr/local/bin/{SERVERS[name]}", program])
            for line in run(["go", "version", "-m", program]).splitlines():
                kind, *rest = line.split()
                if kind in ("dep", "mod") and len(rest) > 1:
                    module, version = rest[:2]
                    purl = f"pkg:golang/{module}@{version}"
                    yield {"type": "library", "name": module, "version": version, "purl": purl}
    finally:
        run([DOCKER, "rm", container])


def write(name: str, components: list[dict[str, Any]]) -> None:
    """Write the document of an image."""
    path = ROOT / f"run/sbom/{name}.cdx.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = run([DOCKER, "image", "inspect", "--format", "{{.Id}}", image(name)]).strip()
    about = {"type": "container", "name": image(name), "version": digest}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": about}}
    path.write_text(json.dumps(document | {"components": components}, indent=1) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(components)} packages")


def page(licences: dict[str, dict[str, Any]], names: list[str], *, check: bool) -> None:
    """Write the table of licences; with `check`, fail unless it is there already."""
    rows = [f"| {name} | {each['licence']} | {', '.join(each['in'])} |" for name, each in sorted(licences.items())]
    text = "\n".join([
        "# Licences of the Python packages in the images", "",
        "As each package says itself; `make sbom` writes this page, from the images", f"{', '.join(names)}.",
        "Debian's packages have theirs in `/usr/share/doc/*/copyright` of the base image. SeaweedFS is Apache-2.0,",
        "MinIO's server AGPL-3.0; nothing of ours is linked with either.", "",
        "| package | licence | in |", "|---|---|---|", *rows, "",
    ])  # fmt: skip
    if check and (not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text):
        sys.exit(f"{PAGE.relative_to(ROOT)} is not that of the images: call `make sbom` with all of them built")
    PAGE.write_text(text, encoding="utf-8")


def run(command: list[str], text: str | None = None) -> str:
    """Return what a command prints; its failure ends this with what it said."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} failed: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
