"""USPS: digits of postal codes on envelopes, from LIBSVM's collection.

A line is a label from 1 to 10, for the digits 0 to 9, and 256 times index:value, the values from -1 to 1.
"""

from components.ingest.known.declaration import Download, File, Known

# Digests of torchvision.
FILES = Download(
    folder="usps",
    mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass",),
    files=(
        File("usps.bz2", "md5:ec16c51db3855ca6c91edd34d0e9b197"),
        File("usps.t.bz2", "md5:8ea070ee2aca1ac39742fdd1ef5ed118"),
    ),
)

SETS = (
    Known(
        name="usps",
        title="USPS: digits of postal codes",
        class_names=tuple("0123456789"),
        splits={"train": 7_291, "test": 2_007},
        size=(16, 16),
        licence="none stated",
        homepage="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
        citation="Hull: A database for handwritten text recognition research. IEEE TPAMI 16(5), 1994",
        downloads=(FILES,),
        reader="components.ingest.known.reading:usps",
    ),
)
