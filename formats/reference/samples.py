"""Expected samples of `mix`, written from formats/mix.md.

Slow and clear. Names follow the specification.
"""

import numpy as np

from flags import line
from lm import clamp
from mix_contexts import T


def span(a, b):
    return list(range(a, b + 1))


# The distances to the left, by channels and rows.
NEIGHBOURS = {
    1: [span(1, 6), span(-5, 5), span(-4, 4), span(-2, 2), [0]],
    3: [span(1, 6) + [9, 12], span(-6, 6), [-6] + span(-3, 3) + [6], [-3, 0]],
    4: [span(1, 8) + [12], [-8] + span(-5, 5) + [8], [-8, -4] + span(-1, 1) + [4, 8], [-4, 0, 4]],
}


class LeastSquares:
    def __init__(self, q, s, T):
        self.q, self.s, self.T, self.u = q, s, T, 0
        self.R = np.zeros((32, 32), dtype=np.int64)
        self.B = np.zeros(32, dtype=np.int64)
        self.W = np.zeros(32, dtype=np.int64)

    def learn(self, x, y):
        half = 2 ** (self.s - 1)
        self.R += ((np.outer(x, x) << self.q) - self.R + half) >> self.s
        self.B += ((x * y << self.q) - self.B + half) >> self.s
        self.u = (self.u + 1) % self.T
        for i in range(self.u, 32, self.T):
            S = (int(self.B[i]) << 16) - int((self.R[i] * self.W).sum())
            m = (int(self.R[i, i]) + 2**self.q).bit_length()
            self.W[i] = clamp(int(self.W[i]) + (S >> m), -(2**19), 2**19)


def first_sums():
    g = [2**30 // ((abs(j - 256) + 1) ** 2 + 8) for j in range(512)]
    return np.array([2**22 * sum(g[:j]) // sum(g) for j in range(513)], dtype=np.int64)


class Samples:
    FIRST_SUMS = first_sums()

    def __init__(self, kind, n):
        self.is_16_bit, self.is_sound = kind in (4, 6), kind == 6
        self.channels, self.row = (1, n // 2) if kind == 4 else (n // 2, n) if kind == 6 else (kind - 4, n)
        self.L, q = (4095, 6) if self.is_16_bit else (255, 14)
        s, T = (9, 4) if self.is_sound else (11, 8)
        self.squares = [LeastSquares(q, s, T) for _ in range(self.channels)]
        if self.is_sound:
            self.backs = span(1, 32) if self.channels == 1 else list(range(2, 49, 2)) + list(range(1, 16, 2))
        else:
            rows = NEIGHBOURS[self.channels]
            self.neighbours = [(max(1, r * self.row + d), d % self.channels) for r, ds in enumerate(rows) for d in ds]
        self.x = np.zeros(32, dtype=np.int64)
        self.v, self.E = [], []
        self.b = self.p = self.energy = 0
        self.sums = {}
        self.expect_byte(b"")

    def back(self, k):
        return self.v[-k] if k <= len(self.v) else 0

    def error(self, k):
        return self.E[-k] if k <= len(self.E) else 0

    def channel(self):
        return len(self.v) % self.row % self.channels

    def push(self, data):
        """Learns the last byte of `data`."""
        self.learn_residual(data[-1])
        if not self.is_16_bit:
            self.learn_sample(data[-1])
        elif len(data) % 2 == 0:
            self.learn_sample(data[-2] + 256 * data[-1])
        self.expect_byte(data)

    def learn_sample(self, v):
        x, y = self.x, v - self.b
        if self.is_sound:
            m = int(abs(x).max()).bit_length()
            up, down = max(0, 12 - m) // 2, max(0, m - 12)
            x, y = np.clip(x << up >> down, -self.L, self.L), y << up >> down
        self.squares[self.channel()].learn(x, clamp(y, -self.L, self.L))
        self.E.append(min(65535, abs(16 * v - self.p) >> (2 if self.is_16_bit else 0)))
        self.v.append(v)
        if self.is_sound:
            steps = [self.back(k) - self.back(k + self.channels) for k in self.backs]
            self.x = np.array(steps)
            self.b = self.back(self.channels)
        else:
            bases = [(self.back(self.channels + c) + self.back(self.row + c)) >> 1 for c in range(self.channels)]
            self.x = np.array([clamp(self.back(k) - bases[c], -self.L, self.L) for k, c in self.neighbours])
            self.b = bases[0]
        total = int((self.squares[self.channel()].W * self.x).sum())
        top = 65535 if self.is_16_bit else 255
        self.p = clamp(16 * self.b + ((total + 2**11) >> 12), 0, 16 * top)
        near = 2 * self.error(self.channels) + 2 * self.error(self.row) + self.error(1)
        z = 8 + near + self.error(self.row - self.channels) + self.error(self.row + self.channels)
        t = z.bit_length() - 1
        self.energy = min(31, 2 * t - 6 + (z >> (t - 1) & 1))

    def expect_byte(self, data):
        self.P = self.p + 8
        h = len(data) % 2
        self.is_low = self.is_16_bit and h == 0
        if self.is_16_bit and h == 1:
            d = (self.P >> 4) - data[-1] + 128
            self.e, f = clamp(d >> 8, 0, 255), d >> 6 & 3
        else:
            self.e, f = self.P >> 4 & 255, self.P >> 2 & 3
        c = h if self.is_16_bit else self.channel()
        self.C = self.sums.setdefault((c * 32 + self.energy) * 4 + f, self.FIRST_SUMS.copy())

    def learn_residual(self, v):
        r = (v - self.e + 128) % 256 - 128 if self.is_low else v - self.e
        target = np.where(np.arange(512) > r + 256, 2**22, 0)
        self.C[:512] += (target - self.C[:512]) >> 7

    def share(self, a, b):
        def sums(j):
            return 0 if j < 0 else int(self.C[j]) if j <= 512 else 2**22

        places = (0, -256, 256) if self.is_low else (0,)
        return sum(sums(b - self.e + 256 + t) - sums(a - self.e + 256 + t) for t in places) + 4 * (b - a)

    def guess(self, c0, b):
        half = 128 >> b
        low = (c0 << (8 - b)) - 256
        S0, S1 = self.share(low, low + half), self.share(low + half, low + 2 * half)
        return clamp(line(S1) - line(S0), -4095, 4095)

    def row_of_mixer(self, c0, b):
        so_far = (self.e + 256) >> (8 - b)
        x = 0 if c0 == so_far else 1 if c0 > so_far else 2
        return (8 * x + b) * 8 + (4 * self.e >> (7 - b) & 7)

    def contexts(self, h):
        """The contexts that are replaced, by their numbers from 1."""
        if self.is_16_bit:
            low = h.c1 | 256 if len(h.bytes) % 2 else 0
            pairs = {1: (self.P >> 4, 0), 10: (self.P >> 6, self.energy >> 1), 15: (self.e, self.energy)}
            return {k: T(a, b, low | k << 10) for k, (a, b) in pairs.items()}
        pairs = {1: (self.e, 0), 8: (self.e, h.c1), 11: (self.e, h.c4 & 0xFFFF)}
        return {k: T(a, b, self.channel() | k << 8) for k, (a, b) in pairs.items()}
