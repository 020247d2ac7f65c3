"""python -m components.evaluate."""

from components.contract.command import main
from components.evaluate.component import COMPONENT

main(COMPONENT)
