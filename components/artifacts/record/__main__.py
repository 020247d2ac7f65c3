"""python -m components.artifacts.record."""

from components.artifacts.record.command import main
from components.contract.command import guard

guard("record", main)
