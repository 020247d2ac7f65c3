"""python -m components.train."""

from components.train.component import COMPONENT
from components.step.command import main

main(COMPONENT)
