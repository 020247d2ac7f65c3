"""Small files that announce, or unpack to, far more than there is: a table of what makes each, and who reads it.

    python -m tests.fuzz.bombs NAME…

reads each in this process, whose address space may grow by LIMIT at most, and prints a line of JSON: how much memory it
took, and what was said.
"""

import gzip
import io
import json
import resource
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS

LIMIT = 2**30  # bytes
HUGE = 2**31 - 1


def _npy(shape: tuple[int, ...], descr: str = "|u1", *, fortran: bool = False, content: bytes = b"\0" * 16) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return file.getvalue() + content


def _zeros(size: int) -> Iterator[bytes]:
    for _ in range(size // 2**20):
        yield bytes(2**20)


def _gzipped(*parts: bytes, zeros: int) -> bytes:
    """Return a gzip file of the parts and of so many zeros, in MiB, which are packed once."""
    packer = zlib.compressobj(9, wbits=31)
    first = b"".join(map(packer.compress, parts)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-15)
    mebibyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + mebibyte * (zeros // 2**20) + packer.flush() + bytes(8)


def _zip(name: str, *parts: bytes, zeros: int, method: int = zipfile.ZIP_DEFLATED, **others: bytes) -> bytes:
    """Return a zip archive with a file of the parts and of so many zeros, and others."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method, compresslevel=1) as archive:
        with archive.open(name, "w", force_zip64=True) as file:
            for part in (*parts, *_zeros(zeros)):
                file.write(part)
        for other, content in others.items():
            archive.writestr(f"{other}.npy", content)
    return made.getvalue()


def _png(width: int, height: int, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG")
    return file.getvalue()


def _png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header announces such an image, and which ends there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def _member(size: int, kind: bytes = tarfile.REGTYPE, name: str = "0.png", pax: dict[str, str] | None = None) -> bytes:
    """Return a tar archive with the header of a file of that size, and nothing in it."""
    member = tarfile.TarInfo(name)
    member.size, member.type, member.pax_headers = size, kind, pax or {}
    return member.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) + bytes(1024)


def _sparse(size: int) -> bytes:
    """Return a tar archive with a file that is one hole."""
    said = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(size),
        "GNU.sparse.map": f"{size},0",
    }
    return _member(0, pax=said)


def _tar_of_zeros(size: int) -> bytes:
    member = tarfile.TarInfo("0.png")
    member.size = size
    return _gzipped(member.tobuf(tarfile.GNU_FORMAT), zeros=size)


def _parquet(table: pa.Table, **options: object) -> bytes:
    return seeds.written(lambda path: pq.write_table(table, path, compression="zstd", **options))


def _dictionary(size: int, rows: int, *, typed: bool) -> bytes:
    """Return a table whose rows all are one long value of a dictionary."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([bytes(size)], pa.binary()))
    return _parquet(pa.table({"image": column, "label": np.zeros(rows, np.int64)}), store_schema=typed)


def _lists(size: int, rows: int) -> bytes:
    """Return a table with a list of so many zeros in each row."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(size * rows, np.uint8)), size)
    return _parquet(pa.table({"image": lists.cast(pa.list_(pa.uint8())), "label": np.arange(rows)}))


def _deep(text: str = "[", levels: int = 100_000) -> bytes:
    return text.encode() * levels


def _record_of(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + seeds.masked(length)


def _safetensors(shape: list[int]) -> bytes:
    header = json.dumps({"values": {"dtype": "F32", "shape": shape, "data_offsets": [0, 24]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(24)


def _labels_of_texts() -> bytes:
    return seeds.zipped({"images.npy": seeds.npy()[0], "labels.npy": _npy((4,), "<U1073741823")})


def _npz(shape: tuple[int, ...], zeros: int, labels: bytes = b"", **how: Any) -> bytes:
    """Return an npz file of images that are so many zeros, whatever their header says."""
    fortran = how.pop("fortran", False)
    return _zip("images.npy", _npy(shape, fortran=fortran, content=b""), zeros=zeros, labels=labels or _LABELS, **how)


_IDX, _LARGE_IDX = (struct.pack(">I3I", 0x803, 4, *size) for size in ((3, 3), (2**12, 2**13)))
_LABELS, _HALVES = seeds.npy()[2], _npy((512,), content=bytes(256) + b"\1" * 256)
_MANY = _npy((2**18,))

# Of each the parser of targets.py that reads it, and what makes it.
BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "16 bytes of 2^31 × 2^31 images": ("idx-images", lambda: struct.pack(">I3I", 0x803, HUGE, HUGE, HUGE)),
    "4 images of 2^31 × 2^31, gzipped": ("gzip", lambda: gzip.compress(struct.pack(">I3I", 0x803, 4, HUGE, HUGE))),
    "a gzip file with more than its header says": ("gzip", lambda: _gzipped(_IDX, zeros=2**31)),
    "a gzip file with what its header says": ("gzip", lambda: _gzipped(_LARGE_IDX, zeros=2**27)),
    "labels of 2^32": ("idx-labels", lambda: struct.pack(">2I", 0x801, 2**32 - 1)),
    "an npy header of 2^62 images": ("npy", lambda: _npy((2**31, 2**31, 1))),
    "an npy header of one image of 2^40 pixels": ("npy", lambda: _npy((4, 2**20, 2**20))),
    "an npy header in Fortran's order": ("npy", lambda: _npy((4, 2**18, 2**18), fortran=True)),
    "an npy header of 4 labels of 2^30 characters": ("npz", _labels_of_texts),
    "an npy header of 10,000 brackets": ("npy", lambda: b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + _deep("(", 9000)),
    "an npz file of zeros": ("npz", lambda: _npz((512, 1024, 1024), 2**29, _HALVES)),
    "an npz file of zeros in Fortran's order": ("npz", lambda: _npz((2**18, 128, 128), 2**24, _MANY, fortran=True)),
    "an npz file packed by bzip2": ("npz", lambda: _npz((4, 2**12, 2**12), 2**26, method=zipfile.ZIP_BZIP2)),
    "an npz file packed by LZMA": ("npz", lambda: _npz((4, 2**12, 2**12), 2**26, method=zipfile.ZIP_LZMA)),
    "a line of 32 MB": ("csv", lambda: b"label,pixel0,pixel1\n0,1," + b"1" * 2**25),
    "a header of a million columns": ("csv", lambda: b"label" + b",p" * 500_000 + b"\n"),
    "a header of 100,000 columns": ("csv", lambda: ",".join(["label", *map(str, range(100_000))]).encode() + b"\n"),
    "a cell of a megabyte in the first line": ("csv", lambda: b"label," + b"x" * 200_000 + b"\n0,1\n"),
    "a PNG header of 2^31 × 2^31 pixels": ("picture", lambda: _png_of(HUGE, HUGE)),
    "a PNG of 49 million pixels": ("picture", lambda: _png(7000, 7000)),
    "a PNG of 49 million pixels, transparent": ("picture", lambda: _png(7000, 7000, "RGBA")),
    "a PNG of 100 million pixels": ("picture", lambda: _png(10_000, 10_000)),
    "a record of 2^60 bytes": ("tfrecord", lambda: _record_of(2**60)),
    "a record of a gigabyte": ("tfrecord", lambda: _record_of(2**30)),
    "a record of 250 MB": ("tfrecord", lambda: _record_of(250_000_000)),
    "a packed record of zeros": ("tfrecord", lambda: _gzipped(_record_of(2**28), zeros=2**28)),
    "a file of 2^40 bytes in a tar": ("tar", lambda: _member(2**40)),
    "a name of 2^40 bytes in a tar": ("tar", lambda: _member(2**40, tarfile.GNUTYPE_LONGNAME)),
    "a pax header of 2^40 bytes in a tar": ("tar", lambda: _member(2**40, tarfile.XHDTYPE)),
    "a size that leads back in a tar": ("tar", lambda: _member(-1024, tarfile.CONTTYPE)),
    "a folder whose size leads back": ("tar", lambda: _member(-1024, tarfile.AREGTYPE) * 2),
    "a hole of 2^40 bytes in a tar": ("tar", lambda: _sparse(2**40)),
    "a gigabyte of zeros in a tar": ("tar", lambda: _tar_of_zeros(2**29)),
    "a dictionary's long value in each row": ("parquet", lambda: _dictionary(2**24, 4_000, typed=True)),
    "a long value in each row, there once": ("parquet", lambda: _dictionary(2**24, 4_000, typed=False)),
    "lists of zeros": ("parquet", lambda: _lists(2**16, 2**13)),
    "a list of 2^28 zeros": ("parquet", lambda: _lists(2**28, 2)),
    "a manifest of 100,000 lists in each other": ("manifest", _deep),
    "a manifest of 100,000 objects in each other": ("manifest", lambda: _deep('{"a":')),
    "an executor input of 100,000 lists in each other": ("executor-input", _deep),
    "a number of a million digits": ("schema", lambda: b'{"channels": ' + b"9" * 10**6 + b"}"),
    "a record.json of 100,000 lists in each other": ("record", _deep),
    "lists in each other in a line of metadata": ("metadata-jsonl", _deep),
    "a safetensors header of 2^62 bytes": ("record-steps", lambda: struct.pack("<Q", 2**62) + b"{}"),
    "a safetensors file of 2^60 rows": ("record-steps", lambda: _safetensors([2**60, 6])),
    "images of 2^62 in a data set": ("dataset-images", lambda: _npy((2**31, 2**31, 1))),
    "labels of 2^62 in a data set": ("dataset-labels", lambda: _npy((2**62,))),
    "a summary of 100,000 lists in each other": ("run-summary", _deep),
}  # fmt: skip


def _memory(name: str) -> int:
    """Return bytes of this process's memory, as Linux says it: VmRSS, VmHWM, VmSize."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def explode(name: str) -> dict[str, object]:
    """Read a bomb; return how much memory that took at most, and what was said, or which error it was."""
    target, make = BOMBS[name]
    content = make()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _memory("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + LIMIT, resource.RLIM_INFINITY))
    said, failed = "", False
    try:
        said = TARGETS[target](content)
    except BaseException as error:  # noqa: BLE001 - it is looked at by the test
        said, failed = f"{type(error).__name__}: {error}"[:500], True
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return {"name": name, "bytes": len(content), "peak": _memory("VmHWM") - before, "failed": failed, "said": said}


if __name__ == "__main__":
    out, sys.stdout = sys.stdout, sys.stderr
    for each in sys.argv[1:] or BOMBS:
        print(json.dumps(explode(each)), file=out, flush=True)
