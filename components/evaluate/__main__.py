"""python -m components.evaluate."""

from components.evaluate.component import COMPONENT
from components.step.command import main

main(COMPONENT)
