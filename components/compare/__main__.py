"""python -m components.compare."""

from components.compare.command import main
from components.contract.command import guard

guard("compare", main)
