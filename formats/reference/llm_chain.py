"""Reference decoder of chained `llm` blocks, written from formats/llm.md. Slow and clear."""

import math

import numpy as np

from lm import EXP2, MASK32, Corrupt, clamp, mix, squash, stretch

NONE = MASK32
ORDERS = (1, 2, 3, 6)
PLACES = (12, 6)


def round_shift(x, s):
    return (x + ((1 << s) >> 1)) >> s


class Rows:
    """The learned rows of a block, and the statistics of what the head reads."""

    def __init__(self, width):
        self.width, self.steps = width, 0
        self.mean, self.spread = [0] * width, [0] * width
        self.features = None
        self.tokens, self.counts, self.rows = [], [], np.zeros((0, width + 1), dtype=np.int64)

    def look(self, y, k):
        self.steps += 1
        rate = min(8, self.steps.bit_length() - 1)
        features = []
        for i, v in enumerate(y):
            t = (int(v) << k) - self.mean[i]
            f = round_shift(t * ((1 << 31) // max(self.spread[i], 1)), 23)
            features.append(clamp(f, -1023, 1023) if self.steps > 8 else 0)
            self.mean[i] += round_shift(t, rate)
            self.spread[i] = min(self.spread[i] + round_shift(abs(t) - self.spread[i], rate), (1 << 31) - 1)
        self.features = np.array(features + [1023], dtype=np.int64)

    def adjust(self, logits):
        change = round_shift(self.rows @ self.features * ((3 << 23) // self.width), 33)
        logits[self.tokens] += np.clip(change, -4096, 4096)
        return np.clip(logits, -(1 << 31), (1 << 31) - 1)

    def add(self, token):
        if token not in self.tokens and len(self.tokens) < 4096:
            self.tokens.append(token)
            self.counts.append(0)
            self.rows = np.vstack([self.rows, np.zeros((1, self.width + 1), dtype=np.int64)])

    def learn(self, w, token):
        self.add(token)
        self.add(w.index(max(w)))
        r = (1 << 56) // max(sum(w), 1 << 22)
        for n, u in enumerate(self.tokens):
            e = -((w[u] * r) >> 40)
            if u == token:
                e += 65536
                self.counts[n] = min(self.counts[n] + 1, 255)
            if abs(e) >= 64:
                g = round_shift(e * math.isqrt((1 << 24) // (self.counts[n] + 1)), 12)
                self.rows[n] = np.clip(self.rows[n] + round_shift(g * self.features, 14), -32767, 32767)


def first_records(i):
    def sure(j):
        return 65536 - (65536 >> (1 + j))

    return [
        min(sure((s & 15) // 2), 65471) if i == 0 else min(sure(s // 6) >> s % 3, 65471) if s < 48 else 2048
        for s in range(64)
    ]


class Guesses:
    def __init__(self):
        self.h = []
        self.position = self.length = self.misses = self.count = 0
        self.places = [[0] * 65536 for _ in PLACES]
        self.followers = [[(0, 0, 0, 0, 0)] * 65536 for _ in ORDERS]
        self.records = [first_records(i) for i in range(5)]
        self.x = [[16384, 0, 0, 0, 0, 0, 0] for _ in range(256)]
        self.y = [[0] * 7 for _ in range(132)]
        self.z = [[0] * 7 for _ in range(256)]
        self.escapes = 4

    def key(self, m):
        k = m
        for j in range(1, m + 1):
            k = mix(k + (self.h[-j] if j <= len(self.h) else NONE) + 1 & MASK32)
        return k

    def find_match(self, keys):
        h, n = self.h, len(self.h)
        for places, key in zip(self.places, keys):
            a = places[key >> 16]
            if self.length < 12 and a > 0 and a != self.position:
                m = 0
                while m < 48 and m < a and h[a - 1 - m] == h[n - 1 - m]:
                    m += 1
                if m >= 6 and m > self.length:
                    self.position, self.length, self.misses = a, m, 0

    def opinions(self, keys):
        """For each opinion a list of (symbol, number of the record), or None if it does not exist."""
        out = [None] * 5
        if self.position > 0:
            log = self.length.bit_length() - 1
            state = self.length if self.length < 2 else 2 * log + (self.length >> (log - 1) & 1)
            out[0] = [(self.h[self.position], state + 16 * min(self.misses, 3))]
        for i, key in enumerate(keys):
            s0, s1, c0, c1, check = self.followers[i][key >> 16]
            if c0 > 0 and check == key & 65535:
                out[1 + i] = [(s0, 3 * c0 + min(c1, 2))]
                if c1 > 0:
                    out[1 + i].append((s1, 48 + min(c1, 3) + 4 * min(c0, 3)))
        return out

    def decode(self, weights, coder, choose, on_decision):
        """Decodes the next symbol. `choose(weights, escape)` decodes one that no guess hits."""
        vocab = len(weights)
        keys, places = [self.key(m) for m in ORDERS], [self.key(m) for m in PLACES]
        self.find_match(places)
        opinions = self.opinions(keys)
        candidates = [s for o in opinions if o for s, _ in o]
        if max(weights) > 0:
            candidates.append(weights.index(max(weights)))
        candidates = list(dict.fromkeys(candidates))
        w = list(weights)
        escape = (sum(w) * self.escapes >> 16) + 1
        found = None
        for rank in range(6):
            total = sum(w)
            judged = []
            for s in candidates:
                chance = clamp(((w[s] if s < vocab else escape >> 8) << 16) // (total + escape), 1, 65535)
                judged.append(self.judge(s, chance, rank, opinions))
            best = max((j[0] for j in judged), default=0)
            if best < 64:
                break
            at = [j[0] for j in judged].index(best)
            symbol = candidates.pop(at)
            hit = coder.decode(best)
            if on_decision:
                on_decision(best, hit)
            self.learn_guess(judged[at], hit)
            if hit:
                found = symbol
                break
            if symbol < vocab:
                w[symbol] = 0
        if found is None:
            found = choose(w, escape, coder)
            if found >= vocab:
                self.escapes += (65536 - self.escapes) >> 3
            else:
                self.escapes = max(4, self.escapes - (self.escapes >> 5) - 1)
        self.learn(found, keys, places)
        return found

    def judge(self, symbol, chance, rank, opinions):
        """The probability of a guess, its inputs, its sets of weights, and its records as (opinion, number)."""
        inputs, used = [int(stretch(chance)), 0, 0, 0, 0, 0, 256], []
        for i, o in enumerate(opinions):
            of = [record for s, record in o or [] if s == symbol]
            if of:
                used.append((i, of[0]))
                inputs[1 + i] = int(stretch(self.records[i][of[0]]))
        m = int(opinions[0] is not None)
        agrees = [record for i, record in used if i == 0]
        mu = 1 + agrees[0] if agrees else 65 * m
        confidence = clamp(inputs[0] + 2048 >> 8, 0, 15)
        knows = max((i for i in range(1, 5) if opinions[i]), default=0)
        has = max((i for i, _ in used if i >= 1), default=0)
        sets = (
            self.x[64 * min(rank, 3) + 32 * m + 16 * len(agrees) + confidence],
            self.y[66 * min(rank, 1) + mu],
            self.z[64 * min(rank, 3) + 8 * knows + has],
        )
        s = sum((a + b + c) * i for a, b, c, i in zip(*sets, inputs))
        return clamp(int(squash(clamp(s + 8192 >> 14, -4096, 4095))), 4, 65532), inputs, sets, used

    def learn_guess(self, judged, hit):
        p, inputs, sets, used = judged
        e, r = 65536 * hit - p, 16 if self.count < 256 else 17
        for row in sets:
            for j in range(7):
                row[j] = clamp(row[j] + round_shift(inputs[j] * e, r), -65536, 65536)
        self.count += 1
        for i, n in used:
            value = self.records[i][n]
            self.records[i][n] = clamp(value + ((65535 * hit - value) >> 6), 64, 65471)

    def learn(self, symbol, keys, places):
        if self.position > 0:
            if self.h[self.position] == symbol:
                self.length = min(self.length + 1, 64)
                if self.length > 16:
                    self.misses = 0
            else:
                self.length, self.misses = 0, self.misses + 1
            self.position += 1
            if self.misses == 8:
                self.position = self.length = self.misses = 0
        for table, key in zip(self.places, places):
            table[key >> 16] = len(self.h)
        for table, key in zip(self.followers, keys):
            s0, s1, c0, c1, check = table[key >> 16]
            if c0 == 0 or check != key & 65535:
                s0, s1, c0, c1 = symbol, NONE, 1, 0
            elif s0 == symbol:
                c0 = min(c0 + 1, 15)
            elif c1 > 0 and s1 == symbol:
                s0, s1, c0, c1 = s1, s0, min(c1 + 1, 15), max(c0 // 2, 1)
            else:
                s1, c0, c1 = symbol, max(c0 - c0 // 4, 1), 1
            table[key >> 16] = s0, s1, c0, c1, key & 65535
        self.h.append(symbol)


def decode_block(model, new_window, new_coder, choose, kept, windows, on_symbol=None):
    """The raw bytes of a chained block. `windows` are (raw length, payload)."""
    if not 1 <= kept < model.context:
        raise Corrupt("tokens that enter again out of range")
    rows, guesses, network = Rows(model.width), Guesses(), new_window(model)
    token, raw, done, tokens, weights = model.start, bytearray(), 0, [], None
    for raw_length, payload in windows:
        coder, done = new_coder(payload), done + raw_length
        while len(raw) < done:
            if token is not None:
                if network.t == model.context:
                    network = new_window(model)
                    for old in [model.start] + tokens[-kept:-1]:
                        network.logits(old)
                logits = network.logits(token)
                rows.look(*network.hidden)
                logits = rows.adjust(logits)
                d = np.minimum(logits.max() - logits, 8191)
                weights = [int(w) for w in EXP2[d & 255] >> (d >> 8)]
            decisions = []
            symbol = guesses.decode(weights, coder, choose, lambda p, hit: decisions.append(p))
            token = symbol if symbol < model.vocab else None
            piece = bytes([symbol - model.vocab]) if token is None else model.tokens[symbol]
            if not piece or len(raw) + len(piece) > done:
                raise Corrupt("a token that does not fit")
            raw += piece
            if on_symbol:
                on_symbol(symbol, weights, decisions)
            if token is not None:
                rows.learn(weights, token)
                tokens.append(token)
    return bytes(raw)
