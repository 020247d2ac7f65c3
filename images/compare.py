"""Build images twice from nothing, and say whether the files in them are the same, and which are not.

make reproducible [ARGS="IMAGE ..."]

Compared are name, kind, mode, owner, link and content of every file. Times are not: Docker writes those of the build,
so the digest of an image differs even where every file is the same. Both builds stand on the same base image.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile

from images.sbom import DOCKER, ROOT, image, run

DOCKERS = {"dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", ".dockerenv"}  # put there by it


def main() -> None:
    """Build each image two times and compare; a difference is a failure."""
    parser = argparse.ArgumentParser(
        prog="make reproducible", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="of images/list; default: those of the steps")
    names = parser.parse_args().images
    if not names:
        listed = map(str.split, run([str(ROOT / "images/list")]).splitlines())
        names = [name for what, name, _, _ in listed if what in ("step", "kubeflow")]
    different = [name for name in names if not same(name)]
    sys.exit(f"not the same: {', '.join(different)}" if different else 0)


def same(name: str) -> bool:
    """Return whether two builds of an image have the same files; say which have not."""
    first, second = (files(name) for _ in range(2))
    found = sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))
    for path in found[:20]:
        print(f"  {path}: {first.get(path, 'is not in the first')} and {second.get(path, 'is not in the second')}")
    digest = hashlib.sha256(repr(sorted(first.items())).encode()).hexdigest()
    print(f"{name}: {len(first)} files, {len(found)} differ; all together sha256:{digest[:16]}", flush=True)
    return not found


def files(name: str) -> dict[str, str]:
    """Build an image from nothing; return what is to be compared of each of its files, by name."""
    environment = os.environ | {"NO_CACHE": "1", "TAG": "reproducible"}
    subprocess.run([ROOT / "images/build", name], check=True, env=environment, stdout=subprocess.DEVNULL)
    built = image(name).rpartition(":")[0] + ":reproducible"
    container = run([DOCKER, "create", built]).strip()
    try:
        with subprocess.Popen([DOCKER, "export", container], stdout=subprocess.PIPE) as exported:
            assert exported.stdout
            found = {}
            with tarfile.open(fileobj=exported.stdout, mode="r|") as archive:
                for each in archive:
                    content = archive.extractfile(each) if each.isfile() else None
                    digest = hashlib.file_digest(content, "sha256").hexdigest() if content else ""  # type: ignore[arg-type]
                    told = [each.type.decode(), oct(each.mode), f"{each.uid}:{each.gid}", each.linkname, digest]
                    found[each.name] = " ".join(filter(None, told))
        return {path: told for path, told in found.items() if path not in DOCKERS}
    finally:
        run([DOCKER, "rm", container])
        run([DOCKER, "rmi", built])


if __name__ == "__main__":
    main()
