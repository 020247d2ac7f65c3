"""A soak: seeded faults between the steps, the store and the machine, each judged by what it left behind."""
