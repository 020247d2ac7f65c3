"""python -m components.lineage."""

from components.contract.command import guard
from components.lineage.command import main

guard("trace", main)
