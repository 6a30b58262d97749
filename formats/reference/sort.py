"""Reference decoder of `sort` payloads, written from formats/sort.md. Slow and clear. Names follow the specification."""

import lm
import mix
from mix import demand

LEAST = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 25, 41, 73, 201)


class Coder(lm.BinaryDecoder):
    def choose(self, bounds):
        """The symbol i that owns the parts bounds[i]..bounds[i + 1]."""
        scale = self.range >> 16
        part = ((self.point - self.low) & lm.MASK64) // scale
        demand(part < 1 << 16, "not a payload that an encoder writes")
        symbol = max(i for i, b in enumerate(bounds[:-1]) if b <= part)
        self.low = (self.low + scale * bounds[symbol]) & lm.MASK64
        self.range = scale * (bounds[symbol + 1] - bounds[symbol])
        if self.range < 1 << 32:
            self.low = self.low << 32 & lm.MASK64
            self.range <<= 32
            self.point = (self.point << 32 & lm.MASK64) + self.read(4)
        return symbol

    def bits(self, c):
        return self.choose([i << (16 - c) for i in range((1 << c) + 1)]) if c else 0


class Mixture:
    def __init__(self, limits):
        self.limits = limits
        self.sum = 65536 - 66 * len(limits) - 8
        self.rows, self.sets = {}, {}

    def code(self, coder, contexts, which):
        k = len(self.limits)
        rows = [
            self.rows.setdefault((i, c), [[2048 * j for j in range(17)], 0]) for i, c in enumerate(contexts)
        ]
        held = self.sets.setdefault(which, [self.sum // k * 64] * k)
        w = [(x >> 6) + 64 for x in held]
        bounds = [0] * 16 + [65536]
        for i in range(1, 16):
            a = 2 * sum(d[i] * w[j] >> 16 for j, (d, _) in enumerate(rows))
            bounds[i] = a - (a >> 10) + 4 * i
        y = coder.choose(bounds)
        parts = [w[j] * (d[y + 1] - d[y]) >> 16 for j, (d, _) in enumerate(rows)]
        if sum(parts):
            f = (self.sum << 15) // sum(parts)
            held[:] = [x - (x >> 6) + (p * f >> 15) for x, p in zip(held, parts)]
        for row, limit in zip(rows, self.limits):
            d, n = row
            r = (65536 + (2 * n + 3) // 2) // (2 * n + 3)
            for i in range(1, 16):
                d[i] += ((32767 if i > y else 0) - d[i]) * r + (1 << 14) >> 15
            row[1] = n + (n < limit)
        return y


def class8(x):
    return sum(x >= least for least in (1, 2, 3, 4, 6, 10, 21))


def length8(x):
    return sum(x >= least for least in (1, 2, 3, 5, 9, 21, 81))


def class16(x):
    if x < 5:
        return x
    e = x.bit_length() - 1
    return min(15, 2 * e + (x >> (e - 1) & 1))


def pair(a, b, c):
    return (256 * a + b) * 0x9E3779B1 % (1 << 32) >> (32 - c)


class Runs:
    def __init__(self, coder):
        self.coder = coder
        self.first = Mixture([30] + [127] * 5)
        self.rest = Mixture([127] * 3)
        self.rank_first = Mixture([30] + [127] * 5)
        self.rank_high, self.rank_low = Mixture([127] * 4), Mixture([127] * 4)
        limits = [30, 255, 14, 127, 127, 127]
        self.high, self.low = Mixture(limits), Mixture(limits)
        self.lengths = [[0] * 3 for _ in range(256)]
        self.ranks = [[0] * 3 for _ in range(256)]
        self.n, self.g, self.p, self.average = [0] * 2, [0] * 3, [0] * 2, 0

    def rank(self, b, second):
        r, (l1, _, _), g = self.ranks[b], self.lengths[b], self.g
        average = class16(self.average >> 6)
        eights = lambda *xs: sum(x << 3 * i for i, x in enumerate(reversed(xs)))
        contexts = [
            b,
            eights(*map(class8, r), length8(l1)),
            eights(*map(class8, g), length8(self.n[0])),
            eights(b, class8(r[0]), class8(r[1])),
            pair(b, second, 14),
            eights(average, class8(r[0]), class8(g[0]), length8(l1)),
        ]
        s = self.rank_first.code(self.coder, contexts, class16(r[0]))
        if s < 15:
            return s + 1
        contexts = [0, b, 16 * class16(r[0]) + class16(r[1]), average]
        h = self.rank_high.code(self.coder, contexts, 0)
        return 16 + 16 * h + self.rank_low.code(self.coder, [16 * c + h for c in contexts], 0)

    def symbol(self):
        p, q = self.p
        hashed = pair(p, q, 14)
        h = self.high.code(self.coder, [0, 0, 0, p, hashed, q], length8(self.n[0]))
        contexts = [h, h, h, 16 * p + h, pair(hashed, h, 15), 16 * q + h]
        return 16 * h + self.low.code(self.coder, contexts, h)

    def length(self, b, rank):
        l, r1, n = self.lengths[b], self.ranks[b][0], self.n
        eights = lambda *xs: sum(x << 3 * i for i, x in enumerate(reversed(xs)))
        contexts = [
            b,
            eights(class8(rank), class8(r1), length8(l[0]), length8(l[1])),
            eights(class8(rank), class8(self.g[0]), length8(n[0]), length8(n[1])),
            256 * class16(l[0]) + 16 * class16(l[1]) + class16(l[2]),
            eights(b, length8(l[0]), length8(l[1])),
            pair(b, class8(rank) if rank else self.p[0], 14),
        ]
        s = self.first.code(self.coder, contexts, length8(l[0]))
        if s < 8:
            return LEAST[s]
        q = self.rest.code(self.coder, [s, 16 * s + class16(l[0]), 16 * s + class16(n[0])], s)
        if s < 15:
            even = {13: 1, 14: 3}.get(s, 0)
            return LEAST[s] + (q << even) + self.coder.bits(even)
        if q == 15:
            q += self.coder.bits(4)
        demand(q < 24, "a run that is too long")
        u = max(q, 16) - 16
        t = (1 << u) + self.coder.bits(u)
        return 200 + (t << (q - u)) + self.coder.bits(q - u)

    def run(self, b, rank):
        length = self.length(b, rank)
        self.lengths[b] = [length] + self.lengths[b][:2]
        self.ranks[b] = [rank] + self.ranks[b][:2]
        self.n, self.g, self.p = [length, self.n[0]], [rank] + self.g[:2], [b, self.p[0]]
        self.average += (256 * min(rank, 64) - self.average) >> 3
        return length


def restore(last, starts, part):
    n = len(last)
    counts = [0] * 256
    for b in last:
        counts[b] += 1
    c = [1 + sum(counts[:b]) for b in range(256)]
    steps = [None] * (n + 1)
    for i, b in enumerate(last):
        steps[c[b]] = (i if i < starts[0] else i + 1, b)
        c[b] += 1
    raw = bytearray()
    for row in starts:
        for _ in range(min(part, n - len(raw))):
            # Only a damaged block leads to row 0.
            row, b = steps[row] or (0, 0)
            raw.append(b)
    return bytes(raw)


def decode(payload, n):
    demand(len(payload) >= 2, "truncated")
    demand(payload[0] == 1 and payload[1] < 8, "newer")
    demand(n <= 1 << 24 and n <= 46000 * (len(payload) + 8), "too long")
    part = n if n < 4096 else 1 << (-(-n // (8 if n < 1 << 22 else 32)) - 1).bit_length()
    count = -(-n // part)
    at = 2 + 3 * count
    demand(len(payload) >= at, "truncated")
    starts = [int.from_bytes(payload[i : i + 3], "little") for i in range(2, at, 3)]
    starts = [s or n >> 24 << 24 for s in starts]  # a start of 2^24 is stored as 0
    demand(all(1 <= s <= n for s in starts), "a start outside of the block")
    coder = Coder(payload[at:])
    runs, last = Runs(coder), bytearray()
    ranks = payload[1] & 1 == 0
    order = [coder.bits(8) for _ in range(coder.bits(8) + 1)] if ranks else []
    while len(last) < n:
        rank = 0
        if ranks:
            b = order[0]
            rank = runs.rank(b, order[1]) if len(order) > 1 else 0
            demand(rank < len(order), "a rank past the list's end")
            order.insert(rank, order.pop(0))
        else:
            b = runs.symbol()
        last += bytes([b]) * runs.run(b, rank)
        demand(len(last) <= n, "a run past the block's end")
    demand(len(coder.payload) <= coder.at <= len(coder.payload) + 15, "payload left, or cut")
    raw = restore(last, starts, part)
    return mix.code(payload[1] >> 1, raw) if payload[1] > 1 else raw
