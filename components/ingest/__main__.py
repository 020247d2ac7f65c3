"""python -m components.ingest."""

from components.ingest.component import COMPONENT
from components.step.command import main

main(COMPONENT)
