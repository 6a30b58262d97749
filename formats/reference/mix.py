"""Reference decoder of `mix` payloads, written from formats/mix.md (and formats/lm.md for tables and guides).

Slow and clear. Names follow the text; hashes and histories are unsigned 32-bit.
"""

import functools
import os

import numpy as np
import zstandard

import lm
from lm import SQUASH, Corrupt, clamp

PRIORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "mix")
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
CONTEXTS, INPUTS, FAMILIES = 24, 32, (256, 256, 384, 256, 256, 2048)


def demand(condition, message):
    if not condition:
        raise Corrupt(message)


# Payload


class Header:
    def __init__(self, payload):
        demand(len(payload) >= 8, "truncated")
        demand(payload[0] == 1, "newer: priors")
        self.table_bits, self.contexts, phrases, self.kind = payload[1:5]
        self.n = int.from_bytes(payload[5:7], "little")
        self.guided = payload[7]
        self.phrase_limit = 4096 * phrases
        demand(16 <= self.table_bits <= 30, "size of the slot table out of range")
        demand(6 <= self.contexts <= CONTEXTS, "number of contexts out of range")
        demand(phrases == 0 or self.kind == 0, "phrases where they prime nothing")
        demand(parameter_fits(self.kind, self.n), "kind or parameter out of range")
        demand(self.guided == 0 or (self.guided == 1 and self.kind == 0), "guide out of range")


def parameter_fits(kind, n):
    if kind in (0, 1, 3):
        return n == 0
    if kind == 2:
        return n >= 1
    if kind == 4:
        return n >= 4 and n % 2 == 0
    return kind in (5, 7, 8) and n > kind - 4


# Coder


class BinaryDecoder:
    def __init__(self, payload, at):
        self.payload, self.at = payload, at
        self.low, self.high = 0, MASK32
        self.value = 0
        for _ in range(4):
            self.value = self.value << 8 | self.byte()

    def byte(self):
        self.at += 1
        past = self.at - len(self.payload)
        demand(past <= 4, "truncated")
        return self.payload[self.at - 1] if past <= 0 else 0

    def decode(self, p):
        width = self.high - self.low
        mid = self.low + (width >> 16) * p + (((width & 0xFFFF) * p) >> 16)
        bit = int(self.value <= mid)
        if bit:
            self.high = mid
        else:
            self.low = mid + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & MASK32
            self.high = self.high << 8 & MASK32 | 255
            self.value = self.value << 8 & MASK32 | self.byte()
        return bit


# Logits

SQUASH_LIST = [int(p) for p in SQUASH]


def squash(a):
    return SQUASH_LIST[clamp(a, -4096, 4095) + 4096]


def stretch_table():
    table, a = [], -4095
    for q in range(4096):
        while a < 4095 and squash(a + 1) <= 16 * q + 8:
            a += 1
        table.append(a)
    return table


STRETCH = stretch_table()

# Bit histories

BOUND = (30, 20, 12, 9, 8, 7)


def discount(count):
    for limit, left in ((4, count), (6, 5), (7, 6), (11, 7), (15, 8), (23, 9)):
        if count <= limit:
            return left
    return 11


def bounded(counts, y):
    while True:
        greater = 1 if counts[1] > counts[0] else 0
        smaller = counts[1 - greater]
        if smaller <= 5 and counts[greater] <= BOUND[smaller]:
            return
        if greater == y and smaller <= 5:
            counts[greater] = BOUND[smaller]
        else:
            counts[1 - y] -= 1


def successor(history, y):
    counts, last = list(history[:2]), history[2]
    t = sum(counts)
    counts[y] += 1
    if t >= 4:
        counts[1 - y] = discount(counts[1 - y])
    last = 2 * last + y if t < 4 else y
    bounded(counts, y)
    if sum(counts) > 4:
        last = 0 if 0 in counts else last & 1
    return counts[0], counts[1], last


def state_table():
    """All histories in order of discovery, and the two successors of each by number."""
    known, next_states, at = [(0, 0, 0)], [], 0
    while at < len(known):
        pair = []
        for y in (0, 1):
            history = successor(known[at], y)
            if history not in known:
                known.append(history)
            pair.append(known.index(history))
        next_states.append(pair)
        at += 1
    return known, next_states


