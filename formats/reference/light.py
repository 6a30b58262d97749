"""Reference decoder of `light` payloads, written from formats/light.md (and formats/mix.md for the shared parts).

Slow and clear. Names follow the specification.
"""

import os

import mix
from flags import Flags, inputs, is_due, learn_row, mixed_logit, moved
from mix import NEXT, counter_number, demand, squash
from mix_contexts import TEXT, History, contexts, final_hash

TEXT_CODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tables", "light-text.bin")
RATES = (7, 7, 7, 7, 7, 7, 5, 6)


# Payload


def read_lengths(payload, at):
    """The 256 lengths of a code of the block's own, and where they end."""
    halves = [half for byte in payload[at:] for half in (byte >> 4, byte & 15)]
    lengths, k = [], 0

    def take():
        nonlocal k
        demand(k < len(halves), "truncated")
        k += 1
        return halves[k - 1]

    while len(lengths) < 256:
        value = take()
        if value:
            lengths.append(value)
            continue
        run = take() + 3
        demand(lengths and len(lengths) + run <= 256, "wrong run of lengths")
        lengths += lengths[-1:] * run
    if k % 2:
        demand(take() == 0, "half a byte left behind the lengths")
    return lengths, at + k // 2


class Header:
    def __init__(self, payload):
        demand(len(payload) >= 7, "truncated")
        demand(payload[0] in (1, 2), "newer: version of light")
        self.flags = payload[0] == 2
        self.table_bits, phrases, self.kind = payload[1:4]
        self.n = int.from_bytes(payload[4:6], "little")
        self.phrase_limit = 4096 * phrases
        demand(16 <= self.table_bits <= 24, "size of the slot table out of range")
        demand(mix.parameter_fits(self.kind, self.n), "kind or parameter out of range")
        demand(phrases <= 64 and (phrases == 0 or self.kind == 0), "phrases where they prime nothing")
        demand(payload[6] <= 2, "newer: code")
        self.end = 7
        if payload[6] == 0:
            lengths = [8] * 256
        elif payload[6] == 1:
            with open(TEXT_CODE, "rb") as file:
                lengths = list(file.read())
        else:
            lengths, self.end = read_lengths(payload, 7)
        self.code = Code(lengths)


class Code:
    def __init__(self, lengths):
        demand(all(1 <= length <= 12 for length in lengths), "length of a code out of range")
        demand(sum(2 ** (12 - length) for length in lengths) == 2**12, "incomplete code")
        self.prefixes, following = {}, 0
        for length in range(1, 13):
            for byte in range(256):
                if lengths[byte] == length:
                    self.prefixes[byte] = following | 1 << length
                    following += 1
            following <<= 1
        self.bytes = {prefix: byte for byte, prefix in self.prefixes.items()}
        inner = {prefix >> n for prefix in self.bytes for n in range(1, prefix.bit_length())}
        self.numbers = {prefix: number for number, prefix in enumerate(sorted(inner))}


# Slots


class Segments(mix.Slots):
    """Slots of which each holds four decisions of a code."""

    def after(self, state, prefix):
        """The slot behind a prefix; `state` is a context's (hash, bucket)."""
        h, bucket = state
        bucket ^= prefix % 16 + 1
        return (h, bucket), self.find(bucket, (h + 61 * prefix) & 255)


