"""Where the IDX files come from: the known data sets, or a place of one's own."""

from pathlib import Path

from components.contract import location
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.ingest import known
from components.ingest.known.mnist import FILES


def obtain(source: str, cache: Path, scratch: Path) -> dict[str, Path]:
    """Return the path of each of the four IDX files of `source`, a known name, a folder, or an s3:// prefix."""
    if found := known.find(source):
        return found.obtain(cache)
    if location.is_remote(source):
        store = Store.from_environment()
        names = _choose(store.names(source), source)
        for name in names.values():
            store.read(f"{source.rstrip('/')}/{name}", scratch / name)
        return {file: scratch / name for file, name in names.items()}
    folder = Path(source)
    if not folder.is_dir():
        raise BadInput(
            f"source: {source!r} is neither one of {', '.join(known.NAMES)} nor a folder nor an s3:// prefix"
        )
    names = _choose(
        [path.name for path in folder.iterdir() if path.is_file()], source
    )  # some archives hold folders, too
    return {file: folder / name for file, name in names.items()}


def _choose(names: list[str], where: str) -> dict[str, str]:
    """Return, for each of the four files, the name under which it is among `names`."""
    chosen = {}
    for file in FILES:
        dotted = file.replace("-idx", ".idx")  # as some archives spell it
        found = [name for name in (file, file + ".gz", dotted, dotted + ".gz") if name in names]
        if not found:
            raise BadInput(f"{where} has no {file} (nor {file}.gz); a data set is the four files {', '.join(FILES)}")
        chosen[file] = found[0]
    return chosen
