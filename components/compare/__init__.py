"""Compare runs: find what they made, hold it against each other, and show it. A tool, not a step of the workflow."""
