"""A slow, clear decoder of .nz files, written from ../nzip.md.

Usage: nzip.py FILE.nz [MODEL...] > FILE
"""

import pathlib
import sys

import zstandard

import circuit
import llm
import lm
import light
import mix
import search
import sort
from checksums import blake3, check

MAGIC = bytes.fromhex("934e5a0d0a1a0a")
ZSTD_MAGIC = bytes.fromhex("28b52ffd")
WINDOW_TABLES = {1: "equal-info", 2: "sized"}


class Bad(Exception):
    """The file breaks a rule of the specification."""


def demand(condition, message):
    if not condition:
        raise Bad(message)


class Reader:
    """Reads fields from bytes. `begin` marks the first byte that the next check value covers."""

    def __init__(self, data, at=0):
        self.data, self.at, self.start = data, at, at

    def begin(self):
        self.start = self.at

    def take(self, n):
        demand(self.at + n <= len(self.data), "truncated")
        self.at += n
        return self.data[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                demand(shift == 0 or byte > 0, "varint not in its shortest form")
                demand(value < 1 << 64, "varint above 64 bits")
                return value
            shift += 7
            demand(shift < 70, "varint too long")

    def check(self):
        seen = self.data[self.start:self.at]
        demand(self.u32() == check(seen), f"check value differs at {self.at - 4}")


def unzstd(payload, raw_length):
    frame = ZSTD_MAGIC + payload
    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    raw = decoder.decompress(frame)
    demand(decoder.eof and not decoder.unused_data, "zstd frame does not end with the payload")
    demand(len(raw) == raw_length, "zstd frame of the wrong length")
    return raw


def read_units(r, kind, raw_length, payload_length):
    """Reads a unit table: a list of (raw length, (start, end) in the payload or None, check)."""
    if kind == 0:
        s = r.u8()
        demand(12 <= s <= 30, "unit size out of range")
        count = -(-raw_length >> s)
        return [(min(1 << s, raw_length - (k << s)), None, r.u32()) for k in range(count)]
    if kind == 3:
        t, units, at = r.varint(), [], 0
        demand(1 <= t <= 1 << 20, "tile size out of range")
        for start in range(0, raw_length, t):
            size = r.varint()
            units.append((min(t, raw_length - start), (at, at + size), r.u32()))
            at += size
        demand(at == payload_length, "tiles do not fill the payload")
        return units
    demand(kind in WINDOW_TABLES, "newer: unit table")
    w = r.varint() * 4
    demand(4 <= w <= 1 << 20, "window size out of range")
    n = r.varint()
    demand(1 <= n <= raw_length, "number of windows out of range")
    units, at = [], 0
    for k in range(n):
        raw = r.varint()
        size = r.varint() if kind == 2 else min(w, payload_length - at)
        demand(0 <= size <= w and raw <= 2048 * (size + 32), f"window {k} out of range")
        units.append((raw, (at, at + size), r.u32()))
        at += size
    demand(at == payload_length, "windows do not fill the payload")
    demand(sum(u[0] for u in units) == raw_length, "windows do not add up to the block")
    return units


class Stream:
    """One stream of a file; creating it decodes the stream. `built_in` maps hashes to the given models and bases."""

    def __init__(self, data, at, built_in, nested, before=()):
        self.r, self.built_in, self.nested = Reader(data, at), built_in, nested
        self.before, self.member = before, None
        self.models, self.raw, self.sections = [], b"", []
        self.blocks, self.kept, self.start = 0, {}, at
        # For each block, whether it may hold bytes of bases, and where it ends.
        self.fits_of, self.block_ends = [], []
        self.decode()

    def decode(self):
        r, start = self.r, self.r.at
        r.begin()
        demand(r.take(7) == MAGIC, "not a .nz file")
        version = r.u8()
        demand(version == 1, "newer: version" if version else "version 0")
        demand(r.varint() == 0, "newer: feature")
        r.varint()
        r.check()
        index_length = 0
        while True:
            begin, length_before = r.at, len(self.raw)
            r.begin()
            kind = r.u8()
            if kind == 1:
                self.block()
            elif kind == 4:
                demand(r.varint() == begin - start, "trailer names the wrong body length")
                demand(r.varint() == index_length, "trailer names the wrong index length")
                r.check()
                demand(r.u8() == r.at - begin, "trailer names the wrong length")
                return
            else:
                demand(index_length == 0, "index is not the last section")
                body = r.take(r.varint())
                r.check()
                if kind == 2:
                    demand(not self.nested, "embedded weights that have a model of their own")
                    self.models.append(self.model(body))
                elif kind == 3:
                    self.index(body)
                    index_length = r.at - begin
                elif kind == 0x81 and not self.sections:
                    self.member = family.Member(body)
                else:
                    demand(kind >= 0x80, "newer: section")
            self.sections.append((r.at - begin, len(self.raw) - length_before))

    def block(self):
        _, _, raw, units, kept = self.read_block(self.r)
        if kept:
            self.kept[self.blocks] = units, raw
        self.fits_of.append(self.fits)
        self.block_ends.append(len(self.raw) + len(raw))
        self.raw += raw
        self.blocks += 1

    def content(self, r):
        """A block inside a block, which names no model: its codec, parameters and raw bytes."""
        r.begin()
        demand(r.u8() == 1, "not a block")
        demand(r.data[r.at] in (0, 1, 3, 6, 7, 8, 9, 11), "newer: codec of a content")
        demand(not r.data[r.at + 1] & 8, "newer: a model of a content")
        return self.read_block(r, inside=True)[:3]

    def read_block(self, r, inside=False):
        """Decodes the block whose kind has been read: codec, parameters, raw bytes, units, whether there may be copies."""
        codec, flags = r.u8(), r.u8()
        demand(codec <= 11 and flags < 64, "newer: codec or flag")
        chained = bool(flags & 32)
        demand(not chained or codec == 5, "newer: chained block")
        raw_length, payload_length = r.varint(), r.varint()
        demand(1 <= raw_length <= 1 << 30, "raw length out of range")
        demand(payload_length <= 2 * raw_length + 65536, "payload length out of range")
        reference = r.varint() if flags & 8 else None
        demand(reference is None or not self.nested, "embedded weights that are coded with a model")
        demand(codec == 4 or bool(flags & 16) == (chained or codec in (6, 8, 11)), "newer: parameters")
        params = r.take(r.varint()) if flags & 16 else None
        units = read_units(r, flags & 3, raw_length, payload_length)
        r.check()
        payload = r.take(payload_length)
        windowed = codec in (2, 4, 5)
        demand(windowed == (flags & 3 in WINDOW_TABLES), "newer: unit table of codec")
        demand((codec == 6) == (flags & 3 == 3), "newer: unit table of codec")
        if codec != 3:
            demand(windowed == (reference is not None), "model reference where none belongs")
        if codec == 0:
            demand(payload_length == raw_length, "stored block of the wrong length")
            raw = payload
        elif codec == 1:
            demand(raw_length <= 32768 * payload_length, "zstd block too short")
            raw = unzstd(payload, raw_length)
        elif codec == 3:
            raw = mix.decode(payload, raw_length, None if reference is None else self.weights(reference))
        elif codec == 7:
            raw = table.decode(payload, raw_length)
        elif codec == 8:
            demand(raw_length <= 32768 * payload_length, "deflate block too short")
            raw = deflate.decode(payload, params, raw_length, self.content)
        elif codec == 9:
            raw = light.decode(payload, raw_length)
        elif codec == 10:
            raw = sort.decode(payload, raw_length)
        elif codec == 11:
            demand(raw_length <= 32768 * payload_length, "jpeg block too short")
            raw = jpeg.decode(payload, params, raw_length, self.content)
        elif codec == 6:
            planes = tensor.Planes(params)
            demand(not inside or planes.method in (1, 4), "newer: a content that does not stand alone")
            raw = self.tensor(planes, units, payload)
        else:
            kind = {2: lm, 4: circuit, 5: llm}[codec]
            network = kind.Model(self.weights(reference))
            if chained:
                raw = llm.decode_chain(network, params, [(length, payload[a:b]) for length, (a, b), _ in units])
            else:
                given = () if params is None else (params,)
                windows = (kind.decode_window(network, payload[a:b], length, *given) for length, (a, b), _ in units)
                raw = b"".join(windows)
        at = 0
        for k, (length, _, wanted) in enumerate(units):
            demand(check(raw[at:at + length]) == wanted, f"check value of unit {k} differs")
            at += length
        self.fits = codec in (0, 1) and raw_length <= 1 << 20
        if codec == 6:
            self.fits = self.fits_of[planes.block] if planes.method == 0 else planes.method != 3 or planes.rounding != 2
        return codec, params, raw, units, codec == 6 and planes.method in (2, 5)

    def tensor(self, planes, units, payload):
        if planes.method == 0:
            demand(planes.block in self.kept and not payload, "copy of a block that may have none")
            source, raw = self.kept[planes.block]
            demand([(u[0], u[2]) for u in source] == [(u[0], u[2]) for u in units], "copy of another block")
            return raw
        if planes.method == 3:
            planes.base = self.built_in.get(planes.base_hash)
            if planes.base is None and self.member:
                planes.base = family.find(self, planes, sum(u[0] for u in units))
            demand(planes.base is not None, f"missing base {planes.base_hash.hex()}")
        raw = tensor.decode(planes, units, payload)
        return raw

    def model(self, body):
        r = Reader(body)
        name = r.take(32)
        if r.at == len(body):
            return name, None
        length = r.varint()
        rest = body[r.at:]
        demand(1 <= length <= (1 << 20) + 256 * len(rest), "length of embedded weights out of range")
        if rest[:7] == MAGIC:
            # Here rather than where a block names the model: the stream must not name one.
            demand(len(decode(rest, nested=True)) == length, "embedded model of the wrong length")
        return name, (rest, length)

    def weights(self, reference):
        if reference < 128:
            demand(reference in self.built_in, f"newer: built-in model {reference}")
            return self.built_in[reference]
        demand(reference - 128 < len(self.models), "model section missing")
        name, weights = self.models[reference - 128]
        if isinstance(weights, tuple):
            rest, length = weights
            weights = decode(rest, nested=True) if rest[:7] == MAGIC else unzstd(rest, length)
            demand(len(weights) == length, "embedded model of the wrong length")
            demand(blake3(weights) == name, "embedded model does not have its hash")
            self.models[reference - 128] = name, weights
        if weights is None:
            weights = self.built_in.get(name)
            demand(weights is not None, f"missing model {name.hex()}")
        return weights

    def index(self, body):
        r = Reader(body)
        entries = [(r.varint(), r.varint()) for _ in range(r.varint())]
        demand(entries == self.sections, "index does not describe the sections")
        demand(r.take(32) == blake3(self.raw), "stream hash differs")
        records = r.varint()
        demand(records <= 1024, "number of index records out of range")
        for _ in range(records):
            tag = r.varint()
            demand(tag % 2 == 0, "newer: index record")
            record = r.take(r.varint())
            # Decoding needs no record: names of tensors, for example. What a search section says is verified.
            if tag == 4:
                self.search(Reader(record))
        demand(r.at == len(body), "index too long")

    def search(self, record):
        """Verifies the search section that is at the place of a record."""
        offset, length = record.varint(), record.varint()
        demand(record.at == len(record.data), "bytes follow the place of the search section")
        r = Reader(self.r.data, self.start + offset)
        demand(r.u8() == 0x80, "no search section is where the index says")
        body = r.take(r.varint())
        r.check()
        demand(r.at - r.start == length, "search section of another length")
        search.verify(body, self.raw, [raw for _, raw in self.sections if raw])


import deflate  # noqa: E402
import family  # noqa: E402
import jpeg  # noqa: E402
import table  # noqa: E402  (these modules import names from above)
import tensor  # noqa: E402


def decode(data, models=(), nested=False):
    """The raw bytes of a whole file. `models` are the weight files and base tensors that streams name by hash; `nested`
    says whether the file is embedded weights, which must name no model."""
    known = {blake3(m): m for m in models}
    demand(data, "truncated")
    streams, at = [], 0
    while at < len(data):
        streams.append(Stream(data, at, known, nested, list(streams)))
        at = streams[-1].r.at
    return b"".join(stream.raw for stream in streams)


if __name__ == "__main__":
    given = [pathlib.Path(p).read_bytes() for p in sys.argv[2:]]
    sys.stdout.buffer.write(decode(pathlib.Path(sys.argv[1]).read_bytes(), given))
