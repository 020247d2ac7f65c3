"""The ingest step: declared in `component`, called by `python -m components.ingest`."""
