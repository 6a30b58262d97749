"""The words that the blocks of a stream may hold, written from ../search.md."""

import re

from checksums import xxh3

WORD = re.compile(rb"(?<![A-Za-z])[A-Za-z]{3,64}(?![A-Za-z])")


def hash_of(word):
    value = xxh3(word.lower())
    return value & 0xFFFFFFFF, value >> 32 | 1


def filters(body):
    """A pair of k and the filter of each block; k is 0 where there is none."""
    from nzip import Reader, demand

    r = Reader(body)
    heads = []
    for _ in range(r.varint()):
        length = r.varint()
        heads.append((length, r.u8() if length else 0))
        demand(length == 0 or 1 <= heads[-1][1] <= 8, "number of bits out of range")
    found = [(k, r.take(length)) for length, k in heads]
    demand(r.at == len(body), "bytes follow the filters")
    return found


def may_hold(filter, word):
    k, bits = filter
    a, b = hash_of(word)
    places = [(a + i * b & 0xFFFFFFFF) * 8 * len(bits) >> 32 for i in range(k)]
    return all(bits[j >> 3] >> (j & 7) & 1 for j in places)


def verify(body, raw, lengths):
    """Checks that no word of a stream is missing in the filter of its block. `lengths` are the raw lengths of blocks."""
    from nzip import demand

    found = filters(body)
    demand(len(found) == len(lengths), "other blocks than the stream has")
    ends, at = [], 0
    for length in lengths:
        at += length
        ends.append(at)
    for match in WORD.finditer(raw):
        # The blocks that hold letters of the word, without the first one of several.
        blocks = [i for i, end in enumerate(ends) if end > match.start() and end - lengths[i] < match.end()]
        for i in blocks[1:] or blocks:
            demand(may_hold(found[i], match.group()), f"block {i} holds {match.group()}, and its filter does not")
