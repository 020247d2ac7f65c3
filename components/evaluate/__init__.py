"""The evaluate step: declared in `component`, called by `python -m components.evaluate`."""
