"""Lineage: from a model's digest to all that it was made from, each of it verified, and said in the field's forms."""
