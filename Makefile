# `make` alone says what there is. Everything runs in .venv, which uv makes from uv.lock.

UV := $(shell command -v uv || echo .uv/bin/uv)
# kfp pins what the steps need newer, so it has an environment of its own.
KFP = UV_PROJECT_ENVIRONMENT=.venv-kubeflow $(UV) run --locked --quiet --no-default-groups --group kubeflow
# Airflow wants what kfp forbids, so it has one too.
AIRFLOW = UV_PROJECT_ENVIRONMENT=.venv-airflow $(UV) run --locked --quiet --no-default-groups --group airflow
ARGS ?=
CLUSTER ?=

.PHONY: help run airflow pipeline register test test-kubeflow test-airflow test-cluster parity images sbom check format docs pictures bench clean
.DEFAULT_GOAL := help

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(UV) ## Run the whole workflow on this machine; ARGS="--epochs 1 --model convnet", ARGS=--help
	@$(UV) run --locked --quiet python -m dags.local $(ARGS)

airflow: $(UV) ## Start a whole Airflow on this machine with the DAGs; ARGS="--unpause --port 8080", ARGS=--help
	@$(UV) sync --locked --quiet
	@$(AIRFLOW) python -m dags.airflow_local $(ARGS)

pipeline: $(UV) ## Compile the Kubeflow pipeline to pipeline.yaml; ARGS="--registry R --tag T"
	@$(KFP) python -m dags.kubeflow_pipeline pipeline.yaml $(ARGS)

register: $(UV) ## Register it with a running Kubeflow; ARGS="--host http://… --run --parameter epochs=3"
	@$(KFP) python -m dags.kubeflow_register pipeline.yaml $(ARGS)

test: $(UV) ## Run all tests
	@$(UV) run --locked --quiet pytest components tests $(ARGS)

test-kubeflow: $(UV) ## Test the pipeline, and the images if they are built (after `make test`: it compares with the local run)
	@$(KFP) pytest tests/kubeflow $(ARGS)

test-airflow: $(UV) ## Test the DAGs in a real Airflow, and on the images if they are built (after `make test`)
	@$(AIRFLOW) pytest tests/airflow $(ARGS)

test-cluster: $(UV) ## Test the chart and the workflow on a cluster of its own, by kind, k3d or minikube; CLUSTER=kind
	@CLUSTER=$(CLUSTER) tests/kubernetes/with-cluster $(UV) run --locked --quiet pytest tests/kubernetes $(ARGS)

parity: $(UV) ## Compare the bytes that `make run`, Kubeflow and Airflow make (needs Docker and the images)
	@$(UV) sync --locked --quiet
	@$(KFP) pytest tests/kubeflow -k same_bytes --quiet
	@$(AIRFLOW) pytest tests/airflow -k same_bytes --quiet
	@$(UV) run --locked --quiet python -m tests.parity

images: ## Build the images of the steps, or ARGS="NAME …" of those that images/list has (needs Docker with BuildKit)
	@images/build $(ARGS)

sbom: $(UV) ## Write run/sbom/IMAGE.cdx.json, the Python packages of each image
	@mkdir -p run/sbom
	@images/list | while read -r _ name _ group; do \
	  [ $$group = - ] || $(UV) export --locked --quiet --no-default-groups --group $$group --format cyclonedx1.5 \
	    --output-file run/sbom/$$name.cdx.json 2>/dev/null >&2 || exit 1; \
	done && ls run/sbom

check: $(UV) ## Lint, check formatting and types, and see that the generated pages are up to date
	@$(UV) run --locked --quiet ruff check
	@$(UV) run --locked --quiet ruff format --check
	@$(UV) run --locked --quiet mypy
	@$(UV) run --locked --quiet hadolint images/Containerfile images/minio.Containerfile
	@$(UV) run --locked --quiet python -m dags.reference --check
	@$(UV) run --locked --quiet python -m helm.reference --check

format: $(UV) ## Format the code
	@$(UV) run --locked --quiet ruff check --fix
	@$(UV) run --locked --quiet ruff format

docs: $(UV) ## Write what is generated: the components' README, the picture of the workflow, the chart's values and README
	@$(UV) run --locked --quiet python -m dags.reference
	@$(UV) run --locked --quiet python -m helm.reference

pictures: $(UV) ## Take the pictures of docs/, of the last run, of bad runs and of Airflow (needs chromium)
	@$(UV) run --locked --quiet python -m docs.pictures
	@$(AIRFLOW) python -m docs.airflow_picture

bench: $(UV) ## Compare the speed with Keras, PyTorch and JAX (installs them into .venv)
	@$(UV) run --locked --quiet --group benchmarks python -m benchmarks.speed $(ARGS)

clean: ## Remove what was made here: environments, and everything that was run
	rm -rf .venv .venv-kubeflow .venv-airflow .uv run pipeline.yaml .mypy_cache .pytest_cache .ruff_cache

.uv/bin/uv:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, this is $$(python3 --version)"; exit 1; }
	@python3 -m venv .uv 2>/dev/null || \
	  { rm -rf .uv; echo "python3 cannot make environments here; as root: apt-get install python3-venv"; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
