"""Bytes that are nearly right: real examples that hypothesis varies by the byte or, of JSON, by the part."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

NUMBERS = (0, 1, -1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
# What takes the place of a part of a document.
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 10**30, -(10**30), 0.5, 1e308, float("inf"), float("nan"), "", "x", "x" * 5000, "\0",
    "a\nb", "\x1b[2J", "\ud800", "\u202e", "../x", "/etc/passwd", "a/../b", "é", "²", "9" * 5000, "s3://", "file:///x",
    [], {}, [[]], [None], [1, 2], [-1, 10**20], ["a"], {"": ""}, {"a\nb": 1}, {"x": [{}]}, [[[[[[[[1]]]]]]]],
)  # fmt: skip
HOW = ("flip", "number", "word", "cut", "double", "drop", "splice")
# What is put between the bytes of a file of text, and of any.
WORDS = (
    b"",
    b"\0",
    b"\n",
    b'"',
    b",",
    b"\xff",
    b"NaN",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"[" * 2000,
    b"\xef\xbb\xbf",
    b"a" * 4096,
)


@st.composite
def bytes_near(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """Draw an example with some of its bytes changed, moved, doubled, or missing."""
    content = bytearray(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(0, 4))):
        at, what = (
            draw(st.integers(0, len(content))),
            draw(st.sampled_from(HOW)),
        )
        if what == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "number":
            size = draw(st.sampled_from((1, 2, 4, 8)))
            number = draw(st.sampled_from(NUMBERS)) % 256**size
            content[at : at + size] = number.to_bytes(size, draw(st.sampled_from(("little", "big"))))
        elif what == "word":
            content[at:at] = draw(st.sampled_from(WORDS))
        elif what == "cut":
            del content[at:]
        elif what == "double":
            content[at:at] = content[at : at + draw(st.integers(1, 64))]
        elif what == "drop":
            del content[at : at + draw(st.integers(1, 64))]
        elif what == "splice":
            content[at:] = draw(st.sampled_from(examples))[at:]
    return bytes(content)


@st.composite
def documents_near(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """Draw an example of JSON with one or two of its parts replaced, gone, or added."""
    example = draw(st.sampled_from(examples))
    value = json.loads(example.splitlines()[0] if example.count(b"\n{") else example)
    for _ in range(draw(st.integers(1, 2))):
        value = _varied(draw, value)
    return json.dumps(value).encode()


def _varied(draw: st.DrawFn, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(STRANGE))
    value = dict(value) if isinstance(value, dict) else list(value)
    key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    how = draw(st.sampled_from(("inside", "inside", "inside", "gone", "added")))
    if how == "gone":
        del value[key]
    elif how == "inside":
        value[key] = _varied(draw, value[key])
    elif isinstance(value, dict):
        value[draw(st.sampled_from(("", "x", "../x", "/x", "a\nb", "manifest.json", "x" * 300, "\ud800")))] = draw(
            st.sampled_from(STRANGE)
        )
    else:
        value.append(draw(st.sampled_from(STRANGE)))
    return value
