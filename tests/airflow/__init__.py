"""Tests of the Airflow DAGs, in the environment of Airflow (`make test-airflow`)."""
