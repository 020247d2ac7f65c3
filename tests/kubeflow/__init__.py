"""Tests of the Kubeflow pipeline, in the environment of kfp (`make test-kubeflow`)."""
