"""What starts the other workers of a training, and starts all of them again when one is lost: one way a file."""
