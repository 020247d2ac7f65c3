"""What stands where data was expected: recognised by how a file begins."""


def disguise(head: bytes) -> str:
    """Return what a file is that begins so and holds no data, as the rest of a sentence; nothing if it is unknown."""
    start = head[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself; fetch that with: git lfs pull"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<error")):
        return "is a web page or a message of a server, not data; download it again and look at what comes"
    if head.startswith(b"\x1f\x8b"):
        return "is gzipped, perhaps twice; unpack it with: gunzip"
    if head.startswith(b"PK\x03\x04"):
        return "is a zip archive; unpack it"
    return ""


def brief(error: BaseException) -> str:
    """Return what a library says of an error, in a line: some quote what they could not read."""
    line = (str(error).splitlines() or [""])[0] or type(error).__name__
    return line if len(line) <= 160 else f"{line[:160]}…"
