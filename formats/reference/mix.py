"""Reference decoder of `mix` payloads, written from formats/mix.md (and formats/lm.md for tables and guides).

Slow and clear. Names follow the specification; the contexts are in `mix_contexts`.
"""

import functools
import os

import numpy as np
import zstandard

import flags
import lm
from checksums import blake3
from lm import SQUASH, Corrupt, clamp
from mix_contexts import TEXT, H, History, contexts, final_hash, neighbours
from samples import Samples

PRIORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "mix")
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
CONTEXTS, FAMILIES, FINALS = 24, (256, 256, 384, 256, 2048), 512


def demand(condition, message):
    if not condition:
        raise Corrupt(message)


# Payload


class Header:
    def __init__(self, payload):
        demand(len(payload) >= 8, "truncated")
        demand(payload[0] in (1, 2, 3), "newer: version")
        self.table_bits, self.groups, phrases, self.kind = payload[1:5]
        self.n = int.from_bytes(payload[5:7], "little")
        self.guide = payload[7]
        self.phrase_limit = 4096 * phrases
        demand(16 <= self.table_bits <= 30, "size of the slot table out of range")
        demand(1 <= self.groups <= 3, "groups of contexts out of range")
        demand(phrases == 0 or self.kind == 0, "phrases where they prime nothing")
        demand(parameter_fits(self.kind, self.n), "kind or parameter out of range")
        demand(self.guide <= 2, "newer: guide")
        demand(self.guide == 0 or self.kind == 0, "a guide where it guides nothing")
        self.end, self.shortest, self.doubt = 8, 0, 0
        self.expects_samples = payload[0] == 3
        demand(not self.expects_samples or self.kind in range(4, 9), "no samples to expect")
        if payload[0] > 1:
            demand(len(payload) >= 10, "truncated")
            self.end, (self.shortest, self.doubt) = 10, payload[8:10]
            none = self.expects_samples and self.shortest == self.doubt == 0
            demand(none or (self.shortest > 0 and self.doubt > 0 and self.guide == 0), "flags out of range")


def parameter_fits(kind, n):
    if kind in (0, 1, 3, 9, 10):
        return n == 0
    if kind == 2:
        return n >= 1
    if kind == 4:
        return n >= 4 and n % 2 == 0
    if kind == 6:
        return n in (2, 4)
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


def inputs_of(q):
    """The two inputs of a 12-bit probability."""
    return [STRETCH[q], q - 2048]


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
    """All histories in order of discovery, and the numbers of each one's two successors."""
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
        """The offset in the table of the slot with this check, which is cleared if it is new."""
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


# Counters


