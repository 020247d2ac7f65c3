"""Which tests run in which environment."""

from importlib.util import find_spec

# kfp and Airflow want what the steps, and each other, forbid; so the tests of each have an environment of their own.
NEEDS = {"kubeflow": "kfp", "airflow": "airflow"}
NEEDS |= dict.fromkeys(("pages", "test_docs.py", "test_fifth_step.py", "test_local.py"), "tensorflow")
collect_ignore = [name for name, package in NEEDS.items() if find_spec(package) is None]
