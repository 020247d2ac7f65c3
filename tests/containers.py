"""What the tests with containers share."""

import os
import shutil
import subprocess

import pytest

from dags.workflow import WORKFLOW, image_of

DOCKER = shutil.which("docker") or "docker"


def built(image: str) -> bool:
    """Tell whether Docker is there and has the image."""
    command = [DOCKER, "image", "inspect", image]
    return (
        shutil.which("docker") is not None and not subprocess.run(command, check=False, capture_output=True).returncode
    )


# In CI they are there, or the tests fail.
needs_images = pytest.mark.skipif(
    not os.environ.get("CI") and not all(built(image_of(task.component)) for task in WORKFLOW),
    reason="needs Docker and the images: make images",
)
