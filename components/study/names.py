"""The ways to find values, by name; sampler.py has them, which takes its time to import."""

SAMPLERS = ("tpe", "random", "grid")
