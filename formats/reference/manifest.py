"""A slow, clear reader of manifests, written from ../manifest.md.

Usage: manifest.py FILE.nzm [MODEL...] > FILE
"""

import json
import pathlib
import re
import sys

import nzip
from checksums import blake3
from nzip import demand

START = b'{"nzip-manifest":'
HASH = re.compile("[0-9a-f]{64}")
KINDS = {
    "shard": str, "start": int, "raw_bytes": int, "stored_bytes": int, "raw_hash": "hash", "stored_hash": "hash",
    "models": list, "tensors": list, "source": str, "shards": int, "hash": "hash", "nzip-manifest": int, "must": list,
    "name": str, "dtype": str, "shape": list, "first_row": int,
}


def members(pairs):
    """An object, whose listed members occur once and have the right kind."""
    found = {}
    for key, value in pairs:
        if key in KINDS:
            kind = KINDS[key]
            demand(key not in found, f"{key} is there twice")
            if kind == "hash":
                demand(isinstance(value, str) and HASH.fullmatch(value), f"{key} is no hash")
            else:
                demand(type(value) is kind, f"{key} has another kind")
            demand(kind is not int or 0 <= value < 2**64, f"{key} is out of range")
            found[key] = value
    return found


def parse(text):
    """The rows of the shards."""
    demand(text.startswith(START), "not a manifest")
    lines = text.splitlines(keepends=True)
    demand(all(line.endswith(b"\n") for line in lines), "truncated")
    first, *rows, last = [json.loads(line, object_pairs_hook=members) for line in lines]
    demand(first["nzip-manifest"] == 1 and not first.get("must"), "newer")
    demand("shards" in last and "shard" not in last, "truncated")
    at, tensors = 0, {}
    for row in rows:
        parts = row["shard"].split("/")
        demand(not any(part in ("", ".", "..") for part in parts), "a name that leads elsewhere")
        demand(not re.search(r"[\x00-\x1f\x7f-\x9f\\:]", row["shard"]), "a name with odd characters")
        demand(row["start"] == at, "a shard starts elsewhere")
        at += row["raw_bytes"]
        for tensor in row.get("tensors", []):
            join(tensors, tensor)
    demand((last["shards"], last["raw_bytes"]) == (len(rows), at), "the last line counts other shards")
    demand(last["hash"] == blake3(b"".join(lines[:-1])).hex(), "the hash of the lines differs")
    return rows


def join(tensors, part):
    """Adds a tensor, or further rows of one, to the shapes of all tensors."""
    name, shape, first = part["name"], part["shape"], part.get("first_row", 0)
    if first == 0:
        demand(name not in tensors, f"tensor {name} is there twice")
        tensors[name] = (part["dtype"], list(shape))
        return
    demand(name in tensors, f"the first rows of tensor {name} are missing")
    dtype, whole = tensors[name]
    demand((dtype, whole[:1], whole[1:]) == (part["dtype"], [first], shape[1:]), f"rows of tensor {name} do not follow")
    whole[0] += shape[0]


def decode(path, models=()):
    """The content that the manifest at a path describes."""
    out = []
    for row in parse(path.read_bytes()):
        packed = path.parent.joinpath(row["shard"]).read_bytes()
        demand(len(packed) == row["stored_bytes"], "a shard of another size")
        demand(blake3(packed).hex() == row["stored_hash"], "another file than the manifest says")
        raw = nzip.decode(packed, models)
        demand(len(raw) == row["raw_bytes"] and blake3(raw).hex() == row["raw_hash"], "another content")
        out.append(raw)
    return b"".join(out)


if __name__ == "__main__":
    given = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
    sys.stdout.buffer.write(decode(pathlib.Path(sys.argv[1]), given))
