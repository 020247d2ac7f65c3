"""The export step: declared in `component`, called by `python -m components.export`."""
