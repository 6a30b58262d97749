"""Peers that are Python packages. Usage: encode|decode zipnn|pcodec; works on the files raw, packed and out.

Both need to know what numbers a file holds: the type that most bytes of a safetensors file have, that of an npy file, or
else single precision. What is not numbers of this type is stored as it is.
"""

import ast
import json
import struct
import sys


def layout(raw):
    """Type of the numbers, and where they start and end."""
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64",
             "<f4": "float32", "<f2": "float16", "<f8": "float64"}
    if raw[:6] == b"\x93NUMPY":
        size, start = (struct.unpack("<H", raw[8:10])[0], 10) if raw[6] == 1 else (struct.unpack("<I", raw[8:12])[0], 12)
        descr = ast.literal_eval(raw[start:start + size].decode("latin1").strip())["descr"]
        return names.get(descr, "float32"), start + size, len(raw)
    if raw[8:9] == b"{":
        start = 8 + struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8:start])
        sizes = {}
        for name, tensor in header.items():
            if name != "__metadata__":
                first, last = tensor["data_offsets"]
                sizes[tensor["dtype"]] = sizes.get(tensor["dtype"], 0) + last - first
        return names.get(max(sizes, key=sizes.get, default=""), "float32"), start, len(raw)
    return "float32", 0, len(raw)


def zipnn(kind, numbers, packed):
    from zipnn import ZipNN
    coder = ZipNN(bytearray_dtype=kind if kind != "float64" else "float32", input_format="byte", threads=1)
    return coder.decompress(packed) if packed is not None else coder.compress(numbers)


def pcodec(kind, numbers, packed):
    import numpy as np
    from pcodec import ChunkConfig, standalone
    if packed is not None:
        return standalone.simple_decompress(packed).tobytes()
    numbers = np.frombuffer(numbers, "uint16" if kind == "bfloat16" else kind)
    return standalone.simple_compress(numbers, ChunkConfig(compression_level=12))


def main():
    action, name = sys.argv[1:]
    coder = {"zipnn": zipnn, "pcodec": pcodec}[name]
    if action == "encode":
        raw = open("raw", "rb").read()
        kind, start, end = layout(raw)
        end -= (end - start) % {"float64": 8, "float32": 4}.get(kind, 2)
        coded = bytes(coder(kind, raw[start:end], None)) if end > start else b""
        plain = raw[:start] + raw[end:]
        head = json.dumps([kind, start, len(plain)]).encode()
        with open("packed", "wb") as out:
            out.write(bytes([len(head)]) + head + plain + coded)
    else:
        data = open("packed", "rb").read()
        body = 1 + data[0]
        kind, start, count = json.loads(data[1:body])
        plain, coded = data[body:body + count], data[body + count:]
        with open("out", "wb") as out:
            out.write(plain[:start] + (coder(kind, None, coded) if coded else b"") + plain[start:])


main()
