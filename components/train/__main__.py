"""python -m components.train."""

from components.step.command import main
from components.train.component import COMPONENT

main(COMPONENT)
