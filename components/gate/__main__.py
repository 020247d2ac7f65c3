"""python -m components.gate."""

from components.contract.command import main
from components.gate.component import COMPONENT

main(COMPONENT)
