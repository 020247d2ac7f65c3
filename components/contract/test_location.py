# mypy: allow-untyped-defs, allow-untyped-calls
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.contract import artifact, location


def publish(path, text):
    with location.staging(str(path)) as staged:
        (staged / "a.txt").write_text(text)
        artifact.seal(staged, component="test", output="test", parameters={}, inputs={})
        location.publish(staged, str(path))


def test_what_is_replaced_is_never_missing_and_never_mixed(tmp_path):
    path, done = tmp_path / "target", threading.Event()
    publish(path, "0")

    def read():
        while not done.is_set():
            (path / "a.txt").read_text()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for number in range(60):
            publish(path, str(number))
        done.set()
        reading.result()
    assert [each.name for each in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("exchange", [True, False])
def test_of_many_at_the_same_folder_the_last_one_stays_whole(tmp_path, monkeypatch, exchange):
    if not exchange:  # as on a file system that knows no exchange
        monkeypatch.setattr(location, "_EXCHANGE", 0xFF)
    path = tmp_path / "target"
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(publish, path, str(number)) for number in range(24)]:
            future.result()
    artifact.verify(path)
    assert (path / "a.txt").read_text() in {str(number) for number in range(24)}
    assert [each.name for each in tmp_path.iterdir()] == ["target"]
