"""The rooms of the house: one folder a component, and `step`, which all of them share."""
