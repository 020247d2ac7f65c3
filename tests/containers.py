"""What the tests with containers share."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dags.cluster import reference

ROOT = Path(__file__).parent.parent
DOCKER = shutil.which("docker") or "docker"


def images(*what: str, root: Path = ROOT) -> list[str]:
    """Return the names of the images that images/list has, all or those that are for `what`."""
    lines = subprocess.run([root / "images/list"], check=True, capture_output=True, text=True).stdout.splitlines()
    listed = [line.split() for line in lines]
    return [name for use, name, _, _ in listed if use in what or not what]


def built(image: str) -> bool:
    """Tell whether Docker is there and has the image."""
    command = [DOCKER, "image", "inspect", image]
    return (
        shutil.which("docker") is not None and not subprocess.run(command, check=False, capture_output=True).returncode
    )


# In CI they are there, or the tests fail.
needs_images = pytest.mark.skipif(
    not os.environ.get("CI") and not all(built(reference(name)) for name in images("step", "kubeflow")),
    reason="needs Docker and the images: make images",
)
