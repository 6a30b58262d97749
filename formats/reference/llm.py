"""Reference decoder of `llm` windows, written from formats/llm.md and formats/coder.md.

Slow and clear. Usage: llm.py WEIGHTS WINDOWS RAW [TRACE]

Decodes the windows (lines of "raw-length payload-in-hex") and compares the result with RAW, and the symbols of the
first window with TRACE.
"""

import math
import sys

import numpy as np

import llm_chain
import lm
from lm import EXP2, MASK32, MASK64, Corrupt, clamp, mix, squash, stretch

NONE = MASK32


def round_shift(x, s):
    return (x + ((1 << s) >> 1)) >> s


def limit(x, most):
    return np.clip(x, -most, most)


def largest(x):
    return int(np.abs(x).max())


def sigmoid_table():
    power = [int(p) for p in EXP2] + [1 << 21]
    table = [0] * 65536
    for i in range(32769):
        w, j, f = i >> 11, i >> 3 & 255, i & 7
        p = (power[j] * (8 - f) + power[j + 1] * f) >> w
        q = (1 << 25) + p
        v = ((1 << 45) + q // 2) // q
        if 0 < i < 32768:
            table[32768 + i] = v
        table[32768 - i] = (1 << 20) - v
    table[32768] = 1 << 19
    return np.array(table, dtype=np.int64)


SIGMOID = sigmoid_table()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise Corrupt("the weight file is too short")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "little")

    def array(self, dtype, count):
        kind = np.dtype(dtype)
        return np.frombuffer(self.take(kind.itemsize * count), dtype=kind).astype(np.int64)

    def varint(self, most):
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            if byte < 128:
                if value > most or (shift and not byte):
                    raise Corrupt("varint out of range")
                return value
            shift += 7


class Scale:
    def __init__(self, r, rows):
        self.exponent = r.number(1)
        self.multipliers = r.array("<u4", rows)
        if not 24 <= self.exponent <= 60 or self.multipliers.max() >= 1 << 24:
            raise Corrupt("scale out of range")


class Matrix:
    def __init__(self, r, rows, cols):
        self.scale = Scale(r, rows)
        self.weights = r.array("i1", rows * cols).reshape(rows, cols)


def bits_of(weights):
    most = int(np.abs(weights).sum(axis=1).max())
    fit = [b for b in range(8, 16) if ((1 << b) - 1) * most < 1 << 31]
    if not fit:
        raise Corrupt("a row could overflow")
    return fit[-1]


def product(weights, scale, y, k):
    sums = weights @ y
    return limit(round_shift(sums * scale.multipliers, scale.exponent - k), (1 << 31) - 1)


def narrow(x, b):
    k = max(0, largest(x).bit_length() - b)
    return limit(round_shift(x, k), (1 << b) - 1), k


class Layer:
    def __init__(self, r, m):
        q, kv = m.heads * m.head, m.kv_heads * m.head
        self.first = r.array("<i4", m.width)
        self.query, self.key = Matrix(r, q, m.width), Matrix(r, kv, m.width)
        self.value, self.output = Matrix(r, kv, m.width), Matrix(r, m.width, q)
        self.second = r.array("<i4", m.width)
        self.gate, self.up = Matrix(r, m.hidden, m.width), Matrix(r, m.hidden, m.width)
        self.down = Matrix(r, m.width, m.hidden)
        self.bits = min(bits_of(x.weights) for x in (self.query, self.key, self.value))
        self.output_bits = bits_of(self.output.weights)
        self.hidden_bits = min(bits_of(self.gate.weights), bits_of(self.up.weights))
        self.down_bits = bits_of(self.down.weights)