def prime(slots, code, limit):
    h = History()
    for phrase in mix.phrases(limit):
        h.empty()
        for byte in phrase:
            for i in range(6):
                k = final_hash(TEXT[i](h), i)
                prime_context(slots, (k, (k >> 8) % (len(slots.table) // 64)), code.prefixes[byte])
            h.push(byte)


def prime_context(slots, state, target):
    at = slots.find(state[1], state[0] & 255)
    prefix, node = 1, 1
    for shift in range(target.bit_length() - 2, -1, -1):
        bit = target >> shift & 1
        slots.table[at + node] = NEXT[slots.table[at + node]][bit]
        prefix, node = 2 * prefix + bit, 2 * node + bit
        if node >= 16 and shift > 0:
            state, at = slots.after(state, prefix)
            node = 1


# Prediction of a decision


class Predictor:
    def __init__(self, header):
        self.kind, self.n, self.code = header.kind, header.n, header.code
        self.history = History()
        self.slots = Segments(header.table_bits)
        if self.kind == 0:
            prime(self.slots, self.code, header.phrase_limit)
        start = mix.Priors(self.kind, 0, None)
        self.maps = [[int(m) >> 6 for m in row] for row in start.maps[:6]]
        self.expected = [p >> 6 for p, _ in start.counters[:240]] + [32768] * 16
        self.has_flags, self.flags = header.flags, Flags(mix.FinalStage(), 14)
        self.newest = {}
        self.matcher = mix.Matcher(6, max(16, min(18, header.table_bits - 6)), [])
        self.rows = [[0, 5000] * 8 for _ in range(20 * 8)]
        self.stage = mix.FinalStage()

    def load_slots(self, places):
        """Copies out each context's slot. Each is copied before the next one is looked for, which may clear it."""
        self.places, self.nodes = [], []
        for at in places:
            self.places.append(at)
            self.nodes.append(self.slots.table[at:at + 16])

    def store_slots(self):
        for at, slot in zip(self.places, self.nodes):
            self.slots.table[at:at + 16] = slot

    def begins_with_flag(self):
        return self.has_flags and is_due(16, self.matcher)

    def predict_flag(self):
        m = self.matcher
        e, length_class = m.expected_byte(), m.length_class()
        places = self.flags.places(self.history, e, counter_number(m), length_class)
        return self.flags.predict(e, places, length_class)

    def push(self, byte):
        self.history.push(byte, parse_code=self.kind in (3, 9))
        self.matcher.push(self.history)

    def start_byte(self, refused):
        """Begins with the decisions of a byte's code; `refused` says that a flag came before them."""
        self.refused = refused
        values = contexts(self.kind, self.n, self.history)[:6]
        hashes = [final_hash(value, i) for i, value in enumerate(values)]
        self.states = [(k, (k >> 8) % (len(self.slots.table) // 64)) for k in hashes]
        self.load_slots(self.slots.find(bucket, k & 255) for k, bucket in self.states)
        self.known = sum(slot[1] != 0 for slot in self.nodes)
        self.prefix, self.depth, self.node = 1, 0, 1
        self.target = self.place = 0
        m = self.matcher
        if m.position > 0:
            self.target = self.code.prefixes[m.expected_byte()]
            self.place = counter_number(m)

    def predict(self):
        """The probability that the next decision is a one."""
        number = self.code.numbers[self.prefix]
        rest = self.target.bit_length() - self.prefix.bit_length()
        self.bit = None
        if rest > 0 and self.target >> rest == self.prefix:
            self.bit = self.target >> (rest - 1) & 1
            if self.refused:
                self.place = 240 + rest
        p = [row[slot[self.node]] for row, slot in zip(self.maps, self.nodes)]
        self.at = (self.history.c1, number)
        p.append(self.newest.get(self.at, 32768))
        sure = self.expected[self.place]
        p.append(32768 if self.bit is None else sure if self.bit else 65535 - sure)
        self.p, self.x = p, inputs(p)
        by = self.known if self.bit is None else 6 + self.matcher.length_class()
        self.row = self.rows[8 * by + min(self.depth, 7)]
        logit = mixed_logit(self.row, self.x)
        self.mixed = squash(logit)
        refined = self.stage.refine(logit, number)
        return max(8, min(65528, (self.mixed + refined + 1) >> 1))

    def update(self, y):
        """Learns a decision; true if it ends a byte."""
        n = len(self.history.bytes)
        learn_row(self.row, self.x, self.mixed, y, 14 if n < 16384 else 8 if n < 131072 else 5)
        self.stage.update(y)
        new = moved(self.p, y, RATES)
        for row, slot, q in zip(self.maps, self.nodes, new):
            row[slot[self.node]] = q
            slot[self.node] = NEXT[slot[self.node]][y]
        self.newest[self.at] = new[6]
        if self.bit is not None:
            self.expected[self.place] = new[7] if self.bit else 65535 - new[7]
        self.prefix, self.depth, self.node = 2 * self.prefix + y, self.depth + 1, 2 * self.node + y
        if self.prefix in self.code.bytes:
            self.store_slots()
            self.push(self.code.bytes[self.prefix])
            return True
        if self.depth % 4 == 0:
            self.next_segment()
        return False

    def next_segment(self):
        self.store_slots()
        states, self.states = self.states, []

        def places():
            for state in states:
                state, at = self.slots.after(state, self.prefix)
                self.states.append(state)
                yield at

        self.load_slots(places())
        self.node = 1


def decode(payload, raw_length):
    """The raw bytes of one block."""
    header = Header(payload)
    demand(raw_length <= 46000 * (len(payload) - header.end + 4), "payload too short")
    decoder = mix.BinaryDecoder(payload, header.end)
    predictor = Predictor(header)
    for _ in range(raw_length):
        refused = predictor.begins_with_flag()
        if refused:
            y = decoder.decode(predictor.predict_flag())
            predictor.flags.update(y)
            if y:
                predictor.push(predictor.matcher.expected_byte())
                continue
        predictor.start_byte(refused)
        while not predictor.update(decoder.decode(predictor.predict())):
            pass
    demand(decoder.at >= len(payload), "payload left at the end")
    raw = bytes(predictor.history.bytes)
    return mix.unfilter(header.kind, raw)
