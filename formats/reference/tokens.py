"""Reference decoder of tokens of equal information, written from formats/tokens.md.

Slow and clear. Usage: tokens.py CASES MODEL...

Decodes the documents of a file of cases. A line is: model file, b, v, policy, ends, adaptive, number of bytes, their BLAKE3
hash, and the tokens in hexadecimal digits.
"""

import pathlib
import sys

import numpy as np

import llm
import lm
from checksums import blake3
from lm import Corrupt, clamp


class Ended(Exception):
    """The window ends before this step."""


class Window:
    def __init__(self, value, bits, ends):
        self.x, self.n, self.by_symbol = value, 1 << bits, ends == "symbol"
        self.reserved, self.odds, self.symbols = False, 65536, 0

    def reserve(self):
        self.n -= 1
        self.reserved, self.odds = True, 65536
        if self.x == self.n:
            raise Ended

    def symbol(self):
        if self.symbols == 4096 or self.by_symbol and self.n == 1:
            raise Ended
        if self.by_symbol or self.n >= 64:
            self.reserve()
        self.symbols += 1

    def decide(self, p, halves):
        """A decision with probability p of a 1, and so many symbols on both sides."""
        side, m = (1, p) if p < 32768 else (0, 65536 - p)
        odds = self.odds
        if self.by_symbol:
            points = (self.n * m + 32768) >> 16
            if self.symbols <= 1:
                points = min(max(points, halves[side]), self.n - halves[1 - side])
        else:
            points = self.fine(m)
            odds = self.odds * (65536 - m) >> 16
        zero = points if side == 0 else self.n - points
        both = 0 < zero < self.n
        bit = int(self.x >= zero)
        if bit:
            self.x -= zero
            self.n -= zero
        else:
            self.n = zero
        if not self.by_symbol:
            self.reserved, self.odds = (False, 65536) if both else (self.reserved, odds)
        return bit

    def fine(self, m):
        while True:
            steady = self.odds * (65536 - m) >> 16 >= 22528
            if self.n == 1:
                if self.reserved and steady:
                    return 0
                raise Ended
            points = (self.n * m + 32768) >> 16
            if points:
                return points
            if self.n * m >= 20480 or not steady:
                return 1
            if self.reserved:
                return 0
            self.reserve()


class Bytes:
    """The decisions of a byte-level model."""

    symbols = 256

    def __init__(self, model, adaptive):
        self.model, self.uses_stage = model, adaptive

    def anew(self):
        self.state = [np.zeros(self.model.h, dtype=np.int64) for _ in range(self.model.layers)]
        self.history = bytearray()
        self.stage = lm.Adaptive() if self.uses_stage else None
        self.stepped = False

    def before_symbol(self):
        """Steps the network, unless it has been done for this symbol."""
        if self.stepped:
            return
        weights = lm.step(self.model, self.state, self.history)
        self.sums = [0] * 256 + [int(w) for w in weights]
        for c in range(255, 0, -1):
            self.sums[c] = self.sums[2 * c] + self.sums[2 * c + 1]
        if self.stage:
            self.stage.before_byte(self.history)
        self.stepped = True

    def probability(self, first, length, middle):
        c = (256 + first) // length
        s0, s1 = self.sums[2 * c], self.sums[2 * c + 1]
        if self.stage:
            return self.stage.probability(c, s0, s1)
        k = max(0, (s0 + s1).bit_length() - 16)
        return clamp(((s1 >> k) << 16) // ((s0 + s1) >> k), 1, 65535)

    def decided(self, first, length, bit):
        if self.stage:
            self.stage.update((256 + first) // length, bit)

    def after_symbol(self, symbol):
        self.history.append(symbol)
        self.stepped = False
        if self.stage:
            self.stage.after_byte(symbol)
        return bytes([symbol])


class Vocabulary:
    """The decisions of an imported model."""

    def __init__(self, model):
        self.model = model
        self.tokens = [t for t, text in enumerate(model.tokens) if text]
        self.symbols = len(self.tokens) + 256

    def anew(self):
        self.window, self.entered, self.next = llm.Window(self.model), [], self.model.start
        self.stepped = False

    def before_symbol(self):
        if self.stepped:
            return
        if self.next is not None:
            if self.window.t == self.model.context:
                self.window = llm.Window(self.model)
                self.window.step(self.model.start)
                kept = self.model.context // 2
                for token in self.entered[-kept:-1] if kept > 1 else []:
                    self.window.step(token)
            self.weights = [int(w) for w in self.window.step(self.next)]
            self.next = None
        total = sum(self.weights)
        weights = [16 * self.weights[t] + 1 for t in self.tokens] + [(total >> 14) + 1] * 256
        self.sums = [0]
        for w in weights:
            self.sums.append(self.sums[-1] + w)
        self.stepped = True

    def probability(self, first, length, middle):
        s0 = self.sums[middle] - self.sums[first]
        s1 = self.sums[first + length] - self.sums[middle]
        return clamp((s1 << 16) // (s0 + s1), 1, 65535)

    def decided(self, first, length, bit):
        pass

    def after_symbol(self, symbol):
        self.stepped = False
        if symbol >= len(self.tokens):
            return bytes([symbol - len(self.tokens)])
        self.next = self.tokens[symbol]
        self.entered.append(self.next)
        return self.model.tokens[self.next]


def decode(model, b, v, policy, ends, tokens):
    """The bytes of a document. `model` is `Bytes` or `Vocabulary`."""
    per_window = b // v
    if len(tokens) % per_window or any(t >> v for t in tokens):
        raise Corrupt("not a document")
    values = []
    for i in range(0, len(tokens), per_window):
        value = 0
        for token in tokens[i : i + per_window]:
            value = value << v | token
        values.append(value)
    raw = bytearray()
    start = (0, model.symbols)
    row = start  # first symbol and number of symbols
    for number, value in enumerate(values):
        window = Window(value, b, ends)
        if policy == "reset" or number == 0:
            model.anew()
        try:
            while True:
                if row == start:
                    window.symbol()
                model.before_symbol()
                while row[1] > 1:
                    first, length = row
                    one = length // 2
                    halves = (length - one, one)
                    middle = first + halves[0]
                    bit = window.decide(model.probability(first, length, middle), halves)
                    model.decided(first, length, bit)
                    row = (middle, one) if bit else (first, halves[0])
                raw += model.after_symbol(row[0])
                row = start
        except Ended:
            pass
    return bytes(raw)


def load(path, adaptive):
    data = path.read_bytes()
    if data.startswith(b"\x93NZLL"):
        return Vocabulary(llm.Model(data))
    return Bytes(lm.Model(data), adaptive)


def is_good(line, models):
    """Whether the tokens of a case decode to its bytes. `models` are the paths of model files."""
    name, b, v, policy, ends, adaptive, length, digits, *tokens = line.split(" ")
    path = next(path for path in models if path.name == name)
    model = load(path, adaptive == "1")
    raw = decode(model, int(b), int(v), policy, ends, [int(t, 16) for t in tokens if t])
    return len(raw) == int(length) and blake3(raw).hex() == digits


def main(cases, *models):
    lines = pathlib.Path(cases).read_text().splitlines()
    failed = [number for number, line in enumerate(lines) if not is_good(line, [pathlib.Path(m) for m in models])]
    print(f"{len(lines) - len(failed)} cases agree, these do not: {failed}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
