"""Reference decoder of `lm` windows, written from formats/lm.md and formats/coder.md.

Slow and clear. Usage: lm.py WEIGHTS WINDOWS RAW [TRACE]

Decodes the windows (lines of "raw-length payload-in-hex") and compares the result with RAW, and the steps of the first
window with TRACE.
"""

import math
import os
import sys

import numpy as np

TABLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tables")


def table(name, dtype):
    return np.fromfile(os.path.join(TABLES, name), dtype=dtype).astype(np.int64)


SQUASH = table("squash.bin", "<u2")
EXP2 = table("exp2.bin", "<u4")
LOG2 = table("log2.bin", "u1")

MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF


class Corrupt(Exception):
    """The data is not what an encoder writes."""


class Matrix:
    def __init__(self, rows, cols, read, bound):
        self.weights = np.frombuffer(read(rows * cols), dtype=np.int8).astype(np.int64).reshape(rows, cols)
        self.bias = np.frombuffer(read(4 * rows), dtype="<i4").astype(np.int64)
        self.shift = np.frombuffer(read(rows), dtype=np.uint8).astype(np.int64)
        if self.shift.max() > 31:
            raise Corrupt("shift above 31")
        self.round = np.where(self.shift > 0, np.left_shift(1, np.maximum(self.shift, 1) - 1), 0)
        if (np.abs(self.bias) + bound * np.abs(self.weights).sum(axis=1) + self.round).max() >= 1 << 31:
            raise Corrupt("a row could overflow")

    def product(self, x):
        return (self.bias + self.weights @ x + self.round) >> self.shift


class Model:
    def __init__(self, data):
        at = 0

        def read(n):
            nonlocal at
            if at + n > len(data):
                raise Corrupt("the weight file is too short")
            at += n
            return data[at - n : at]

        def number(n):
            return int.from_bytes(read(n), "little")

        if read(8) != b"\x93NZLM\r\n\x1a" or number(2) != 1:
            raise Corrupt("not a weight file of version 1")
        d, h, m = number(2), number(2), number(2)
        layers, e, n = number(1), 2 * number(1), number(1)
        self.d, self.h, self.layers = d, h, layers
        self.tables = [(number(1), number(1)) for _ in range(n)]
        self.entries = [np.frombuffer(read(e << r), dtype=np.int8).astype(np.int64).reshape(-1, e) for _, r in self.tables]
        self.input = Matrix(d, n * e, read, 128)
        self.layer = [
            [Matrix(3 * h, d, read, 32767), Matrix(d, h, read, 32767), Matrix(m, d, read, 32767), Matrix(d, m, read, 32767)]
            for _ in range(layers)
        ]
        self.head = Matrix(256, d, read, 32767)
        if at != len(data):
            raise Corrupt("bytes after the end of the weight file")


def row(order, log2_rows, history):
    recent = [history[-i] if i <= len(history) else 0 for i in range(1, order + 1)]
    if order == 1:
        return recent[0]
    k = order
    for c in recent:
        k = (k + c + 1) * 0x9E3779B1 & MASK32
        k ^= k >> 15
    return (k * 0x85EBCA6B & MASK32) >> (32 - log2_rows)


