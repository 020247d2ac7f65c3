"""Figures of the README: speed as ratios within one run, accuracy as mean over seeds."""
