"""python -m components.export."""

from components.contract.command import main
from components.export.component import COMPONENT

main(COMPONENT)