STATES, NEXT = state_table()
TOTAL = [n0 + n1 for n0, n1, _ in STATES]

# Slots


class Slots:
    def __init__(self, bits):
        self.table = bytearray(1 << bits)
        self.buckets = (1 << bits) // 64

    def find(self, bucket, check):
        """Where the slot of `check` starts."""
        table = self.table
        places = range(64 * bucket, 64 * bucket + 64, 16)
        for at in places:
            if table[at] == check:
                return at
        at = min(places, key=lambda at: TOTAL[table[at + 1]])
        table[at:at + 16] = bytes([check]) + bytes(15)
        return at

    def first(self, h):
        return self.find((h >> 8) % self.buckets, h & 255)

    def second(self, h, c):
        """`c` is the first nibble plus 16."""
        return self.find((h >> 8) % self.buckets ^ (c % 16 + 1), (h + 61 * c) & 255)


# Context hashes


def H(a, b):
    h = ((a ^ b * 0x9E3779B1) & MASK32) * 0x85EBCA6B & MASK32
    return h ^ h >> 15


def P(a, b):
    return H(H(0, a), b)


def T(a, b, c):
    return H(P(a, b), c)


def final_hash(value, i):
    return H(value, i + 1) * 0x9E3779B1 & MASK32


def is_letter(b):
    return b >= 128 or ord("a") <= b | 32 <= ord("z")


class History:
    def __init__(self):
        self.followers1, self.followers2 = {}, {}
        self.empty()

    def empty(self):
        """Forgets all but the followers."""
        self.bytes = bytearray()
        self.c4 = self.c8 = self.c12 = 0
        self.word, self.gap, self.words = 0, 0, [0, 0, 0]
        self.line_start = self.line_before = 0
        self.first = self.shape = self.field = self.prefix = 0
        self.tag = self.name = 0
        self.open = False
        self.code = Instructions()

    def back(self, k):
        return self.bytes[-k] if 1 <= k <= len(self.bytes) else 0

    @property
    def c1(self):
        return self.c4 & 255

    @property
    def w(self):
        return self.word or self.gap

    @property
    def above(self):
        at = self.line_before + len(self.bytes) - self.line_start
        return self.bytes[at] if at < self.line_start else 0

    @property
    def follow1(self):
        return self.followers1.get(self.c1, 0)

    @property
    def follow2(self):
        return self.followers2.get(self.c4 & 0xFFFF, 0)

    def push(self, b, parse_code=False):
        self.followers1[self.c1] = (self.follow1 << 8 | b) & 0xFFFF
        self.followers2[self.c4 & 0xFFFF] = (self.follow2 << 8 | b) & 0xFFFF
        before = self.c1
        self.bytes.append(b)
        self.c12 = self.c12 << 8 & MASK32 | self.c8 >> 24
        self.c8 = self.c8 << 8 & MASK32 | self.c4 >> 24
        self.c4 = self.c4 << 8 & MASK32 | b
        self.push_word(b)
        self.push_line(b, before)
        self.push_tag(b)
        if parse_code:
            self.code.push(b)

    def push_word(self, b):
        if is_letter(b) or (b == ord("'") and self.word):
            lower = b | 32 if b < 128 else b  # ' has bit 5 set already
            self.word = H(self.word + 1, lower)
            if self.gap & 1:
                self.gap = 0
        elif self.word:
            self.words = [self.word] + self.words[:2]
            self.word = 0
            self.gap = H(1, b) | 1
        else:
            self.gap = H(self.gap, b) | 1

    def push_line(self, b, before):
        if b == ord("\n"):
            self.line_before, self.line_start = self.line_start, len(self.bytes)
            self.shape = self.field = self.prefix = 0
            return
        if len(self.bytes) == self.line_start + 1:
            self.first = b
        k = ord("a") if is_letter(b) else ord("0") if 48 <= b <= 57 else b
        if not (k == ord("a") and is_letter(before)):
            self.shape = H(self.shape + 1, k)
        if b in b" ,\t;|":
            self.field += 1
            self.prefix = 0
        else:
            self.prefix = H(self.prefix + 1, b)

    def push_tag(self, b):
        if b in b'<"{[':
            self.open, self.name = True, b
        elif self.open and b in b">=: ":
            self.open, self.tag = False, self.name
        elif self.open:
            self.name = H(self.name, b)


