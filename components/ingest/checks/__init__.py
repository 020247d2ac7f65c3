"""The rules of validation, by topic, one topic a file: each rule has a severity, a remedy, and a function that finds.

How to write one: components/ingest/validation.py. Their limits were set on half of the zoo of broken data sets
(benchmarks/data_zoo.py), which says how often each of them is right.
"""
