"""Flags of `light` and `mix`, written from formats/light.md and formats/mix.md, and what they share with the other
decisions of `light`: inputs, a row of weights, and probabilities that move.

Slow and clear. Names follow the specification.
"""

from lm import SQUASH, clamp
from mix_contexts import MASK32, H

RATES = (4, 4, 3, 3, 3, 3, 3, 4)
SQUASH_LIST = [int(p) for p in SQUASH]


def line(v):
    e = v.bit_length() - 1
    return 256 * e + ((v << 8) >> e)


def inputs(probabilities):
    x = []
    for p in probabilities:
        limited = clamp(p, 16, 65520)
        x += [(p - 32768) >> 5, line(limited) - line(65536 - limited)]
    return x


def mixed_logit(row, x):
    pairs = [row[i] * x[i] + row[i + 1] * x[i + 1] for i in range(0, 16, 2)]
    return clamp(sum(pair >> 5 for pair in pairs) >> 9, -4095, 4095)


def learn_row(row, x, mixed, y, rate):
    error = ((y * 65536 - mixed) * rate) >> 8
    for i, value in enumerate(x):
        row[i] = clamp(row[i] + ((value * error + (1 << 14)) >> 15), -32768, 32767)


def moved(probabilities, y, rates):
    return [p + ((65535 * y - p + y * ((1 << r) - 1)) >> r) for p, r in zip(probabilities, rates)]


def is_due(shortest, matcher):
    """Whether a byte that this match model expects begins with a flag."""
    return matcher.length >= shortest or (matcher.misses > 0 and matcher.length >= shortest // 2)


class Flags:
    def __init__(self, stage, bits, halves=1):
        """There are eight sources, or twice as many, with 2^bits probabilities each."""
        self.stage, self.bits = stage, bits
        self.sources = [{} for _ in range(8 * halves)]
        self.rows = [[[0, 2800 // halves] * 8 for _ in range(halves)] for _ in range(16)]
        self.recent = 0xFFF

    def hashed(self, a, e):
        return (H(a, e) * 0x9E3779B1 & MASK32) >> (32 - self.bits)

    def places(self, history, e, place, length_class):
        """The numbers of the first eight sources' probabilities; `place` is that of the first one."""

        def hashed(a):
            return self.hashed(a, e)

        c4, c8 = history.c4, history.c8
        return [
            place,
            16 * e + length_class,
            hashed(c4 & 0xFF),
            hashed(c4 & 0xFFFF),
            hashed(c4 & 0xFFFFFF),
            hashed(H(c4, c8 & 0xFF)),
            hashed(H(history.field, history.w)),
            self.recent,
        ]

    def predict(self, e, places, length_class):
        """The probability that the expected byte e comes."""
        self.at, self.rows_used = places, self.rows[length_class]
        self.p = [source.get(at, 63488) for source, at in zip(self.sources, places)]
        self.x = [inputs(self.p[k:k + 8]) for k in range(0, len(places), 8)]
        logit = clamp(sum(mixed_logit(row, x) for row, x in zip(self.rows_used, self.x)), -4095, 4095)
        self.mixed = SQUASH_LIST[logit + 4096]
        return clamp((self.mixed + self.stage.refine(logit, e) + 1) >> 1, 8, 65528)

    def update(self, y):
        for row, x in zip(self.rows_used, self.x):
            learn_row(row, x, self.mixed, y, 20)
        self.stage.update(y)
        rates = RATES * (len(self.sources) // 8)
        for source, at, p in zip(self.sources, self.at, moved(self.p, y, rates)):
            source[at] = p
        self.recent = (2 * self.recent + y) & 0xFFF