def counted(counter, s):
    """The counter (22-bit probability, count) after the bit s."""
    p, n = counter
    p += ((s * (2**19 - 1) - (p >> 3)) * (8192 // (2 * n + 3))) >> 9
    return p, min(n + 1, 1000)


class Direct:
    """The direct counters of four contexts."""

    def __init__(self):
        self.counters = {}

    def start(self, c, c1, hashes):
        """`c` is 0 for a byte's first nibble, else 16 plus that nibble."""
        self.lines = [(0, c), (1, 32 * c1 + c), (2, H(hashes[0], c) >> 16), (3, H(hashes[1], c) >> 16)]

    def predict(self, node):
        self.node = node
        return [inputs_of(self.counters.get(line + (node,), (2**21, 0))[0] >> 10) for line in self.lines]

    def update(self, y):
        for line in self.lines:
            key = line + (self.node,)
            self.counters[key] = counted(self.counters.get(key, (2**21, 0)), y)


# Match models


def counter_number(m):
    """The number of a match model's counter, by its length and misses."""
    k = min(m.misses, 7) if m.length == 0 else 8 + m.length if m.length < 32 else 39 + m.length // 32
    return 4 * k + min(m.misses, 3)


class Matcher:
    def __init__(self, order, bits, counters):
        self.order, self.bits, self.counters = order, bits, counters
        self.heads = {}
        self.refused = False
        self.position = self.length = self.misses = 0
        self.bytes = b""

    def hash(self, h):
        k = 0x9E3779B97F4A7C15
        last = h.c8 << 32 | h.c4
        if self.order == 6:
            return ((last << 16) * k & MASK64) >> (64 - self.bits)
        return (((last * k & MASK64) ^ (h.c12 << 32 | h.c12 >> 7)) * k & MASK64) >> (64 - self.bits)

    def push(self, h):
        self.refused = False
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
        """Sets the expected bit (or None), and returns the two inputs."""
        self.bit = None
        if self.position == 0 or (self.expected_byte() + 256) >> (8 - b) != c0:
            return [0, 0]
        self.bit = self.expected_byte() >> (7 - b) & 1
        self.at = 248 - b if self.refused else counter_number(self)
        p = self.counters[self.at][0] >> 10
        return [v if self.bit else -v for v in inputs_of(p)]

    def update(self, y):
        if self.bit is None:
            return
        self.counters[self.at] = counted(self.counters[self.at], int(y == self.bit))

    def length_class(self):
        if self.position == 0:
            return 0
        if self.length == 0:
            return 2 if self.misses > 3 else 1
        limits = (5, 7, 11, 15, 23, 31, 63, 127, 255, 399, 400)
        return 3 + next(i for i, limit in enumerate(limits) if self.length <= limit)


# Mixer


def bounded_all(values, least, most):
    """`np.clip`, which takes half as long again for a few values."""
    return np.minimum(np.maximum(values, least), most)


def outputs(weights, x):
    """The outputs of rows of weights. Products are summed in eight lanes of pairs, and shifted there."""
    lanes = (weights * x).reshape(len(weights), -1, min(8, len(x) // 2), 2).sum(axis=(1, 3))
    return bounded_all((lanes >> 5).sum(axis=1) >> 9, -4095, 4095)


def moved(weights, x, errors):
    return bounded_all(weights + ((x * errors[:, None] + (1 << 14)) >> 15), -32768, 32767)


def errors(y, logits, rate):
    return ((y * 65536 - SQUASH[logits + 4096]) * rate) >> 8


class Mixer:
    STARTS = np.cumsum((0,) + FAMILIES[:-1])

    def __init__(self, weights, finals):
        self.weights, self.finals = weights, finals

    def mix(self, inputs, vectors, finals):
        """The logit of 64 inputs, by one row of each family and two rows of the second layer."""
        self.x, self.rows = np.array(inputs, dtype=np.int64), self.STARTS + vectors
        self.last = np.array([finals[0], 256 + finals[1]])
        self.first = outputs(self.weights[self.rows], self.x)
        self.x2 = np.zeros(8, dtype=np.int64)
        self.x2[:5] = self.first
        self.second = outputs(self.finals[self.last], self.x2)
        return int(self.second.sum() >> 1)

    def update(self, y, rate):
        self.weights[self.rows] = moved(self.weights[self.rows], self.x, errors(y, self.first, rate))
        self.finals[self.last] = moved(self.finals[self.last], self.x2, errors(y, self.second, 12))


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
    elif kind in (2, 10):
        s = min(position % (n or 4), 255)
    elif kind in (3, 9):
        s = h.code.phase | (h.code.modrm >> 6 & 3) << 6
    elif kind in (4, 6):
        W, _, N, _, NW, _ = neighbours(h, n if kind == 4 else 2 * n)
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
    def __init__(self, kind, guide, model_hash):
        names = {0: "text", 1: "binary", 2: "records", 3: "code", 9: "code", 10: "records"}
        if guide == 2:
            self.learned(guided_prior(model_hash))
        elif kind in names:
            self.learned(read_prior(names[kind]))
        else:
            self.plain()
        if guide == 1:
            # Halves, rounding towards zero.
            self.weights = np.sign(self.weights) * (np.abs(self.weights) // 2)
            self.weights[:, 5], self.weights[:, 14] = 9000, 0

    def learned(self, data):
        rows = sum(FAMILIES)
        demand(len(data) == 2 * (24 * 256 + 2 * 256 + rows * 64 + FINALS * 8), "priors of the wrong length")
        values = np.frombuffer(data, dtype="<u2")
        maps, counters, weights, finals = np.split(values, np.cumsum((24 * 256, 2 * 256, rows * 64)))
        self.maps = (maps.astype(np.int64) * 64).reshape(24, 256).tolist()
        self.counters = [(int(v) * 64, 100) for v in counters]
        self.weights = weights.astype(np.int16).astype(np.int64).reshape(-1, 64)
        self.finals = finals.astype(np.int16).astype(np.int64).reshape(-1, 8)

    def plain(self):
        odds = [(2 * n0 + 1, 2 * n1 + 1) for n0, n1, _ in STATES]
        self.maps = [[2**21] + [2**22 // (a + b) * b for a, b in odds[1:]] for _ in range(24)]
        self.counters = [(52000 * 64, 0)] * 512
        row = [3000 if i < 16 or i % 2 == 0 else 0 for i in range(64)]
        self.weights = np.array([row] * sum(FAMILIES), dtype=np.int64)
        self.finals = np.zeros((FINALS, 8), dtype=np.int64)
        self.finals[:, :5] = 3276


def guided_prior(model_hash):
    for name in ("guided-tiny", "guided-base"):
        data = read_prior(name)
        if data[:32] == model_hash:
            return data[32:]
    raise Corrupt("newer: no priors for this model")


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


@functools.cache
def primed_table(table_bits, count, limit):
    """The table of slots from which every block with these parameters starts."""
    slots, h = Slots(table_bits), History()
    primed = [i for i in (0, 1, 2, 3, 4, 5, 8, 9, 10, 16) if i < count]
    for phrase in phrases(limit):
        h.empty()
        for byte in phrase:
            for i in primed:
                k = final_hash(TEXT[i](h), i)
                learn_nibble(slots.table, slots.first(k), byte >> 4)
                learn_nibble(slots.table, slots.second(k, byte >> 4 | 16), byte & 15)
            h.push(byte)
    return bytes(slots.table)


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
        self.guide = Guide(network_weights) if header.guide else None
        self.samples = Samples(header.kind, header.n) if header.expects_samples else None
        self.history = History()
        self.count = 8 * header.groups
        self.slots = Slots(header.table_bits)
        if self.kind == 0:
            self.slots.table[:] = primed_table(header.table_bits, self.count, header.phrase_limit)
        priors = Priors(self.kind, header.guide, header.guide and blake3(network_weights))
        self.maps = priors.maps
        heads = clamp(header.table_bits - 6, 16, 22)
        self.matchers = [Matcher(6, heads, priors.counters[:256]), Matcher(12, heads, priors.counters[256:])]
        self.direct = Direct()
        self.mixer = Mixer(priors.weights, priors.finals)
        self.stages = [FinalStage() for _ in range(3)]
        self.shortest, self.doubt = header.shortest, header.doubt
        self.flags, self.refused, self.doubtful = flags.Flags(FinalStage(), 16, 2), False, None
        if self.shortest:
            for matcher in self.matchers:
                matcher.counters[240:] = [(2**21, 0)] * 16

    def expected(self):
        """The byte that long matches expect, with the probability that it comes; None without a long match."""
        self.doubtful = None
        short, long = self.matchers
        for m, other in ((long, short), (short, long)):
            if self.shortest and m.position > 0 and flags.is_due(self.shortest, m):
                return m.expected_byte(), self.predict_flag(m, other)
        return None

    def predict_flag(self, m, other):
        h, e = self.history, m.expected_byte()
        a = 0 if other.position == 0 else 2 if other.expected_byte() == e else 1
        places = self.flags.places(h, e, 4 * counter_number(m) + a, m.length_class())
        contexts = [
            H(h.c4, h.c8 & 0xFFFF), H(h.w, h.words[0]), H(h.tag, h.w), H(h.shape, h.c1), H(h.above, h.c1),
            H(H(h.field, h.first), h.prefix), selector(self.kind, self.n, h)
        ]
        places += [(16 * m.length_class() + other.length_class()) * 4 + a]
        places += [self.flags.hashed(context, e) for context in contexts]
        return self.flags.predict(e, places, m.length_class())

    def is_flagged(self, p):
        return p >= 65536 - 32 * self.doubt and self.shortest > 0

    def update_flag(self, y, e):
        self.flags.update(y)
        if y:
            self.push(e)
            return
        self.refused = True
        for m in self.matchers:
            m.refused = m.position > 0 and m.expected_byte() == e

    def start_byte(self):
        h = self.history
        values = contexts(self.kind, self.n, h)
        if self.samples:
            for k, value in self.samples.contexts(h).items():
                values[k - 1] = value
        self.hashes = [final_hash(value, i) for i, value in enumerate(values[:self.count])]
        self.load_slots(self.slots.first)
        self.direct.start(0, h.c1, self.hashes)
        self.order = sum(slot[1] != 0 for slot in self.nodes[:5])
        self.selector = selector(self.kind, self.n, h)
        if self.guide:
            self.guide.before_byte(h.bytes)
        self.c0, self.b = 1, 0

    def load_slots(self, find):
        """Copies out each context's slot. Each is copied before the next one is looked for, which may clear it."""
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
        guess = self.guess()
        inputs = self.matchers[0].predict(c0, self.b) + self.matchers[1].predict(c0, self.b) + [256, guess]
        inputs += sum(self.direct.predict(node), [])
        inputs += [(squash(guess) - 32768) >> 4 if self.guide or self.samples else 0, 0]
        for m, slot in zip(self.maps, self.nodes):
            inputs += inputs_of(m[slot[node]] >> 10)
        inputs += [0] * (64 - len(inputs))
        self.logit = self.mixer.mix(inputs, *self.rows(guess))
        expected = self.samples.e if self.samples else self.matchers[0].expected_byte()
        places = (c0, c0 + 256 * c1, c0 + 256 * expected)
        q1, q2, q3 = [stage.refine(self.logit, place) for stage, place in zip(self.stages, places)]
        return clamp((squash(self.logit) + 2 * q1 + 2 * q2 + 3 * q3 + 4) >> 3, 1, 65535)

    def guess(self):
        if self.samples:
            return self.samples.guess(self.c0, self.b)
        return self.guide.logit(self.c0) if self.guide else 0

    def rows(self, guess):
        """The numbers of the rows in the families of the first layer, and in those of the second layer."""
        short, long = self.matchers
        c0, b, h = self.c0, self.b, self.history
        k = long.length_class() if long.bit is not None else short.length_class() if short.bit is not None else 0
        g = 0 if None in (long.bit, short.bit) else 1 + (long.bit == short.bit)
        k = 0 if self.refused else k
        third = b if self.refused else (3 * k + g) * 8 + b if k > 0 else (42 + self.order) * 8 + b
        if self.samples:
            third = self.samples.row_of_mixer(c0, b)
        fourth = 8 * ((guess + 4096) >> 8) + b if self.guide or self.samples else h.c4 >> 8 & 255
        first = [c0, h.c1, third, fourth, self.selector * 8 + b]
        return first, [self.selector, (self.order * 8 + b) * 4 + (k + 3) // 5]

    def update(self, y):
        self.mixer.update(y, self.rate())
        for part in [*self.stages, *self.matchers, self.direct]:
            part.update(y)
        node = self.node()
        for m, slot in zip(self.maps, self.nodes):
            state = slot[node]
            if state:
                m[state] += (y * (2**22 - 1) - m[state]) >> 7
            slot[node] = NEXT[state][y]
        self.c0 = 2 * self.c0 + y
        self.b += 1
        if self.b == 4:
            self.store_slots()
            self.load_slots(lambda k: self.slots.second(k, self.c0))
            self.direct.start(self.c0, self.history.c1, self.hashes)
        elif self.b == 8:
            self.end_byte()

    def rate(self):
        n = len(self.history.bytes)
        return 20 if n < 8192 else 14 if n < 65536 else 10

    def end_byte(self):
        self.store_slots()
        if self.doubtful is not None:
            self.flags.update(int(self.doubtful == self.c0 & 255))
        self.push(self.c0 & 255)

    def push(self, byte):
        self.refused = False
        self.history.push(byte, parse_code=self.kind in (3, 9))
        if self.samples:
            self.samples.push(self.history.bytes)
        for matcher in self.matchers:
            matcher.push(self.history)


# Filters of code

# Opcodes with an operand that may be relative to the next instruction, and the bytes of the immediate behind it.
OPERANDS = {0x03: 0, 0x39: 0, 0x3B: 0, 0x63: 0, 0x85: 0, 0x89: 0, 0x8B: 0, 0x8D: 0, 0x80: 1, 0x83: 1, 0xC6: 1, 0x81: 4, 0xC7: 4}


def x86(data, long):
    out, at, before, last = bytearray(data), 0, 0, 0
    while at < len(out):
        behind = None
        if last in (0xE8, 0xE9) or (before == 0x0F and 0x80 <= last <= 0x8F):
            behind = 0
        elif long and last & 0xC7 == 5:
            behind = OPERANDS.get(before)
        if behind is not None and at + 4 <= len(out):
            v = int.from_bytes(out[at:at + 4], "little", signed=True)
            if -(1 << 24) <= v < 1 << 24:
                v = (v - (at + 4 + behind) + (1 << 24)) % (1 << 25) - (1 << 24)
                out[at:at + 4] = v.to_bytes(4, "little", signed=True)
            at, before, last = at + 4, 0, 0
        else:
            at, before, last = at + 1, last, out[at]
    return bytes(out)


def arm64(data):
    out = bytearray(data)
    for i in range(len(data) // 4):
        word = int.from_bytes(data[4 * i:4 * i + 4], "little")
        if word >> 26 == 0b100101:
            word = word & 0xFC000000 | (word - i) % (1 << 26)
        elif word & 0x9F000000 == 0x90000000:
            v = (((word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3) + (1 << 20)) % (1 << 21) - (1 << 20)
            if -(1 << 16) <= v < 1 << 16:
                v = ((v - (i >> 10) + (1 << 16)) % (1 << 17) - (1 << 16)) % (1 << 21)
                word = word & 0x9F00001F | (v & 3) << 29 | v >> 2 << 5
        out[4 * i:4 * i + 4] = word.to_bytes(4, "little")
    return bytes(out)


def code(machine, data):
    """Undoes the filter of a machine's code: 1 x86, 2 x86-64, 3 ARM64."""
    return arm64(data) if machine == 3 else x86(data, machine == 2)


# Signs


def turn_signs(data):
    return bytes(byte ^ 128 if at % 2 else byte for at, byte in enumerate(data))


def unfilter(kind, data):
    machines = {3: 1, 9: 2, 10: 3}
    return code(machines[kind], data) if kind in machines else turn_signs(data) if kind == 6 else data


def decode(payload, raw_length, network_weights=None):
    """The raw bytes of one block. The weights are those of the model that a guided block names."""
    header = Header(payload)
    demand((header.guide > 0) == (network_weights is not None), "a block names a model if, and only if, it is guided")
    demand(raw_length <= 46000 * (len(payload) - header.end + 4), "payload too short")
    decoder = BinaryDecoder(payload, header.end)
    predictor = Predictor(header, network_weights)
    for _ in range(raw_length):
        e, p = predictor.expected() or (None, 0)
        if predictor.is_flagged(p):
            y = decoder.decode(p)
            predictor.update_flag(y, e)
            if y:
                continue
        else:
            predictor.doubtful = e
        predictor.start_byte()
        for _ in range(8):
            predictor.update(decoder.decode(predictor.predict()))
    demand(decoder.at >= len(payload), "payload left at the end")
    raw = bytes(predictor.history.bytes)
    return unfilter(header.kind, raw)
