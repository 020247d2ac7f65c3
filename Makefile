# `make` alone says what there is. Everything runs in environments that dags/environment makes from uv.lock.

DEV = @dags/environment dev
# kfp pins what the steps need newer, and Airflow wants what kfp forbids, so each has an environment of its own.
KUBEFLOW = @dags/environment kubeflow
AIRFLOW = @dags/environment airflow
ARGS ?=
CLUSTER ?=

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile)

help:
	@awk -F ':.*## ' '/^##@/ { print (n++ ? "\n" : "") substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

##@ Start
doctor: ## Say what this machine has and lacks for each way of use, and what mends it
	@dags/environment python dags/doctor.py $(ARGS)

run: ## Run the whole workflow here; ARGS="--epochs 1 --model convnet", ARGS=--help
	$(DEV) python -m dags.local $(ARGS)



compare: ## Compare runs by name, place or digest, on one page; ARGS="last 2026-11-25_18-04-05"
	$(DEV) python -m components.compare $(ARGS)
