"""Tests of the chart and of the workflow in a cluster (`make test-cluster`)."""