def norm(x):
    total = sum(int(v) * int(v) for v in x)
    v = math.isqrt(total * 256 // len(x))
    t = (1 << 36) // max(v, 64)
    return np.clip((x * t + (1 << 21)) >> 22, -32767, 32767)


def squash(a):
    return SQUASH[np.clip(a, -4096, 4095) + 4096]


def step(model, state, history):
    """The weights of the 256 symbols. Advances `state` by one step."""
    limit = (1 << 22) - 1
    u = np.concatenate([entries[row(o, r, history)] for (o, r), entries in zip(model.tables, model.entries)])
    x = np.clip(model.input.product(u), -limit, limit)
    for l, (gates, out, up, down) in enumerate(model.layer):
        a, b, g = np.split(gates.product(norm(x)), 3)
        c = np.clip(b, -32767, 32767)
        state[l] += (squash(a) * ((c << 9) - state[l]) + (1 << 15)) >> 16
        y = ((state[l] >> 9) * squash(g) + (1 << 15)) >> 16
        x = np.clip(x + out.product(y), -limit, limit)
        q = np.clip(up.product(norm(x)), 0, 1448)
        x = np.clip(x + down.product((q * q + 32) >> 6), -limit, limit)
    logits = model.head.product(norm(x))
    d = np.minimum(logits.max() - logits, 8191)
    return (EXP2[d & 255] >> (d >> 8)) + 1


def lg(p):
    e = p.bit_length() - 1
    return 256 * e + int(LOG2[(p << (16 - e)) >> 8 & 255])


def stretch(p):
    return lg(p) - lg(65536 - p)


def clamp(x, low, high):
    return min(max(x, low), high)


def mix(k):
    k = k * 0x9E3779B1 & MASK32
    return (k ^ k >> 15) * 0x85EBCA6B & MASK32


def is_letter(byte):
    return byte > 127 or ord("a") <= byte | 32 <= ord("z")


class Adaptive:
    GUESSES = ((0, 9), (512, 10), (1536, 10), (2560, 10))

    def __init__(self):
        self.by_node = [[7500, 0, 0, 0, 0, 0, 0, 0] for _ in range(256)]
        self.by_last = [[0] * 8 for _ in range(256)]
        self.by_match = [[0, 2048, 1500, 1500, 1500, 1500, 0, 0] for _ in range(16)]
        self.counters = [[2048, 0] for _ in range(256)]
        self.guesses = [[0, 0, 0] for _ in range(3584)]
        classes = list(range(16)) + [i & 7 for i in range(16, 48)]
        self.confidence = [65536 - (65536 >> (k // 2 + 2)) for k in classes]
        self.positions = [0] * 4096
        self.position = self.length = self.expected = self.word = 0

    def before_byte(self, b):
        n = self.n = len(b)
        c1, c2, c3, c4 = [b[-i] if n >= i else 0 for i in (1, 2, 3, 4)]
        self.last = c1
        if n >= 1:
            if self.length > 0 and self.expected == c1:
                self.length = min(self.length + 1, 32)
                self.position += 1
            else:
                self.length = 0
        if n >= 5:
            k = int.from_bytes(b[n - 5 : n - 1], "little") * 0x9E3779B1 & MASK32
            k = (k ^ b[n - 1]) * 0x85EBCA6B & MASK32
            i = k >> 20
            if self.length == 0:
                self.position = max(0, n - ((n - self.positions[i]) & 65535))
                if 0 < self.position < n:
                    length = 0
                    while length < 32 and length < self.position and b[self.position - 1 - length] == b[n - 1 - length]:
                        length += 1
                    self.length = length if length >= 5 else 0
            self.positions[i] = n & 65535
        if self.length > 0:
            self.expected = b[self.position]
        self.word = mix(self.word + (c1 | 32) + 1 & MASK32) if n >= 1 and is_letter(c1) else 0
        two = c1 + (c2 << 8)
        three = two + (c3 << 16)
        keys = (two + 2, three + 3, three + (c4 << 24) + 4, self.word + c1 + 5)
        self.experts = [None] * 5  # byte, index of the confidence, strength
        if self.length > 0:
            f = min(self.length - 4, 11) if self.length < 16 else 12 + (self.length - 16) // 5
            self.experts[0] = (self.expected, f, stretch(self.confidence[f]))
        self.slots = []
        for j, (start, r) in enumerate(self.GUESSES):
            k = mix(keys[j] & MASK32)
            slot, check = start + (k >> (32 - r)), k >> (28 - r) & 15
            byte, found, count = self.guesses[slot]
            if found != check:
                count = 0
            self.slots.append((slot, check, count))
            if count > 0:
                f = 16 + 8 * j + count
                self.experts[1 + j] = (byte, f, stretch(self.confidence[f]))

    def probability(self, c, s0, s1):
        t = c.bit_length() - 1
        k = max(0, (s0 + s1).bit_length() - 16)
        q = clamp(((s1 >> k) << 16) // ((s0 + s1) >> k), 1, 65535)
        self.inputs = [stretch(q)]
        self.active = []
        for expert in self.experts:
            value = 0
            if expert and (expert[0] + 256) >> (8 - t) == c:
                bit = expert[0] >> (7 - t) & 1
                value = expert[2] if bit else -expert[2]
                self.active.append((expert[1], bit))
            self.inputs.append(value)
        p, n = self.counters[c]
        self.inputs += [stretch((p << 4 | 15) - 7), 256]
        self.m = self.active[0][0] if self.active and self.active[0][0] < 16 else 0
        self.sets = (self.by_node[c], self.by_last[self.last], self.by_match[self.m])
        s = sum(w * i for weights in self.sets for w, i in zip(weights, self.inputs))
        self.p = clamp(int(squash((s + 4096) >> 13)), 4, 65532)
        return self.p

    def update(self, c, bit):
        e = (65536 * bit - self.p) >> 1
        h = 18 if self.n < 8192 else 19
        for weights in self.sets:
            for i, value in enumerate(self.inputs):
                weights[i] = clamp(weights[i] + ((value * e + (1 << (h - 1))) >> h), -(1 << 14), 1 << 14)
        p, n = self.counters[c]
        p += ((4095 * bit - p) * (131072 // (2 * n + 3)) + (1 << 15)) >> 16
        self.counters[c] = [p, min(n + 1, 14)]
        for f, expected in self.active:
            goal = 65535 if bit == expected else 0
            self.confidence[f] = clamp(self.confidence[f] + ((goal - self.confidence[f]) >> 6), 64, 65471)

    def after_byte(self, byte):
        for slot, check, count in self.slots:
            old = self.guesses[slot][0]
            if count > 0 and old == byte:
                self.guesses[slot] = [old, check, min(count + 1, 7)]
            elif count > 2:
                self.guesses[slot] = [old, check, count // 2]
            else:
                self.guesses[slot] = [byte, check, 1]


class BinaryDecoder:
    def __init__(self, payload):
        self.payload = payload
        self.at = 0
        self.low, self.range = 0, MASK64
        self.point = self.read(8)

    def read(self, n):
        part = self.payload[self.at : self.at + n]
        self.at += n
        return int.from_bytes(part + bytes(n - len(part)), "big")

    def decode(self, p):
        scale = self.range >> 16
        t = (self.point - self.low) & MASK64
        if t // scale >= 1 << 16:
            raise Corrupt("the payload is not one that an encoder writes")
        z = scale * (65536 - p)
        bit = int(t >= z)
        if bit:
            self.low = (self.low + z) & MASK64
            self.range = scale * p
        else:
            self.range = z
        if self.range < 1 << 32:
            self.low = self.low << 32 & MASK64
            self.range <<= 32
            self.point = (self.point << 32 & MASK64) + self.read(4)
        return bit


def decode_window(model, payload, raw_length, on_step=None):
    """The raw bytes of one window."""
    coder = BinaryDecoder(payload)
    adaptive = Adaptive()
    state = [np.zeros(model.h, dtype=np.int64) for _ in range(model.layers)]
    raw = bytearray()
    while len(raw) < raw_length:
        weights = step(model, state, raw)
        sums = [0] * 256 + [int(w) for w in weights]
        for c in range(255, 0, -1):
            sums[c] = sums[2 * c] + sums[2 * c + 1]
        adaptive.before_byte(raw)
        c = 1
        probabilities = []
        for _ in range(8):
            p = adaptive.probability(c, sums[2 * c], sums[2 * c + 1])
            probabilities.append(p)
            bit = coder.decode(p)
            adaptive.update(c, bit)
            c = 2 * c + bit
        raw.append(c & 255)
        adaptive.after_byte(raw[-1])
        if on_step:
            on_step(len(raw) - 1, raw[-1], state, weights, probabilities)
    return bytes(raw)


def fnv(numbers):
    value = 0xCBF29CE484222325
    for byte in np.asarray(numbers, dtype="<i8").astype("<u4").tobytes():
        value = (value ^ byte) * 0x100000001B3 & MASK64
    return value


def replay(decode_window, model, windows, expected, check):
    """Decodes the windows of a list. `check` is called for every step of the first window."""
    decoded = b""
    for number, line in enumerate(open(windows).read().splitlines()):
        length, payload = line.split(" ")
        decoded += decode_window(model, bytes.fromhex(payload), int(length), check if number == 0 else None)
    if decoded != expected:
        raise Corrupt("the decoded bytes differ")
    return decoded


def main(weights, windows, raw, trace=None):
    model = Model(open(weights, "rb").read())
    expected = open(raw, "rb").read()
    steps = open(trace).read().splitlines() if trace else []

    def check(number, byte, state, weights, probabilities):
        if number < len(steps):
            line = f"{number} {byte} {fnv(np.concatenate(state)):016x} {fnv(weights):016x} "
            line += " ".join(map(str, probabilities))
            if line != steps[number]:
                raise Corrupt(f"step {number} differs:\n{line}\n{steps[number]}")

    decoded = replay(decode_window, model, windows, expected, check)
    print(f"{len(decoded)} bytes agree, {len(steps)} steps traced")


if __name__ == "__main__":
    main(*sys.argv[1:])
