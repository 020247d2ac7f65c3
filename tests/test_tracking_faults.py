# mypy: allow-untyped-defs, allow-untyped-calls
"""No fault of whoever tracks is one of the step: it is a sentence without a secret, and soon over."""

import contextlib
import http.server
import threading

import pytest

from components.conftest import make
from components.contract import artifact, mlflow, tracking
from tests.tracked import OWN

PASSWORD = "a-secret-of-nobody"  # noqa: S105 - it is looked for in what is printed


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request in the way that the server has for it."""

    server: "Server"

    def _answer(self):
        status, body = self.server.says
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        if status is None:
            self.server.wait.wait()
            return
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/login")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - as http.server calls them

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server that answers every request with the same status and body; with None for a status not until `wait`."""

    def __init__(self, status: int | None, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.says = status, body
        self.asked: list[dict[str, str]] = []
        self.wait = threading.Event()


@contextlib.contextmanager
def answering(status, body=b""):
    with Server(status, body) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.wait.set()
            made.shutdown()


def test_no_fault_of_the_server_is_one_of_the_step(tracked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mlflow, "ANSWER_SECONDS", 0.3)
    deep = b"[" * 100_000
    faults = (
        (401, b"no", r"refuses (HTTP 401): see MLFLOW_TRACKING_USERNAME and …_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
        (500, b"<html>", "answers with HTTP 500, and not as MLflow does"),
        (302, b"", "answers with HTTP 302, and not as MLflow does"),
        (200, b"<html>log in", "does not answer as MLflow does; MLFLOW_TRACKING_URI is to name its address"),
        (200, deep, "does not answer as MLflow does; MLFLOW_TRACKING_URI is to name its address"),
        (200, b"[1]", "does not answer as MLflow does; MLFLOW_TRACKING_URI is to name its address"),
        (200, b'{"experiment": 3}', "does not answer as it should (TypeError)"),
        (400, b'{"error_code": "X", "message": "no\\nroom"}', "refuses: no"),
        (None, b"", "cannot be reached (no answer within 0.3 s)"),
    )
    for number, (status, body, sentence) in enumerate(faults):
        with answering(status, body) as made:
            address = f"127.0.0.1:{made.server_address[1]}"
            tracked(f"http://somebody:{PASSWORD}@{address}")
            make(OWN, {}, {}, tmp_path / str(number))
        said = capsys.readouterr().err
        assert said == (
            f"warning: MLflow at http://{address} {sentence}; the step is done all the same, and its artifacts have "
            "everything\n"
        )
    for uri, sentence in (
        ("http://127.0.0.1:9", "MLflow at http://127.0.0.1:9 cannot be reached (Connection refused)"),
        ("sqlite:///db", "MLflow cannot be reached: MLFLOW_TRACKING_URI is not of the form http(s)://host[:port]"),
        (f"https://x:{PASSWORD}@127.0.0.1:9", "MLflow at https://127.0.0.1:9 cannot be reached (Connection refused)"),
    ):
        tracked(uri)
        make(OWN, {}, {}, tmp_path / "last")
        said = capsys.readouterr().err
        assert said.startswith(f"warning: {sentence}; the step is done")
        assert PASSWORD not in said
    artifact.verify(tmp_path / "last/figures")


def test_a_server_that_is_slow_all_the_time_is_not_waited_for(tracked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tracking, "SECONDS", 0.2)
    with answering(None) as made:
        tracked(f"http://127.0.0.1:{made.server_address[1]}")
        make(OWN, {}, {}, tmp_path)
        assert "MLflow has not taken all that is to be logged within 0.2 s" in capsys.readouterr().err


@pytest.mark.usefixtures("tracked")
def test_who_asks_is_said_as_mlflows_own_client_says_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow, "ACCOUNT", tmp_path)
    (tmp_path / "token").write_text("of-the-pod\n")
    (tmp_path / "namespace").write_text("team\n")
    home = tmp_path / "home"
    (home / ".mlflow").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    basic = "Basic dXNlcjpwYXNz"
    cases: tuple[tuple[dict[str, str] | str, str | None, str | None], ...] = (
        ({"TRACKING_USERNAME": "user", "TRACKING_PASSWORD": "pass", "TRACKING_TOKEN": "t"}, basic, None),
        ({"TRACKING_TOKEN": "t", "WORKSPACE": "mine"}, "Bearer t", "mine"),
        ({"TRACKING_AUTH": "kubernetes"}, "Bearer of-the-pod", None),
        ({"TRACKING_AUTH": "kubernetes-namespaced", "TRACKING_USERNAME": "u"}, "Bearer of-the-pod", "team"),
        ({}, None, None),
        ("[mlflow]\nmlflow_tracking_username = user\nmlflow_tracking_password = pass\n", basic, None),
    )
    for variables, authorization, workspace in cases:
        with answering(500) as made, monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{made.server_address[1]}")
            if isinstance(variables, str):
                (home / ".mlflow/credentials").write_text(variables)
            for name, value in variables.items() if isinstance(variables, dict) else ():
                patch.setenv(f"MLFLOW_{name}", value)
            with pytest.raises(mlflow.Untracked):
                mlflow.Client().call("GET", "runs/get", run_id="x")
        (headers,) = made.asked
        assert (headers.get("authorization"), headers.get("x-mlflow-workspace")) == (authorization, workspace)
    (home / ".mlflow/credentials").unlink()
    for variables, sentence in (
        ({"MLFLOW_TRACKING_AUTH": "aws"}, "only kubernetes and kubernetes-namespaced are known"),
        ({"MLFLOW_TRACKING_TOKEN": f"{PASSWORD}\n"}, "a character that cannot be sent"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/nowhere"}, "MLFLOW_TRACKING_SERVER_CERT_PATH names none"),
    ):
        with pytest.raises(mlflow.Untracked, match=sentence) as caught:
            mlflow.Client({"MLFLOW_TRACKING_URI": "https://127.0.0.1:9"} | variables)
        assert PASSWORD not in str(caught.value)


def test_who_is_not_asked_is_told_nothing_and_bad_curves_fail_no_step(tracked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tracking, "_note", lambda *_: 1 / 0)
    make(OWN, {}, {}, tmp_path / "untracked")
    assert capsys.readouterr().err == ""
    tracked("http://127.0.0.1:9")
    make(OWN, {}, {}, tmp_path / "tracked")
    assert "warning: what MLFLOW_TRACKING_URI asks for cannot be told: division by zero" in capsys.readouterr().err
