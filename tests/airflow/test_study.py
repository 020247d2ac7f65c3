# mypy: allow-untyped-defs, allow-untyped-calls
"""The study as a DAG: two workers in one run of `airflow dags test` find what `make study` finds."""

import json
import os
import shutil
import subprocess
import sys

from components.conftest import DIGITS
from components.contract.declaration import argument
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.airflow_local import ROOT, environment

OTHERS = {"source": str(DIGITS), "validation_size": 64, "model": "convnet", "batch_size": 32, "epochs": 2}
STUDY = {"trials": 3, "at_once": 3, "eta": 3}
VARY = "learning_rate=1e-4..1e-1:log optimizer=adam,sgd"


def test_two_workers_find_what_one_finds_alone(tmp_path, migrated):
    shutil.copy(migrated / "airflow.db", tmp_path)
    conf = STUDY | {"vary": VARY, "workers": 2, "others": OTHERS}
    with serve(tmp_path / "store", "tapeline") as settings:
        base = os.environ | environment(tmp_path, 8080) | settings
        base |= {"TAPELINE_AIRFLOW_PYTHON": "tests/airflow/python"}
        command = [sys.executable, "-m", "airflow", "dags", "test", "tapeline_study", f"--conf={json.dumps(conf)}"]
        done = subprocess.run(command, env=base, check=False, capture_output=True, text=True)
        store = Store.from_environment(settings)
        (found,) = {name.split("/")[0] for name in store.names("s3://tapeline/airflow/study/studies")}
        store.read(f"s3://tapeline/airflow/study/studies/{found}/report/study.json", tmp_path / "theirs.json")
    assert "── Study " in done.stdout + done.stderr
    alone = [str(ROOT / "tests/airflow/python"), "-m", "dags.study", "--only-choose", f"--folder={tmp_path / 'alone'}"]
    alone += [argument("vary", each) for each in VARY.split()]
    alone += [argument(*each) for each in (STUDY | OTHERS).items()]
    subprocess.run(alone, check=True, capture_output=True, cwd=ROOT)
    (path,) = (tmp_path / "alone").glob("studies/*/study.json")
    ours, theirs = json.loads(path.read_text()), json.loads((tmp_path / "theirs.json").read_text())
    assert ours == theirs
