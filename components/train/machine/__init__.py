"""What runs the step: the compiled loop, the observer, the plan of what is due when, checkpoints, devices."""
