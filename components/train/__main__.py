"""python -m components.train."""

from components.contract.command import main
from components.train.component import COMPONENT

main(COMPONENT)
