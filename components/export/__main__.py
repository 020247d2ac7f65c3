"""python -m components.export."""

from components.export.component import COMPONENT
from components.step.command import main

main(COMPONENT)
