"""python -m components.handover."""

from components.contract.command import main
from components.handover.component import COMPONENT

main(COMPONENT)