# Functions, so that priming computes only the contexts that it needs.
TEXT = (
    lambda h: h.c1,
    lambda h: h.c4 & 0xFFFF,
    lambda h: h.c4 & 0xFFFFFF,
    lambda h: h.c4,
    lambda h: P(h.c4, h.c8 & 0xFF),
    lambda h: P(h.c4, h.c8 & 0xFFFF),
    lambda h: h.w,
    lambda h: P(h.w, h.words[0]),
    lambda h: P(h.shape, h.c1),
    lambda h: 0,
    lambda h: P(h.above, h.c1),
    lambda h: P(h.tag, h.w),
    lambda h: P(h.w, h.c4 & 0xFFFF),
    lambda h: P(h.w, h.words[1]),
    lambda h: h.c4 & 0xFFFF00,
    lambda h: P(h.follow2, h.c1),
    lambda h: P(h.tag, h.c4 & 0xFFFF),
    lambda h: P(h.w, h.words[2]),
    lambda h: T(h.above, h.field, h.w),
    lambda h: P(h.c4, h.c8),
    lambda h: T(h.w, h.words[0], h.words[1]),
    lambda h: P(h.field, P(h.first, h.prefix)),
    lambda h: h.follow1,
    lambda h: P(h.c4, h.words[0]),
)


def text(h):
    return [context(h) for context in TEXT]


def binary(h):
    c1, c4, c8, w = h.c1, h.c4, h.c8, h.w
    return [
        c1, c4 & 0xFFFF, c4 & 0xFFFFFF, c4, P(c4, c8 & 0xFF), P(c4, c8 & 0xFFFF), 0,
        c4 & 0xFF00, c4 & 0xFF0000, c4 & 0xFF000000, c4 & 0xFFFF0000, c4 & 0xFFFF00, c4 & 0xFF00FF, c8 & 0xFF,
        P(c4 & 0xFF0000FF, 0), P(c4 & 0xF0F0F0F0, c8 & 0xF0F0), c4 & 0xF8F8F8, w, P(w, h.words[0]),
        P(h.follow1, 0), P(h.follow1, c1), P(h.follow2, 0), P(h.follow2 & 0xFF, c4 & 0xFFFF),
        P(c4 & 0xFFFF, len(h.bytes) % 4),
    ]


def records(h, n):
    c1, c4, c8 = h.c1, h.c4, h.c8
    x = len(h.bytes) % n
    u, u2, v, r = h.back(n), h.back(2 * n), h.back(n + 1), h.back(n - 1)
    return [
        c1, c4 & 0xFFFF, c4 & 0xFFFFFF, c4, P(c4, c8 & 0xFFFF), 0, c4 & 0xFF00, c4 & 0xFFFF00, c4 & 0xFFFF0000,
        P(u, x), P(u, c1), T(u, u2, x), P(u, v), T(u, c1, v), P(x, c1), P(x, c4 & 0xFFFF), x,
        T(x, 2 * u - u2, 0), T(x, c1 - v + u, 1), T(u | r << 8, c1, 3), T(u, u2, c4 & 0xFFFF), P(h.follow2, 0),
        T(x, r, u), T(x, u, c1),
    ]


def code(h):
    c1, c4, c8 = h.c1, h.c4, h.c8
    f, o, m, i = h.code.phase, h.code.opcode, h.code.modrm, h.code.i
    p0, p1, p2 = h.code.previous
    return [
        c1, c4 & 0xFFFF, c4 & 0xFFFFFF, c4, P(c4, c8 & 0xFF), P(c4, c8 & 0xFFFF), 0,
        c4 & 0xFF00, c4 & 0xFF0000, c4 & 0xFFFF0000, c4 & 0xFFFF00, P(c4, c8),
        f, P(f, o), T(f, o, c1), T(f, o, m), T(f, o, P(m, c1)), T(f, o, p0), T(f, P(o, m), P(p0, p1)),
        T(f, P(o, p0), P(p1, p2)), T(f, i, p0), P(f, i), P(h.follow2, 0), P(h.follow1, c1),
    ]


def clip(v):
    return clamp(v, 0, 255)


