"""What to do with a source that no form recognises."""

from collections import Counter

from components.ingest.forms._heads import disguise
from components.ingest.forms._names import ending, is_clutter, listed, split_of
from components.ingest.forms._pictures import ENDINGS
from components.ingest.place import Place

_CONVERT = {
    ("mat",): 'convert it: numpy.savez("data.npz", **scipy.io.loadmat("{name}")), or with h5py from version 7.3 on',
    ("h5", "hdf5"): 'convert it: f = h5py.File("{name}"); numpy.savez("data.npz", **{{k: f[k][()] for k in f}})',
    ("pkl", "pickle", "pt", "pth"): "load it where it was made, and write numpy.savez with images and labels: a pickle "
                                    "can run any code, so it is never loaded here",
    ("zip", "7z", "rar", "bz2", "xz", "zst"): "unpack it, and give the folder",
    ("arrow", "feather"): "write it as Parquet: dataset.to_parquet(…), or pyarrow.parquet.write_table(…)",
    ("json", "jsonl"): "call it metadata.jsonl, with file_name and label, beside the images",
    ("xlsx", "xls", "ods"): "save the table as CSV",
    ("txt", "dat", "data"): "write a CSV: a row for each image, with label and pixels, or with file_name and label",
}  # fmt: skip


def nearest(place: Place) -> str:
    """Return which form a source is nearest to, and what it lacks, as the end of a sentence."""
    names = [name for name in place.names if not is_clutter(name)]
    if not names:
        return f"all of its {len(place.names):,} files are hidden"
    if pictures := ending(names, ENDINGS):
        return _folders(pictures)
    if arrays := ending(names, r"\.npy"):
        return f"nearest is npz, but {arrays[0]} is alone; put labels.npy beside it"
    if strange := _beginning(place, names):
        return strange
    kinds = Counter(name.rpartition(".")[2].lower() for name in names)
    for endings, how in _CONVERT.items():
        if found := next((name for name in names if name.rpartition(".")[2].lower() in endings), ""):
            return f"it has {kinds[found.rpartition('.')[2].lower()]:,} such as {found}: " + how.format(name=found)
    return f"it has {len(names):,} files: {listed(names)}; see docs/data.md for what each form looks like"


def _folders(pictures: list[str]) -> str:
    classes = Counter(name.rpartition("/")[0] for name in pictures)
    inner = {folder for folder in classes if folder and not split_of(folder.rpartition("/")[2])}
    what = f"nearest are image folders: it has {len(pictures):,} pictures, as {pictures[0]}, but "
    if len(inner) == 1:
        return f"{what}only one folder of a class, {inner.pop()}; put those of each class into a folder of its own"
    example = pictures[0].rpartition("/")[2]
    return f"{what}no folders of classes; put them there, as 7/{example}, or name them in metadata.csv"


def _beginning(place: Place, names: list[str]) -> str:
    """Return what the first file is, if its content says it: without an ending, or with a wrong one."""
    with place.file(names[0]) as path, path.open("rb") as file:
        head = file.read(256)
    if head[:2] == b"\0\0" and len(head) > 4 and head[2] in range(8, 15):
        return (
            f"{names[0]} is an IDX file, but not called so; call it train-images-idx3-ubyte, train-labels-idx1-ubyte, …"
        )
    if head[:4] == b"PAR1":
        return f"{names[0]} is a Parquet file, but not called so; call it {names[0]}.parquet"
    if head[:8] == b"\x89HDF\r\n\x1a\n" or head[:2] == b"PK":
        return "" if "." in names[0] else f"{names[0]} {disguise(head) or 'is an HDF5 file'}"
    return f"{names[0]} {what}" if (what := disguise(head)) else ""
