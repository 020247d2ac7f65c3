"""python -m components.ingest."""

from components.contract.command import main
from components.ingest.component import COMPONENT

main(COMPONENT)
