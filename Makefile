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

##@ Choose
study: ## Try many values, find the best; ARGS="--vary learning_rate=1e-4..1e-2:log --trials 20"
	$(DEV) python -m dags.study $(ARGS)

compare: ## Compare runs by name, place or digest, on one page; ARGS="last 2026-11-25_18-04-05"
	$(DEV) python -m components.compare $(ARGS)

registry: ## Show and change which model is blessed; ARGS="show model", ARGS="rollback model"
	$(DEV) python -m components.artifacts.registry $(ARGS)

trace: ## Say what a model was made from, each of it verified; ARGS="DIGEST --json"
	$(DEV) python -m components.lineage $(ARGS)

##@ Test
test: ## Test components, local run, pages and the chart's templates; ARGS=FILE
	$(DEV) pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

fuzz: ## Look for inputs that a parser takes badly, for an hour; ARGS="idx-images --seconds 600"
	$(DEV) python -m tests.fuzz $(ARGS)

check: ## Lint, check formatting and types, and that generated pages are up to date
	$(DEV) ruff check
	$(DEV) ruff format --check
	$(DEV) mypy
	$(DEV) hadolint images/Containerfile images/minio.Containerfile
	$(DEV) python -m dags.reference --check
	$(DEV) python -m components.ingest.known.table --check
	$(DEV) python -m helm.reference --check

test-kubeflow: ## Test the pipeline, and the images if they are built; after `make test`
	$(KUBEFLOW) pytest tests/kubeflow $(ARGS)

test-airflow: ## Test the DAGs in a real Airflow, and images if they are built; after `make test`
	$(AIRFLOW) pytest tests/airflow $(ARGS)

test-cluster: ## Test chart and workflow on a cluster of its own, by kind, k3d or minikube; CLUSTER=kind
	@CLUSTER=$(CLUSTER) tests/kubernetes/with-cluster dags/environment dev pytest tests/kubernetes $(ARGS)

soak: ## Harm the steps, their store and machine, and judge what is left; ARGS="--trials 500"
	$(DEV) python -m tests.soak $(ARGS)

parity: ## Compare the bytes that each caller makes (needs Docker and the images)
	$(DEV) true
	$(KUBEFLOW) pytest tests/kubeflow -k same_bytes --quiet
	$(AIRFLOW) pytest tests/airflow -k same_bytes --quiet
	$(DEV) python -m tests.parity

##@ Kubeflow and Airflow
pipeline: ## Compile the Kubeflow pipeline to pipeline.yaml; ARGS="--registry R --tag T"
	$(KUBEFLOW) python -m dags.kubeflow_pipeline pipeline.yaml $(ARGS)

register: ## Register it with Kubeflow; ARGS="--host http://… --run --parameter epochs=3"
	$(KUBEFLOW) python -m dags.kubeflow_register pipeline.yaml $(ARGS)

airflow: ## Start a whole Airflow here, with the DAGs; ARGS="--unpause --port 8080", ARGS=--help
	$(DEV) true
	$(AIRFLOW) python -m dags.airflow_local $(ARGS)

##@ Images
images: ## Build the images of the steps; ARGS=NAME: another one of images/list (needs Docker)
	@images/build $(ARGS)

sbom: ## Write run/sbom/IMAGE.cdx.json, the packages of each image, and docs/licences.md
	$(DEV) python -m images.sbom $(ARGS)

reproducible: ## Build images twice from nothing, and compare every file; ARGS=NAME
	$(DEV) python -m images.compare $(ARGS)

audit: ## Ask OSV whether a vulnerability is known of any locked package (needs api.osv.dev)
	$(DEV) sh -c '$$UV audit --locked --preview-features audit-command'

##@ Maintenance
format: ## Format the code
	$(DEV) ruff check --fix
	$(DEV) ruff format

docs: ## Write the generated pages, the chart's values and the picture of the workflow
	$(DEV) python -m dags.reference
	$(DEV) python -m components.ingest.known.table
	$(DEV) python -m helm.reference

pictures: ## Take the pictures of docs/, of the last run, of bad runs and of Airflow (needs chromium)
	$(DEV) python -m docs.pictures
	$(AIRFLOW) python -m docs.airflow_picture

bench: ## Compare the speed with Keras, PyTorch and JAX (installs them into .venv)
	@dags/environment benchmarks python -m benchmarks.speed $(ARGS)

clean: ## Remove what was made here: environments, and everything that was run
	rm -rf .venv .venv-kubeflow .venv-airflow .venv-mlflow .uv .uv.* run pipeline.yaml .mypy_cache .pytest_cache .ruff_cache