def byte_samples(h, n, width):
    c1 = h.c1
    W, WW, N, NN = h.back(width), h.back(2 * width), h.back(n), h.back(2 * n)
    NW, NE = h.back(n + width), h.back(n - width)
    ch = len(h.bytes) % n % width
    g = clip(W + N - NW)
    if width == 1:
        p, q = clip(2 * W - WW), clip(2 * N - NN)
    else:
        p, q = clip(W + c1 - h.back(width + 1)), clip(N + c1 - h.back(n + 1))
    pairs = [
        (W, N), (g, 0), (g, W), (g, N), (p, 0), (q, 0), (p, q), (W, 0), (N, 0),
        (W >> 2 | N >> 2 << 8, NW >> 2 | NE >> 2 << 8), ((W + N) // 2, 0), ((W + NE) // 2, c1),
        (clip(W + NE - N), g), ((W + N + NW + NE) // 4, p), (W, c1), (N, c1), (h.c4 & 0xFFFFFF, 0), (WW, W), (NN, N),
        (clip(2 * N - NN), clip(2 * W - WW)),
    ]
    return [T(a, b, ch | k << 8) for k, (a, b) in enumerate(pairs, 1)]


def divide(a, b):
    """Rounds towards zero."""
    return a // b if a >= 0 else -(-a // b)


def neighbours(h, n):
    phase = len(h.bytes) % 2
    return [h.back(k + phase) + 256 * h.back(k + phase - 1) for k in (2, 4, n, 2 * n, n + 2, n - 2)]


def word_samples(h, n):
    low = h.c1 | 256 if len(h.bytes) % 2 else 0
    W, WW, N, NN, NW, NE = neighbours(h, n)
    t = (abs(W - NW) + abs(N - NW) + abs(N - NE)).bit_length()
    g = W + N - NW
    pairs = [
        (W, 0), (N, 0), (g, 0), (g, t), (divide(W + N, 2), 0), (divide(W + N, 2), t),
        (divide(W + N + NW + NE, 4), t), (divide(3 * W + 3 * N - 2 * NW, 4), t), (divide(W + NE, 2), t),
        (W + NE - N, 0), (2 * W - WW, 0), (2 * N - NN, 0), (W, N), (W >> 2, N >> 2 | NE >> 2 << 16),
        (W >> 1, WW >> 1), (W >> 3 | N >> 3 << 16, NW >> 3 | NE >> 3 << 16), (N, NE), (h.c4, 0), (h.c4 >> 8, h.c8),
        (divide(W + divide(N + NE, 2), 2), (divide(W + N, 2) - NW) >> 2), (t, 0),
    ]
    return [T(a, b, low | k << 10) for k, (a, b) in enumerate(pairs, 1)]


def contexts(kind, n, h):
    if kind == 0:
        return text(h)
    if kind == 1:
        return binary(h)
    if kind == 2:
        return records(h, n)
    if kind == 3:
        return code(h)
    return word_samples(h, n) if kind == 4 else byte_samples(h, n, kind - 4)


# Instructions


class Instructions:
    def __init__(self):
        self.part = self.left = self.opcode = self.modrm = self.i = 0
        self.wide = False
        self.previous = [0, 0, 0]
        self.D = self.I = 0

    @property
    def phase(self):
        return 8 * self.part + min(self.left, 7)

    def push(self, b):
        self.i = H(self.i, b)
        if self.part == 0:
            self.first_byte(b)
        elif self.part == 1:
            self.second_byte(b)
        elif self.part == 2:
            self.modrm_byte(b)
        elif self.part == 3:
            if b & 7 == 5 and self.modrm >> 6 & 3 == 0:
                self.D = 4
            self.address()
        else:
            self.left -= 1
            if self.left == 0 and self.part == 4:
                self.immediate()
            elif self.left == 0:
                self.end()

    def first_byte(self, b):
        if b == 0x66:
            self.opcode |= 0x100
            self.wide = True
        elif b in bytes.fromhex("262e363e6465f0f2f3"):
            self.opcode |= 0x200
        elif b == 0x0F:
            self.opcode |= 0x400
            self.part = 1
        else:
            self.opcode |= b | 0x800
            self.I = immediate_size(b, 2 if self.wide else 4)
            self.D = 0
            self.modrm_or_immediate(has_modrm(b))

    def second_byte(self, b):
        self.opcode |= b | 0x800
        self.I = 0
        if 0x80 <= b <= 0x8F:
            self.I = 4
        elif 0x70 <= b <= 0x73 or b in (0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6):
            self.I = 1
        self.D = 0
        self.modrm_or_immediate(not second_without_modrm(b))

    def modrm_or_immediate(self, modrm):
        if modrm:
            self.part, self.left = 2, 0
        else:
            self.immediate()

    def modrm_byte(self, b):
        self.modrm = b + 256
        mode = b >> 6
        if mode == 2 or (mode == 0 and b & 7 == 5):
            self.D = 4
        else:
            self.D = 1 if mode == 1 else 0
        if self.opcode & 0x4FE == 0xF6 and b >> 3 & 7 < 2:
            self.I = 1 if self.opcode % 2 == 0 else 2 if self.wide else 4
        if mode < 3 and b & 7 == 4:
            self.part = 3
        else:
            self.address()

    def address(self):
        if self.D > 0:
            self.part, self.left = 4, self.D
        else:
            self.immediate()

    def immediate(self):
        if self.I > 0:
            self.part, self.left = 5, self.I
        else:
            self.end()

    def end(self):
        self.previous = [self.opcode | (self.modrm & 0x1F8) << 16] + self.previous[:2]
        self.part = self.opcode = self.modrm = self.left = self.i = 0
        self.wide = False


def immediate_size(b, full):
    if b in (0x68, 0x69, 0x81, 0xA9, 0xC7) or 0xB8 <= b <= 0xBF:
        return full
    if 0xA0 <= b <= 0xA3 or b in (0xE8, 0xE9):
        return 4
    if b < 0x40 and b & 7 in (4, 5):
        return full if b & 7 == 5 else 1
    if b in bytes.fromhex("6a6b8283a8c0c1c6cdd4d5eb") or 0x70 <= b <= 0x80 or 0xB0 <= b <= 0xB7 or 0xE0 <= b <= 0xE7:
        return 1
    if b in (0xC2, 0xCA):
        return 2
    if b == 0xC8:
        return 3
    return 6 if b in (0x9A, 0xEA) else 0


def has_modrm(b):
    if b < 0x40:
        return b & 7 < 4
    return b in bytes.fromhex("6263696bc0c1c4c5c6c7d0d1d2d3f6f7feff") or 0x80 <= b <= 0x8F or 0xD8 <= b <= 0xDF


def second_without_modrm(b):
    ranges = ((5, 9), (0x0B, 0x0B), (0x30, 0x37), (0x77, 0x77), (0x80, 0x8F), (0xA0, 0xA2), (0xA8, 0xAA), (0xC8, 0xCF))
    return any(a <= b <= z for a, z in ranges)


# Match models


class Matcher:
    def __init__(self, order, counters):
        self.order, self.counters = order, counters
        self.heads = {}
        self.position = self.length = self.misses = 0
        self.bytes = b""

    def hash(self, h):
        k = 0x9E3779B97F4A7C15
        last = h.c8 << 32 | h.c4
        if self.order == 6:
            return ((last << 16) * k & MASK64) >> 44
        return (((last * k & MASK64) ^ (h.c12 << 32 | h.c12 >> 7)) * k & MASK64) >> 44

    def push(self, h):
        b = self.bytes = h.bytes
        n = len(b)
        if self.position > 0:
            self.follow(b[self.position] == b[-1])
        if n >= self.order:
            k = self.hash(h)
            head = self.heads.get(k, 0)
            if self.length < self.order and head != 0:
                self.try_head(b, head)
            self.heads[k] = n

    def follow(self, right):
        self.position += 1
        if right:
            self.length = min(self.length + 1, 400)
            if self.length >= 16:
                self.misses = 0
            return
        self.length = 0
        self.misses += 1
        if self.misses > 8:
            self.position = self.misses = 0

    def try_head(self, b, head):
        n, length = len(b), 0
        while length < min(head, 400) and b[head - 1 - length] == b[n - 1 - length]:
            length += 1
        if length >= self.order and length > self.length:
            self.position, self.length, self.misses = head, length, 0

    def expected_byte(self):
        return self.bytes[self.position] if self.position > 0 else 0

    def predict(self, c0, b):
        """Sets the expected bit (or None) and gives the two inputs."""
        self.bit = None
        if self.position == 0 or (self.expected_byte() + 256) >> (8 - b) != c0:
            return [0, 0]
        self.bit = self.expected_byte() >> (7 - b) & 1
        if self.length == 0:
            k = min(self.misses, 7)
        else:
            k = 8 + self.length if self.length < 32 else 39 + self.length // 32
        self.at = 4 * k + min(self.misses, 3)
        p = self.counters[self.at][0] >> 10
        sign = 1 if self.bit else -1
        return [sign * STRETCH[p], sign * 2 * (p - 2048)]

    def update(self, y):
        if self.bit is None:
            return
        p, n = self.counters[self.at]
        s = int(y == self.bit)
        p += ((s * (2**19 - 1) - (p >> 3)) * (8192 // (2 * n + 3))) >> 9
        self.counters[self.at] = (p, min(n + 1, 1000))

    def length_class(self):
        if self.position == 0:
            return 0
        if self.length == 0:
            return 2 if self.misses > 3 else 1
        limits = (5, 7, 11, 15, 23, 31, 63, 127, 255, 399, 400)
        return 3 + next(i for i, limit in enumerate(limits) if self.length <= limit)


# Mixer


def outputs(weights, x):
    products = weights * x
    s = ((products[:, 0::2] + products[:, 1::2]) >> 5).sum(axis=1)
    return np.clip(s >> 9, -4095, 4095)


def moved(weights, x, error):
    return np.clip(weights + ((x * error + (1 << 14)) >> 15), -32768, 32767)


class Mixer:
    STARTS = np.cumsum((0,) + FAMILIES[:-1])

    def __init__(self, weights, finals):
        self.weights, self.finals = weights, finals

    def mix(self, inputs, vectors, c0):
        """The logit, from 32 inputs and one vector of each family."""
        self.x, self.rows, self.c0 = np.array(inputs, dtype=np.int64), self.STARTS + vectors, c0
        self.first = outputs(self.weights[self.rows], self.x)
        self.x2 = np.zeros(16, dtype=np.int64)
        self.x2[:6] = self.first
        self.logit = int(outputs(self.finals[c0:c0 + 1], self.x2)[0])
        return self.logit

    def update(self, y, rate):
        errors = ((y * 65536 - SQUASH[self.first + 4096]) * rate) >> 8
        self.weights[self.rows] = moved(self.weights[self.rows], self.x, errors[:, None])
        error = ((y * 65536 - squash(self.logit)) * 12) >> 8
        self.finals[self.c0] = moved(self.finals[self.c0], self.x2, error)


CLASSES = [7] * 128 + [6] * 128
for number, members in enumerate((b"\n\r\0", b" \t", b"0123456789", range(65, 91), range(97, 123), b'<>&"=/[]{}')):
    for member in members:
        CLASSES[member] = number


def selector(kind, n, h):
    position = len(h.bytes)
    if kind == 0:
        s = CLASSES[h.back(1)] + 8 * CLASSES[h.back(2)] + 32 * (CLASSES[h.back(3)] & 6)
    elif kind == 1:
        s = position % 4 + sum(4 << i for i in range(4) if h.back(i + 1) == 0)
    elif kind == 2:
        s = min(position % n, 255)
    elif kind == 3:
        s = h.code.phase | (h.code.modrm >> 6 & 3) << 6
    elif kind == 4:
        W, _, N, _, NW, _ = neighbours(h, n)
        s = 2 * (abs(W - NW) + abs(N - NW)).bit_length() | position % 2
    else:
        width = kind - 4
        W, N, NW = h.back(width), h.back(n), h.back(n + width)
        s = (abs(W - NW) + abs(N - NW)).bit_length() | position % n % width << 4
    return s % 256


# Final stages


class FinalStage:
    START = [squash((j - 16) * 256) for j in range(33)]

    def __init__(self):
        self.rows = {}

    def refine(self, logit, context):
        self.row = self.rows.setdefault(context, list(self.START))
        j, f = (logit + 4096) >> 8, (logit + 4096) & 255
        self.j = j + (f >= 128)
        return max(1, (self.row[j] * (256 - f) + self.row[j + 1] * f) >> 8)

    def update(self, y):
        v = self.row[self.j]
        self.row[self.j] = v + ((y * 65535 - v + 32) >> 6)


# Priors


def read_prior(name):
    with open(os.path.join(PRIORS, name + ".zst"), "rb") as file:
        return zstandard.ZstdDecompressor().decompressobj().decompress(file.read())


class Priors:
    def __init__(self, kind, guided):
        names = {0: "guided" if guided else "text", 1: "binary", 3: "code"}
        if kind in names:
            self.learned(read_prior(names[kind]))
        else:
            self.plain()

    def learned(self, data):
        demand(len(data) == 2 * (24 * 256 + 2 * 256 + 3456 * 32 + 256 * 16), "priors of the wrong length")
        values = np.frombuffer(data, dtype="<u2")
        maps, counters, weights, finals = np.split(values, np.cumsum((24 * 256, 2 * 256, 3456 * 32)))
        self.maps = (maps.astype(np.int64) * 64).reshape(24, 256).tolist()
        self.counters = [(int(v) * 64, 100) for v in counters]
        self.weights = weights.astype(np.int16).astype(np.int64).reshape(-1, 32)
        self.finals = finals.astype(np.int16).astype(np.int64).reshape(-1, 16)

    def plain(self):
        odds = [(2 * n0 + 1, 2 * n1 + 1) for n0, n1, _ in STATES]
        self.maps = [[2**22 // (a + b) * b for a, b in odds] for _ in range(24)]
        self.counters = [(52000 * 64, 0)] * 512
        self.weights = np.full((3456, 32), 3000, dtype=np.int64)
        self.finals = np.zeros((256, 16), dtype=np.int64)
        self.finals[:, :6] = 2730


@functools.cache
def phrases(limit):
    data = read_prior("phrases")
    cut = max(0, len(data) - limit)
    return data[data.rfind(b"\0", 0, cut) + 1:].split(b"\0")


def learn_nibble(table, at, nibble):
    node = 1
    for shift in (3, 2, 1, 0):
        bit = nibble >> shift & 1
        table[at + node] = NEXT[table[at + node]][bit]
        node = 2 * node + bit


def prime(slots, count, limit):
    h = History()
    primed = [i for i in (0, 1, 2, 3, 4, 5, 6, 7, 12, 13) if i < count]
    for phrase in phrases(limit):
        h.empty()
        for byte in phrase:
            for i in primed:
                k = final_hash(TEXT[i](h), i)
                learn_nibble(slots.table, slots.first(k), byte >> 4)
                learn_nibble(slots.table, slots.second(k, byte >> 4 | 16), byte & 15)
            h.push(byte)


# Guide


class Guide:
    def __init__(self, weights):
        self.model = lm.Model(weights)
        self.state = [np.zeros(self.model.h, dtype=np.int64) for _ in range(self.model.layers)]

    def before_byte(self, raw):
        self.sums = [0] * 256 + [int(w) for w in lm.step(self.model, self.state, raw)]
        for c in range(255, 0, -1):
            self.sums[c] = self.sums[2 * c] + self.sums[2 * c + 1]

    def logit(self, c0):
        s0, s1 = self.sums[2 * c0], self.sums[2 * c0 + 1]
        k = max(0, (s0 + s1).bit_length() - 16)
        return lm.stretch(clamp(((s1 >> k) << 16) // ((s0 + s1) >> k), 1, 65535))


# Prediction of a bit


class Predictor:
    def __init__(self, header, network_weights):
        self.kind, self.n = header.kind, header.n
        self.guide = Guide(network_weights) if header.guided else None
        self.history = History()
        self.count = min(header.contexts, len(contexts(self.kind, self.n, self.history)))
        self.slots = Slots(header.table_bits)
        if self.kind == 0:
            prime(self.slots, self.count, header.phrase_limit)
        priors = Priors(self.kind, header.guided)
        self.maps = priors.maps
        self.matchers = [Matcher(6, priors.counters[:256]), Matcher(12, priors.counters[256:])]
        self.mixer = Mixer(priors.weights, priors.finals)
        self.stages = [FinalStage() for _ in range(3)]

    def start_byte(self):
        h = self.history
        values = contexts(self.kind, self.n, h)
        self.hashes = [final_hash(value, i) for i, value in enumerate(values[:self.count])]
        self.load_slots(self.slots.first)
        self.order = sum(slot[1] != 0 for slot in self.nodes[:6])
        self.selector = selector(self.kind, self.n, h)
        if self.guide:
            self.guide.before_byte(h.bytes)
        self.c0, self.b = 1, 0

    def load_slots(self, find):
        """Each slot is copied before the next is found, which may clear it."""
        self.places, self.nodes = [], []
        for k in self.hashes:
            at = find(k)
            self.places.append(at)
            self.nodes.append(self.slots.table[at:at + 16])

    def store_slots(self):
        for at, slot in zip(self.places, self.nodes):
            self.slots.table[at:at + 16] = slot

    def node(self):
        depth = self.b % 4
        return 1 << depth | self.c0 & ((1 << depth) - 1)

    def predict(self):
        """The probability that the next bit is a one."""
        c0, c1, node = self.c0, self.history.c1, self.node()
        inputs = [STRETCH[m[slot[node]] >> 10] if slot[node] else 0 for m, slot in zip(self.maps, self.nodes)]
        inputs += [0] * (CONTEXTS - self.count)
        for matcher in self.matchers:
            inputs += matcher.predict(c0, self.b)
        guess = self.guide.logit(c0) if self.guide else 0
        inputs += [256, guess, 0, 0]
        self.logit = self.mixer.mix(inputs, self.vectors(guess), c0)
        places = (c0, c0 + 256 * c1, c0 + 256 * self.matchers[0].expected_byte())
        q1, q2, q3 = [stage.refine(self.logit, place) for stage, place in zip(self.stages, places)]
        return clamp((2 * squash(self.logit) + q1 + 2 * q2 + 3 * q3 + 4) >> 3, 1, 65535)

    def vectors(self, guess):
        short, long = self.matchers
        c0, b, h = self.c0, self.b, self.history
        k = long.length_class() if long.bit is not None else short.length_class() if short.bit is not None else 0
        g = 0 if None in (long.bit, short.bit) else 1 + (long.bit == short.bit)
        fourth = 8 * ((guess + 4096) >> 8) + b if self.guide else h.c4 >> 8 & 255
        fifth = (self.order * 8 + b) * 4 + (k + 3) // 5
        return [c0, h.c1, (3 * k + g) * 8 + b, fourth, fifth, self.selector * 8 + b]

    def update(self, y):
        self.mixer.update(y, self.rate())
        for part in self.stages + self.matchers:
            part.update(y)
        node = self.node()
        for m, slot in zip(self.maps, self.nodes):
            state = slot[node]
            m[state] += (y * (2**22 - 1) - m[state]) >> 7
            slot[node] = NEXT[state][y]
        self.c0 = 2 * self.c0 + y
        self.b += 1
        if self.b == 4:
            self.store_slots()
            self.load_slots(lambda k: self.slots.second(k, self.c0))
        elif self.b == 8:
            self.end_byte()

    def rate(self):
        n = len(self.history.bytes)
        return 20 if n < 8192 else 14 if n < 65536 else 10

    def end_byte(self):
        self.store_slots()
        self.history.push(self.c0 & 255, parse_code=self.kind == 3)
        for matcher in self.matchers:
            matcher.push(self.history)


# Branch filter


def unfilter(data):
    out, at, before, last = bytearray(data), 0, 0, 0
    while at < len(out):
        if (last in (0xE8, 0xE9) or (before == 0x0F and 0x80 <= last <= 0x8F)) and at + 4 <= len(out):
            v = int.from_bytes(out[at:at + 4], "little", signed=True)
            if -(1 << 24) <= v < 1 << 24:
                v = (v - (at + 4) + (1 << 24)) % (1 << 25) - (1 << 24)
                out[at:at + 4] = v.to_bytes(4, "little", signed=True)
            at, before, last = at + 4, 0, 0
        else:
            at, before, last = at + 1, last, out[at]
    return bytes(out)


def decode(payload, raw_length, network_weights=None):
    """The raw bytes of one block; the weights are those of the model that a guided block names."""
    header = Header(payload)
    demand(header.guided == (network_weights is not None), "a block names a model if, and only if, it is guided")
    demand(raw_length <= 46000 * (len(payload) - 8 + 4), "payload too short")
    decoder = BinaryDecoder(payload, 8)
    predictor = Predictor(header, network_weights)
    for _ in range(raw_length):
        predictor.start_byte()
        for _ in range(8):
            predictor.update(decoder.decode(predictor.predict()))
    demand(decoder.at >= len(payload), "payload left at the end")
    raw = bytes(predictor.history.bytes)
    return unfilter(raw) if header.kind == 3 else raw
