# mypy: allow-untyped-defs, allow-untyped-calls
import os
import socket

import pytest

from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.contract.store.embedded import seaweedfs, serve


@pytest.mark.parametrize("which", [0, 2])  # S3's own, and one that only the server's parts use
def test_a_port_that_was_taken_in_the_meantime_is_no_failure(tmp_path, which):
    starts = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def server(folder, ports):
            starts.append(ports)
            if len(starts) == 1:
                ports[which] = other.getsockname()[1]
            return seaweedfs(folder, ports)

        with serve(tmp_path, "bucket", server=server) as settings:
            assert Store.from_environment(settings).names("s3://bucket/") == []
    assert len(starts) == 2


def test_who_holds_a_folder_is_named(tmp_path):
    with serve(tmp_path, "bucket"), pytest.raises(BadInput, match=f"another run, process {os.getpid()}, is at work"):  # noqa: SIM117
        with serve(tmp_path, "bucket"):
            pass
    with serve(tmp_path, "bucket"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
