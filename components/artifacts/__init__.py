"""What passes between the components, each said once: its files, how they are written, and how they are read."""
