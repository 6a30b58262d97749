"""Reference decoder of `circuit` windows, written from formats/circuit.md and formats/coder.md. Slow and clear."""

import numpy as np

MASK64 = 0xFFFFFFFFFFFFFFFF
OCTAVE = [2147483648, 1969251188, 1805811301, 1655936265, 1518500250, 1392470869, 1276901417, 1170923762]


class Corrupt(Exception):
    """The data is not what an encoder writes."""


def demand(condition, message):
    if not condition:
        raise Corrupt(message)


class Coder:
    """The range decoder: decisions with precision 16, choices with precision 20."""

    def __init__(self, payload):
        self.payload, self.at = payload, 8
        self.low, self.range = 0, MASK64
        self.point = int.from_bytes(payload[:8].ljust(8, b"\0"), "big")

    def part(self, precision, find):
        """Decodes a symbol. `find(quantile)` returns the symbol that owns the quantile, with its start and end."""
        scale = self.range >> precision
        quantile = ((self.point - self.low) & MASK64) // scale
        demand(quantile < 1 << precision, "payload outside of every interval")
        symbol, start, end = find(quantile)
        self.low = (self.low + scale * start) & MASK64
        self.range = scale * (end - start)
        if self.range < 1 << 32:
            word = int.from_bytes(self.payload[self.at : self.at + 4].ljust(4, b"\0"), "big")
            self.at += 4
            self.low = (self.low << 32) & MASK64
            self.range = self.range << 32
            self.point = (self.point << 32 | word) & MASK64
        return symbol

    def bit(self, one):
        zero = 65536 - one
        return self.part(16, lambda q: (0, 0, zero) if q < zero else (1, zero, 65536))

    def choice(self, weights):
        total, n = sum(weights), len(weights)
        ends, before = [0], 0
        for i, w in enumerate(weights):
            before += w
            ends.append(before * ((1 << 20) - n) // total + i + 1)

        def find(quantile):
            i = next(i for i in range(n) if quantile < ends[i + 1])
            return i, ends[i], ends[i + 1]

        return self.part(20, find)


class Codes:
    """Decodes the codes of the parameters."""

    def __init__(self, payload):
        self.coder, self.fast, self.slow = Coder(payload), {}, {}

    def code(self, kind, context):
        node = 1
        while node < 128:
            key = (kind, context, node)
            x, y = self.fast.get(key, 32768), self.slow.get(key, 32768)
            bit = self.coder.bit(min(max((x + y) >> 1, 32), 65504))
            self.fast[key] = x + ((65535 * bit - x) >> 4)
            self.slow[key] = y + ((65535 * bit - y) >> 7)
            node = 2 * node + bit
        return node - 128

    def matrix(self, kind, rows, columns):
        codes, history = np.zeros((rows, columns), dtype=np.int64), [0] * columns
        for r in range(rows):
            for j in range(columns):
                code = self.code(kind, 64 if r == 0 else history[j] >> 5)
                seen = 16 * (code or 127)
                history[j] = seen if r == 0 else history[j] + ((seen - history[j]) >> 1)
                codes[r, j] = code
        return codes


def weights_of(codes, s):
    def weight(c):
        a = c - 1
        return max(1, OCTAVE[(a & ((1 << s) - 1)) << (3 - s)] >> (a >> s)) if c else 0

    return np.vectorize(weight, otypes=[np.int64])(codes)


class Node:
    def __init__(self, codes, s, above, classes, variable, parent, alphabet, states):
        self.variable, self.parent, self.alphabet = variable, parent, alphabet
        edge = weights_of(codes.matrix(0, above, states), s)
        leaf = weights_of(codes.matrix(1, classes, states), s)
        demand(edge.sum(axis=1).min() > 0 and leaf.sum(axis=0).min() > 0, "a state without probability")
        self.edge = np.minimum(32767, (edge << 15) // edge.sum(axis=1, keepdims=True))
        # Python integers: w · 2^31 needs 62 bits, which int64 holds.
        p = (leaf << 31) // leaf.sum(axis=0, keepdims=True)
        self.leaf, self.shift = np.zeros_like(p), []
        for c in range(classes):
            bits = int(p[c].max()).bit_length()
            if bits > 15:
                self.leaf[c] = np.minimum(32767, (p[c] + (1 << (bits - 16))) >> (bits - 15))
            else:
                self.leaf[c] = p[c] << (15 - bits)
            self.shift.append(32 - bits)


class Model:
    def __init__(self, data):
        at = 0

        def read(n):
            nonlocal at
            demand(at + n <= len(data), "the model file is too short")
            at += n
            return data[at - n : at]

        def number(n):
            return int.from_bytes(read(n), "little")

        demand(read(8) == b"\x93NZPC\r\n\x1a", "not a circuit")
        version = number(2)
        demand(version in (1, 2), "not a circuit of version 1 or 2")
        s, alphabets, d = number(1), number(2), number(2)
        demand(s <= 3 and 1 <= alphabets <= 1024 and d >= 1, "counts out of range")
        if version == 2:
            demand(Patch(read(4)).variables == d, "a patch of other variables")
        self.alphabets = []
        for _ in range(alphabets):
            n, c = number(1) + 1, number(1) + 1
            classes = list(read(n))
            weights = [number(2) for _ in range(n)]
            demand(set(classes) == set(range(c)) and min(weights) > 0, "alphabet")
            self.alphabets.append([[(i, weights[i]) for i in range(n) if classes[i] == k] for k in range(c)])
        shapes = [(number(2), number(2), number(2), number(1)) for _ in range(d)]
        demand(sorted(v for v, _, _, _ in shapes) == list(range(d)), "each variable once")
        open_nodes = []
        for i, (_, parent, alphabet, half) in enumerate(shapes):
            demand(half <= 127 and alphabet < alphabets, "node out of range")
            demand((parent == 65535) == (i == 0), "one root, the first node")
            while open_nodes and i > 0 and open_nodes[-1] != parent:
                open_nodes.pop()
            demand(i == 0 or open_nodes, "the order is not depth first")
            open_nodes.append(i)
        states = [2 * (half + 1) for _, _, _, half in shapes]
        above = [1 if p == 65535 else states[p] for _, p, _, _ in shapes]
        classes = [len(self.alphabets[a]) for _, _, a, _ in shapes]
        parameters = sum((a + c) * k for a, c, k in zip(above, classes, states))
        demand(parameters <= min(1 << 25, 65536 + 64 * len(data)), "too many parameters")
        depth, widest = [], {}
        for i, (_, parent, _, _) in enumerate(shapes):
            depth.append(0 if i == 0 else depth[parent] + 1)
            widest[depth[i]] = max(widest.get(depth[i], 0), states[i])
        demand(sum(widest.values()) <= 1 << 18, "too many states on a way down")
        codes, self.nodes = Codes(data[at:]), []
        for i, (v, p, a, _) in enumerate(shapes):
            self.nodes.append(Node(codes, s, above[i], classes[i], v, p if i else None, a, states[i]))
        self.children = [[j for j in range(d) if self.nodes[j].parent == i] for i in range(d)]

    def reached(self, known):
        """For each node, whether it or a node below it has a known variable."""
        reached = [known(node.variable) for node in self.nodes]
        for i in range(len(self.nodes) - 1, 0, -1):
            reached[self.nodes[i].parent] |= reached[i]
        return reached


def peak(x):
    most = int(x.max())
    bits = most.bit_length()
    if most == 0:
        return np.ones_like(x)
    if bits > 15:
        return np.minimum(32767, (x + (1 << (bits - 16))) >> (bits - 15))
    return x << (15 - bits)


def mass(x):
    bits = int(x.sum()).bit_length()
    return (x + (1 << (bits - 16))) >> (bits - 15) if bits > 15 else x


def visit(model, coder, record, known, reached, i, phi_above):
    """Decodes node i and its subtree into `record`, and returns the node's λ."""
    node = model.nodes[i]
    pi = peak(node.edge[0] if phi_above is None else node.edge.T @ mass(phi_above))
    if known(node.variable):
        sums = node.leaf @ mass(pi)
        c = coder.choice([1 + (int(x) >> s) for x, s in zip(sums, node.shift)])
        symbols = model.alphabets[node.alphabet][c]
        chosen = coder.choice([w for _, w in symbols]) if len(symbols) > 1 else 0
        record[node.variable] = symbols[chosen][0]
        lam = node.leaf[c]
    else:
        lam = np.full_like(pi, 16384)
    phi = peak(pi * lam)
    for child in model.children[i]:
        if reached[child]:
            below = visit(model, coder, record, known, reached, child, phi)
            message = peak(model.nodes[child].edge @ below)
            phi, lam = peak(phi * message), peak(lam * message)
    return lam


class Patch:
    """The shape of a patch: the piece of a picture that is a record."""

    def __init__(self, stored):
        self.width, self.height, self.channels, self.colour = stored
        demand(self.width > 0 and self.height > 0, "a patch without pixels")
        demand((self.channels, self.colour) in ((1, 0), (3, 0), (3, 1)), "channels and colour of a patch")
        self.variables = self.width * self.height * self.channels


class Bytes:
    """Records of one byte per variable."""

    def __init__(self, model):
        self.variables = len(model.nodes)

    def records(self, raw_length):
        demand(raw_length % self.variables == 0, "a window that is not whole records")
        return raw_length // self.variables

    def known(self, record):
        return lambda variable: True

    def put(self, raw, index, record):
        raw[index * self.variables : (index + 1) * self.variables] = record


class Wide(Bytes):
    """Records of one number of several bytes per variable."""

    def __init__(self, model, stored):
        super().__init__(model)
        demand(len(stored) == 2, "parameters of wide records")
        self.size, self.signed = stored
        demand(self.size in (2, 4, 8) and self.signed <= 1, "parameters of wide records")

    def records(self, raw_length):
        demand(raw_length % self.size == 0, "a window that is not whole records")
        return super().records(raw_length // self.size)

    def put(self, raw, index, record):
        wide = [bytes([x]) + (b"\xff" if self.signed and x > 127 else b"\0") * (self.size - 1) for x in record]
        start = index * self.variables * self.size
        raw[start : start + len(record) * self.size] = b"".join(wide)


class Patches:
    """Records that are patches of a picture."""

    def __init__(self, model, stored):
        demand(len(stored) > 4, "parameters of patches")
        self.patch, self.columns = Patch(stored[:4]), 0
        demand(self.patch.variables == len(model.nodes), "patches of another size than the circuit's records")
        for shift, byte in enumerate(stored[4:]):
            last = shift == len(stored) - 5
            demand((byte < 128) == last and (byte > 0 or shift == 0) and shift < 10, "varint")
            self.columns |= (byte & 127) << (7 * shift)
        demand(1 <= self.columns <= 1 << 24, "pixels of a row out of range")
        self.across = -(-self.columns // self.patch.width)

    def records(self, raw_length):
        step = self.columns * self.patch.channels
        demand(raw_length % step == 0, "a window that is not whole rows")
        self.rows = raw_length // step
        count = -(-self.rows // self.patch.height) * self.across
        demand(count * self.patch.variables <= 4 * raw_length + (1 << 20), "too many variables for so few bytes")
        return count

    def known(self, record):
        x, y = record % self.across * self.patch.width, record // self.across * self.patch.height

        def is_known(variable):
            pixel = variable // self.patch.channels
            return x + pixel % self.patch.width < self.columns and y + pixel // self.patch.width < self.rows

        return is_known

    def put(self, raw, index, record):
        known, patch = self.known(index), self.patch
        x, y = index % self.across * patch.width, index // self.across * patch.height
        for variable in range(0, patch.variables, patch.channels):
            if not known(variable):
                continue
            pixel = record[variable : variable + patch.channels]
            if patch.colour == 1:
                g, r, b = pixel
                pixel = bytes([(r + g - 128) % 256, g, (b + g - 128) % 256])
            column, row = variable // patch.channels % patch.width, variable // patch.channels // patch.width
            start = ((y + row) * self.columns + x + column) * patch.channels
            raw[start : start + patch.channels] = pixel


def arrangement(model, params):
    if params is None:
        return Bytes(model)
    demand(len(params) > 0 and params[0] in (1, 2), "newer: arrangement of records")
    return (Wide if params[0] == 1 else Patches)(model, params[1:])


def decode_window(model, payload, raw_length, params=None):
    records = arrangement(model, params)
    coder, raw = Coder(payload), bytearray(raw_length)
    for index in range(records.records(raw_length)):
        known, record = records.known(index), bytearray(len(model.nodes))
        visit(model, coder, record, known, model.reached(known), 0, None)
        records.put(raw, index, record)
    return bytes(raw)
