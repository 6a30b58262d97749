"""XXH3-64 (seed 0) and BLAKE3 in plain Python, slow and clear. See ../checksums.md."""

import pathlib
import struct

M64 = (1 << 64) - 1
M32 = (1 << 32) - 1

# --- XXH3-64 -------------------------------------------------------------------------------------------------------

SECRET = (pathlib.Path(__file__).parent.parent / "tables" / "xxh3_secret.bin").read_bytes()
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def swap64(x):
    return int.from_bytes(x.to_bytes(8, "little"), "big")


def fold(a, b):
    product = a * b
    return (product & M64) ^ (product >> 64)


def avalanche(x):
    x ^= x >> 37
    x = x * 0x165667919E3779F9 & M64
    return x ^ (x >> 32)


def avalanche64(x):
    x ^= x >> 33
    x = x * P64[1] & M64
    x ^= x >> 29
    x = x * P64[2] & M64
    return x ^ (x >> 32)


def mix16(data, at, secret_at):
    return fold(u64(data, at) ^ u64(SECRET, secret_at), u64(data, at + 8) ^ u64(SECRET, secret_at + 8))


def xxh3_small(data):
    n = len(data)
    if n == 0:
        return avalanche64(u64(SECRET, 56) ^ u64(SECRET, 64))
    if n <= 3:
        combined = data[0] << 16 | data[n >> 1] << 24 | data[-1] | n << 8
        return avalanche64(combined ^ u32(SECRET, 0) ^ u32(SECRET, 4))
    if n <= 8:
        x = (u32(data, n - 4) + (u32(data, 0) << 32)) ^ u64(SECRET, 8) ^ u64(SECRET, 16)
        x ^= rotate64(x, 49) ^ rotate64(x, 24)
        x = x * 0x9FB21C651E98DF25 & M64
        x ^= (x >> 35) + n
        x = x * 0x9FB21C651E98DF25 & M64
        return x ^ (x >> 28)
    low = u64(data, 0) ^ u64(SECRET, 24) ^ u64(SECRET, 32)
    high = u64(data, n - 8) ^ u64(SECRET, 40) ^ u64(SECRET, 48)
    return avalanche((n + swap64(low) + high + fold(low, high)) & M64)


def rotate64(x, by):
    return (x << by | x >> (64 - by)) & M64


def xxh3_middle(data):
    n = len(data)
    total = n * P64[0]
    if n <= 128:
        for k in reversed(range((n - 1) // 32 + 1)):
            total += mix16(data, 16 * k, 32 * k) + mix16(data, n - 16 * (k + 1), 32 * k + 16)
        return avalanche(total & M64)
    for k in range(8):
        total += mix16(data, 16 * k, 16 * k)
    total = avalanche(total & M64)
    for k in range(8, n // 16):
        total += mix16(data, 16 * k, 16 * (k - 8) + 3)
    total += mix16(data, n - 16, 136 - 17)
    return avalanche(total & M64)


def accumulate(state, data, at, secret_at):
    for i in range(8):
        value = u64(data, at + 8 * i)
        key = value ^ u64(SECRET, secret_at + 8 * i)
        state[i ^ 1] = (state[i ^ 1] + value) & M64
        state[i] = (state[i] + (key & M32) * (key >> 32)) & M64


def xxh3_long(data):
    n = len(data)
    state = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    stripes = (len(SECRET) - 64) // 8
    block = 64 * stripes
    blocks = (n - 1) // block
    for b in range(blocks):
        for s in range(stripes):
            accumulate(state, data, b * block + 64 * s, 8 * s)
        for i in range(8):
            x = state[i] ^ (state[i] >> 47) ^ u64(SECRET, len(SECRET) - 64 + 8 * i)
            state[i] = x * P32[0] & M64
    for s in range((n - 1 - blocks * block) // 64):
        accumulate(state, data, blocks * block + 64 * s, 8 * s)
    accumulate(state, data, n - 64, len(SECRET) - 64 - 7)
    total = n * P64[0]
    for i in range(4):
        total += fold(state[2 * i] ^ u64(SECRET, 11 + 16 * i), state[2 * i + 1] ^ u64(SECRET, 19 + 16 * i))
    return avalanche(total & M64)


def xxh3(data):
    if len(data) <= 16:
        return xxh3_small(data)
    return xxh3_middle(data) if len(data) <= 240 else xxh3_long(data)


def check(data):
    """The check value of ../nzip.md."""
    return xxh3(data) & M32


# --- BLAKE3 --------------------------------------------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def rotate32(x, by):
    return (x >> by | x << (32 - by)) & M32


def mix(v, a, b, c, d, x, y):
    v[a] = (v[a] + v[b] + x) & M32
    v[d] = rotate32(v[d] ^ v[a], 16)
    v[c] = (v[c] + v[d]) & M32
    v[b] = rotate32(v[b] ^ v[c], 12)
    v[a] = (v[a] + v[b] + y) & M32
    v[d] = rotate32(v[d] ^ v[a], 8)
    v[c] = (v[c] + v[d]) & M32
    v[b] = rotate32(v[b] ^ v[c], 7)


def compress(chaining, words, counter, length, flags):
    v = list(chaining) + list(IV[:4]) + [counter & M32, counter >> 32, length, flags]
    m = list(words)
    for _ in range(7):
        for k, (a, b, c, d) in enumerate(((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                                          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))):
            mix(v, a, b, c, d, m[2 * k], m[2 * k + 1])
        m = [m[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def words_of(block):
    return struct.unpack("<16I", block.ljust(64, b"\0"))


def chunk(data, counter, root):
    chaining = IV
    blocks = [data[i:i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END if last else 0) | (ROOT if last and root else 0)
        chaining = compress(chaining, words_of(block), counter, len(block), flags)
    return chaining


def tree(data, counter, root):
    if len(data) <= 1024:
        return chunk(data, counter, root)
    left = 1024
    while left * 2 < len(data):
        left *= 2
    children = tree(data[:left], counter, False) + tree(data[left:], counter + left // 1024, False)
    return compress(IV, children, 0, 64, PARENT | (ROOT if root else 0))


def blake3(data):
    """The hash of ../nzip.md."""
    return struct.pack("<8I", *tree(data, 0, True))
