"""Member sections of .nz files and the bases that they name, written from ../family.md."""

from nzip import Reader, demand


def check_name(name):
    demand(not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\\:" for c in name), "name with odd characters")
    demand(all(part not in ("", ".", "..") for part in name.split("/")), "name that is no relative path")


class Member:
    """The body of a member section."""

    def __init__(self, body):
        r = Reader(body)
        length = r.varint()
        demand(1 <= length <= 4096, "length of a name out of range")
        try:
            self.name = r.take(length).decode()
        except UnicodeDecodeError:
            demand(False, "name that is no UTF-8")
        check_name(self.name)
        self.depth, count = r.varint(), r.varint()
        demand(self.depth <= 64 and (self.depth == 0) == (count == 0), "depth")
        self.bases, last = {}, b""
        for _ in range(count):
            name, back, size = r.take(32), r.varint(), r.varint()
            demand(name > last and 1 <= size <= back, "base out of order or range")
            self.bases[name], last = (back, size), name
        demand(r.at == len(body), "bytes follow the bases")


def find(stream, planes, length):
    """The base of a block of `length` raw bytes in an earlier stream; None where there is none."""
    if planes.base_hash not in stream.member.bases:
        return None
    back, size = stream.member.bases[planes.base_hash]
    start = sum(len(s.raw) for s in stream.before) - back
    if start < 0:
        return None
    # Only the bytes that the block needs must be those of a base.
    scale = {1: (1, 2), 2: (2, 1)}.get(planes.rounding, (1, 1))
    first, end = (n * scale[0] // scale[1] for n in (planes.offset, planes.offset + length))
    demand(end <= size, "base too short")
    at = 0
    for s in stream.before:
        block_start = 0
        for block_end, fits in zip(s.block_ends, s.fits_of):
            if max(at + block_start, start + first) < min(at + block_end, start + end):
                demand(s.member and s.member.depth < stream.member.depth, "base in a stream that is not nearer")
                demand(fits, "base in a block that may not be one")
            block_start = block_end
        at += len(s.raw)
    return b"".join(s.raw for s in stream.before)[start:start + size]
