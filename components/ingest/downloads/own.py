"""A mirror of one's own: a copy of the cache that can be reached where the internet cannot.

TAPELINE_MIRROR is its http(s):// address, a folder (a USB disk, a shared volume), or an s3:// prefix. It has the files
as `folder/name`, as `python -m components.ingest.known mirror` lays them.
"""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

from components.contract.errors import BadInput, StoreRefused
from components.contract.store.client import Store
from components.ingest.downloads import transport
from components.ingest.downloads.transport import NotThere

VARIABLE = "TAPELINE_MIRROR"

Get = Callable[[str, Path], None]  # of a file's name on the mirror, and where to write it


def mirror(where: str, folder: str) -> tuple[str, Get]:
    """Return what to call the folder of that name on the mirror, and the function that gets a file from it."""
    address = f"{where.rstrip('/')}/{folder}"
    if where.startswith(("http://", "https://")):
        return transport.without_user(address)[0], functools.partial(_over_http, address)
    if where.startswith("s3://"):
        return address, functools.partial(_from_store, address)
    if "://" in where:
        raise BadInput(
            f"{VARIABLE}: {transport.without_user(where)[0]} is neither an http(s):// address nor a folder nor an "
            "s3:// prefix"
        )
    return address, functools.partial(_from_folder, Path(address).expanduser())


def _over_http(address: str, name: str, path: Path) -> None:
    transport.get(f"{address}/{name}", path)


def _from_store(address: str, name: str, path: Path) -> None:
    try:
        Store.from_environment().read(f"{address}/{name}", path)
    except StoreRefused as error:
        if error.code == "NoSuchKey":
            raise NotThere(f"there is no {name}") from None
        raise


def _from_folder(folder: Path, name: str, path: Path) -> None:
    if not (folder / name).is_file():
        raise NotThere(f"there is no {folder / name}")
    shutil.copyfile(folder / name, path)
