"""The workflow, and the callers that run it."""
