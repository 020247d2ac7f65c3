"""The train step: declared in `component`, called by `python -m components.train`."""
