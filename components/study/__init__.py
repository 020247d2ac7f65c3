"""A study: many trainings that differ in what is varied, and which of them is best. Who runs them is not known here."""