class Model:
    def __init__(self, data):
        r = Reader(data)
        if r.take(8) != b"\x93NZLL\r\n\x1a" or r.number(2) != 1:
            raise Corrupt("not a weight file of version 1")
        fields = [r.number(4) for _ in range(9)]
        self.vocab, self.width, self.layers_count, self.heads, self.kv_heads, self.head, self.hidden = fields[:7]
        self.context, self.start = fields[7:]
        flags, self.epsilon = r.number(1), r.number(4)
        self.embedding = Matrix(r, self.vocab, self.width)
        self.layers = [Layer(r, self) for _ in range(self.layers_count)]
        self.last = r.array("<i4", self.width)
        self.head_scale = Scale(r, self.vocab)
        own = r.array("i1", self.vocab * self.width).reshape(self.vocab, -1) if flags & 1 else None
        self.head_weights = self.embedding.weights if own is None else own
        self.head_bits = bits_of(self.head_weights)
        self.rope = r.array("<i2", self.context * self.head).reshape(self.context, self.head // 2, 2)
        r.number(1)
        self.tokens = [bytes(r.take(r.varint(1024))) for _ in range(self.vocab)]
        for b in range(256):
            token = r.varint(self.vocab)
            if token and self.tokens[token - 1] != bytes([b]):
                raise Corrupt("a token that is not its byte")
        for _ in range(r.varint(1 << 23)):
            left, right, result = (self.tokens[r.varint(self.vocab - 1)] for _ in range(3))
            if not left or not right or left + right != result:
                raise Corrupt("a merge whose bytes do not agree")
        if r.at != len(data):
            raise Corrupt("bytes after the end of the weight file")

    def norm(self, x, gains):
        d = self.width
        s = sum(int(v) * int(v) // 16 for v in x)
        v = max(1, math.isqrt((s // d << 12) + ((s % d) << 12) // d + self.epsilon))
        n = v.bit_length()
        u = (1 << (n + 29)) // v
        y = round_shift(x * u, n + 9)
        return limit(round_shift(y * gains, 20), 1 << 30)


class Window:
    """The network's state in a window: keys and values of each layer and head."""

    def __init__(self, model):
        self.model, self.t = model, 0
        heads = model.layers_count * model.kv_heads
        self.keys = [([], []) for _ in range(heads)]
        self.values = [([], []) for _ in range(heads)]

    def turn(self, x, most):
        m = self.model
        c, s = m.rope[self.t, :, 0], m.rope[self.t, :, 1]
        x = x.reshape(-1, m.head // 2, 2)
        a, b = x[:, :, 0], x[:, :, 1]
        turned = np.stack([round_shift(a * c - b * s, 14), round_shift(a * s + b * c, 14)], axis=2)
        return limit(turned.reshape(-1, m.head), most)

    def store(self, lists, first, heads):
        for i, x in enumerate(heads):
            z = largest(x)
            u = (127 << 24) // max(z, 1)
            numbers, scales = lists[first + i]
            numbers.append(round_shift(x * u, 24))
            scales.append(z)

    def attend(self, q, keys, values):
        y, k = narrow(q, 15)
        a = round_shift(np.array(keys[1]) * (np.array(keys[0]) @ y), 28 - k)
        d = np.minimum(a.max() - a, 8191)
        p = EXP2[d & 255] >> (d >> 8)
        z = int(p.sum())
        u = [int(x) * s for x, s in zip(p, values[1])]
        c = max(0, max(u).bit_length() - 15, sum(u).bit_length() - 24)
        r = np.array([min(round_shift(x, c), 32767) for x in u])
        n = (127 * z).bit_length()
        f = (1 << (n + 20)) // (127 * z)
        return limit(round_shift(f * (r @ np.array(values[0])), n + 20 - c), 1 << 30)

    def step(self, token):
        """The weights of the token that follows."""
        a = self.logits(token)
        d = np.minimum(a.max() - a, 8191)
        return EXP2[d & 255] >> (d >> 8)

    def logits(self, token):
        """The logits of the token that follows. Sets `hidden` to what the head reads, and its shift."""
        m = self.model
        e = m.embedding
        x = e.weights[token] * e.scale.multipliers[token] << 12
        x = limit(round_shift(x, e.scale.exponent), 1 << 27)
        for number, l in enumerate(m.layers):
            first = number * m.kv_heads
            y, k = narrow(m.norm(x, l.first), l.bits)
            q = self.turn(product(l.query.weights, l.query.scale, y, k), (1 << 23) - 1)
            keys = self.turn(product(l.key.weights, l.key.scale, y, k), (1 << 22) - 1)
            values = limit(product(l.value.weights, l.value.scale, y, k), (1 << 27) - 1).reshape(-1, m.head)
            self.store(self.keys, first, keys)
            self.store(self.values, first, values)
            of = [first + h * m.kv_heads // m.heads for h in range(m.heads)]
            o = np.concatenate([self.attend(q[h], self.keys[i], self.values[i]) for h, i in enumerate(of)])
            y, k = narrow(o, l.output_bits)
            x = limit(x + product(l.output.weights, l.output.scale, y, k), 1 << 27)
            y, k = narrow(m.norm(x, l.second), l.hidden_bits)
            g = product(l.gate.weights, l.gate.scale, y, k)
            up = product(l.up.weights, l.up.scale, y, k)
            s = round_shift(g * SIGMOID[np.clip(g >> 1, -32768, 32767) + 32768], 20)
            y, k = narrow(limit(round_shift(s * up, 10), 1 << 30), l.down_bits)
            x = limit(x + product(l.down.weights, l.down.scale, y, k), 1 << 27)
        self.t += 1
        y, k = self.hidden = narrow(m.norm(x, m.last), m.head_bits)
        return product(m.head_weights, m.head_scale, y, k)


class Coder(lm.BinaryDecoder):
    def part(self, weights):
        """Decodes a symbol with these weights, by parts of 2^24."""
        scale = self.range >> 24
        q = ((self.point - self.low) & MASK64) // scale
        if q >= 1 << 24:
            raise Corrupt("the payload is not one that an encoder writes")
        n, total, below, start = len(weights), sum(weights), 0, 0
        for i, w in enumerate(weights):
            below += w
            end = below * ((1 << 24) - n) // total + i + 1
            if q < end:
                break
            start = end
        self.low = (self.low + scale * start) & MASK64
        self.range = scale * (end - start)
        if self.range < 1 << 32:
            self.low = self.low << 32 & MASK64
            self.range <<= 32
            self.point = (self.point << 32 & MASK64) + self.read(4)
        return i


class Adaptive:
    def __init__(self):
        self.h = []
        self.position = self.length = self.count = 0
        self.places = [0] * 4096
        self.followers = [[(0, 0, 0)] * 4096 for _ in range(2)]
        self.records = [65536 - (65536 >> min((i & 15) // 2 + 1, 12)) for i in range(64)]
        self.by_agreement = [[8192, 0, 0, 0, 0, 0] for _ in range(64)]
        self.by_match = [[0] * 6 for _ in range(16)]
        self.escapes = 4

    def guesses(self, keys, weights):
        h, n = self.h, len(self.h)
        if self.length == 0 and n >= 2:
            a = self.places[keys[0] >> 20]
            if a > 0:
                m = 0
                while m < 32 and m < a and h[a - 1 - m] == h[n - 1 - m]:
                    m += 1
                if m >= 2:
                    self.position, self.length = a, m
        out = [None] * 4
        if self.length > 0:
            out[0] = (h[self.position], min(self.length, 15))
        for i, key in enumerate(keys):
            symbol, check, count = self.followers[i][key >> 20]
            if count > 0 and check == key >> 12 & 255:
                out[1 + i] = (symbol, 16 * (i + 1) + count)
        if max(weights) > 0:
            out[3] = (weights.index(max(weights)), 48)
        return out

    def decode(self, weights, coder, on_decision=None):
        h, vocab = self.h, len(weights)
        h1, h2 = [h[-i] if len(h) >= i else NONE for i in (1, 2)]
        one = mix(h1 + 1 & MASK32)
        keys = (mix(one + h2 + 2 & MASK32), one)
        guesses = self.guesses(keys, weights)
        w = list(weights)
        escape = (sum(w) * self.escapes >> 16) + 1
        tried, found = [], None
        for g, guess in enumerate(guesses):
            if guess is None or guess[0] in tried:
                continue
            symbol = guess[0]
            tried.append(symbol)
            if self.decide(g, symbol, w, escape, guesses, coder, on_decision):
                found = symbol
                break
            if symbol < vocab:
                w[symbol] = 0
        if found is None:
            found = self.choose(w, escape, coder)
            if found >= vocab:
                self.escapes += (65536 - self.escapes) >> 3
            else:
                self.escapes = max(4, self.escapes - (self.escapes >> 5) - 1)
        self.learn(found, keys)
        return found

    def decide(self, g, symbol, w, escape, guesses, coder, on_decision):
        weight = w[symbol] if symbol < len(w) else escape >> 8
        p = clamp((weight << 16) // (sum(w) + escape), 1, 65535)
        agree = [guess is not None and guess[0] == symbol for guess in guesses]
        inputs = [stretch(p)]
        inputs += [stretch(self.records[guess[1]]) if same else 0 for guess, same in zip(guesses, agree)] + [256]
        x = self.by_agreement[16 * g + sum(1 << j for j in range(4) if agree[j])]
        y = self.by_match[guesses[0][1] if agree[0] else 0]
        s = sum((a + b) * i for a, b, i in zip(x, y, inputs))
        p = clamp(int(squash((s + 4096) >> 13)), 4, 65532)
        hit = coder.decode(p)
        if on_decision:
            on_decision(p, hit)
        e = ((hit << 16) - p) >> 1
        r = 16 if self.count < 256 else 17
        for row in (x, y):
            for j in range(6):
                row[j] = clamp(row[j] + round_shift(inputs[j] * e, r), -32768, 32768)
        self.count += 1
        for guess, same in zip(guesses, agree):
            if same:
                record = self.records[guess[1]]
                self.records[guess[1]] = clamp(record + ((65535 * hit - record) >> 5), 64, 65471)
        return hit

    @staticmethod
    def choose(w, escape, coder):
        blocks = [w[i : i + 256] for i in range(0, len(w), 256)]
        b = coder.part([sum(block) for block in blocks] + [escape])
        if b == len(blocks):
            return len(w) + coder.part_byte()
        return 256 * b + coder.part([16 * v + 1 for v in blocks[b]])

    def learn(self, symbol, keys):
        n = len(self.h)
        if self.length > 0 and self.h[self.position] == symbol:
            self.length = min(self.length + 1, 32)
            self.position += 1
        else:
            self.length = 0
        if n >= 2:
            self.places[keys[0] >> 20] = n
        for table, key in zip(self.followers, keys):
            old, check, count = table[key >> 20]
            if check != key >> 12 & 255:
                count = 0
            check = key >> 12 & 255
            if count > 0 and old == symbol:
                table[key >> 20] = (symbol, check, min(count + 1, 7))
            elif count > 2:
                table[key >> 20] = (old, check, count // 2)
            else:
                table[key >> 20] = (symbol, check, 1)
        self.h.append(symbol)


def part_byte(coder):
    """Decodes a byte that has 2^16 parts for each of its values."""
    scale = coder.range >> 24
    q = ((coder.point - coder.low) & MASK64) // scale
    if q >= 1 << 24:
        raise Corrupt("the payload is not one that an encoder writes")
    byte = q >> 16
    coder.low = (coder.low + scale * (byte << 16)) & MASK64
    coder.range = scale << 16
    if coder.range < 1 << 32:
        coder.low = coder.low << 32 & MASK64
        coder.range <<= 32
        coder.point = (coder.point << 32 & MASK64) + coder.read(4)
    return byte


Coder.part_byte = part_byte


def decode_window(model, payload, raw_length, on_symbol=None):
    """The raw bytes of one window."""
    coder, adaptive, window = Coder(payload), Adaptive(), Window(model)
    raw, token, tokens = bytearray(), model.start, 0
    while True:
        if tokens >= model.context:
            raise Corrupt("a window of too many tokens")
        weights = [int(w) for w in window.step(token)]
        while True:
            decisions = []
            symbol = adaptive.decode(weights, coder, lambda p, hit: decisions.append(p))
            piece = model.tokens[symbol] if symbol < model.vocab else bytes([symbol - model.vocab])
            if not piece or len(raw) + len(piece) > raw_length:
                raise Corrupt("a token that does not fit")
            raw += piece
            if on_symbol:
                on_symbol(symbol, weights, decisions)
            if len(raw) == raw_length:
                return bytes(raw)
            if symbol < model.vocab:
                break
        token, tokens = symbol, tokens + 1


def decode_chain(model, params, windows, on_symbol=None):
    """The raw bytes of a chained block. `windows` are (raw length, payload)."""
    r = Reader(params)
    kept = r.varint(1 << 14)
    if r.at != len(params):
        raise Corrupt("parameters that are no number of tokens")
    return llm_chain.decode_block(model, Window, Coder, Adaptive.choose, kept, windows, on_symbol)


def main(weights, windows, raw, trace=None):
    model = Model(open(weights, "rb").read())
    expected = open(raw, "rb").read()
    steps = open(trace).read().splitlines() if trace else []
    seen = []

    def check(symbol, w, decisions):
        line = f"{len(seen)} {symbol} {lm.fnv(np.array(w)):016x} " + " ".join(map(str, decisions))
        if len(seen) < len(steps) and line.rstrip() != steps[len(seen)]:
            raise Corrupt(f"symbol {len(seen)} differs:\n{line}\n{steps[len(seen)]}")
        seen.append(line)

    decoded = lm.replay(decode_window, model, windows, expected, check)
    print(f"{len(decoded)} bytes agree, {len(steps)} symbols traced")


if __name__ == "__main__":
    main(*sys.argv[1:])
