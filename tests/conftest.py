"""Which tests run in which environment."""

from importlib.util import find_spec

# kfp pins what the steps need newer, so its tests have an environment of their own (`make test-kubeflow`).
collect_ignore = ["kubeflow"] if find_spec("kfp") is None else ["test_local.py", "test_workflow.py"]
