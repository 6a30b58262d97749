"""Reference decoder of `deflate` blocks, written from formats/deflate.md. Slow and clear."""

import zlib

import mix
from nzip import Reader, demand

LEN_BASE = (3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
            258)
LEN_EXTRA = (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0)
DIST_BASE = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
             6145, 8193, 12289, 16385, 24577)
DIST_EXTRA = (0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13)
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
END, LITERAL, NEVER = 256, (0, 0), 1 << 20
BOUNDS = (8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2560)
FIRST_SETTINGS = {"fast": 0, "wide": 0, "good": 8, "lazy": 16, "nice": 128, "chain": 128, "least": 3, "near": 4096,
                  "far": 32506}


def length_symbol(length):
    return max(i for i in range(29) if LEN_BASE[i] <= length)


def distance_symbol(distance):
    return max(i for i in range(30) if DIST_BASE[i] <= distance)


# Coded values


class Coder:
    """Decodes values. Models are found by any key, and start where it is used first."""

    def __init__(self, record):
        self.record, self.bits, self.models = record, mix.BinaryDecoder(record, 0), {}

    def flag(self, *key):
        p, s = self.models.get(key, (32768, 0))
        bit = self.bits.decode(p)
        d = 2 * s + 3
        p = p + (65536 - p) * 2 // d if bit else p - p * 2 // d
        self.models[key] = min(max(p, 32), 65504), min(s + 1, 254)
        return bit

    def tree(self, count, *key):
        node = 1
        for _ in range(count):
            node = 2 * node + self.flag("tree", node, *key)
        return node - (1 << count)

    def number(self, *key):
        length = 0
        while length < 31 and self.flag("length", length, *key):
            length += 1
        value = 1
        for place in reversed(range(length)):
            done = length - 1 - place
            model = ("high", length, value) if done < 3 else ("low", place)
            value = 2 * value + self.flag(*model, *key)
        return value - 1

    def finish(self):
        demand(self.bits.at >= len(self.record), "bytes are left of a record")


# Streams


class Output:
    """Bits of a stream, the lowest of a byte first."""

    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [value >> i & 1 for i in range(count)]

    def room(self):
        return -len(self.bits) % 8

    def bytes(self):
        octets = (self.bits[i:i + 8] for i in range(0, len(self.bits), 8))
        return bytes(sum(bit << i for i, bit in enumerate(octet)) for octet in octets)


def codes(lengths):
    """For each symbol its code, as bits in order."""
    out, code = [None] * len(lengths), 0
    for length in range(1, 16):
        for symbol in range(len(lengths)):
            if lengths[symbol] == length:
                out[symbol] = [code >> (length - 1 - i) & 1 for i in range(length)]
                code += 1
        code <<= 1
    return out


def zlib_lengths(counts, most):
    n = len(counts)
    count, depth, parent = dict(enumerate(counts)), dict.fromkeys(range(n), 0), {}
    heap = [None] + [i for i in range(n) if counts[i]]
    top = heap[-1] + 1 if len(heap) > 1 else 0
    while len(heap) < 3:
        symbol = top if top < 3 else 0
        top = max(top, symbol + 1)
        count[symbol] = 1
        heap.append(symbol)

    def before(a, b):
        return count[a] < count[b] or count[a] == count[b] and depth[a] <= depth[b]

    def sift(k):
        v = heap[k]
        while 2 * k < len(heap):
            j = 2 * k
            if j + 1 < len(heap) and before(heap[j + 1], heap[j]):
                j += 1
            if before(v, heap[j]):
                break
            heap[k] = heap[j]
            k = j
        heap[k] = v

    for k in range((len(heap) - 1) // 2, 0, -1):
        sift(k)
    off, node = [], n
    while len(heap) > 2:
        a, last = heap[1], heap.pop()
        heap[1] = last
        sift(1)
        b = heap[1]
        off += [a, b]
        count[node], depth[node] = count[a] + count[b], max(depth[a], depth[b]) + 1
        parent[a] = parent[b] = node
        heap[1] = node
        sift(1)
        node += 1
    length, over = {heap[1]: 0}, 0
    for i in reversed(off):
        length[i] = min(length[parent[i]] + 1, most)
        over += length[parent[i]] + 1 > most
    if over:
        of = [sum(length.get(i) == bits for i in range(n)) for bits in range(most + 1)]
        while over > 0:
            bits = max(b for b in range(1, most) if of[b])
            of[bits] -= 1
            of[bits + 1] += 2
            of[most] -= 1
            over -= 2
        symbols = iter([i for i in off if i < n])
        for bits in range(most, 0, -1):
            for _ in range(of[bits]):
                length[next(symbols)] = bits
    return [length.get(i, 0) for i in range(n)]


def zlib_items(lengths):
    """Items are (symbol, number of lengths)."""
    items, at, last, cut = [], 0, None, False
    while at < len(lengths):
        value = lengths[at]
        least, most = (3, 138) if value == 0 else (3, 6) if cut and last == value else (4, 7)
        run = 1
        while run < most and at + run < len(lengths) and lengths[at + run] == value:
            run += 1
        at += run
        if run < least:
            items += [(value, 1)] * run
        elif value:
            if last != value:
                items.append((value, 1))
            items.append((16, run - (last != value)))
        else:
            items.append((17 if run <= 10 else 18, run))
        last, cut = value, at < len(lengths) and lengths[at] == value
    return items


class Header:
    """The header of a dynamic block."""

    def __init__(self, c, literals, distances, counted):
        self.lengths(c, literals, distances, counted)
        self.items = zlib_items(self.literals) + zlib_items(self.distances)
        if not c.flag("items expected"):
            self.read_items(c)
        counts = [sum(symbol == i for symbol, _ in self.items) for i in range(19)]
        self.item_lengths = zlib_lengths(counts, 7)
        if not c.flag("item lengths expected"):
            self.item_lengths = [c.tree(3, "item length", expected) for expected in self.item_lengths]
        self.written = max([4] + [i + 1 for i in range(19) if self.item_lengths[ORDER[i]]])
        if not c.flag("trimmed"):
            least, self.written = self.written, 4 + c.number("written")
            demand(least <= self.written <= 19, "number of item lengths")
        demand(all(self.item_lengths[symbol] for symbol, _ in self.items), "an item without a code")

    def lengths(self, c, literals, distances, counted):
        if counted:
            self.literals, self.distances = trim(literals, 257), trim(distances, 1)
            if c.flag("lengths expected"):
                return
        both = []
        for which, expected, least, most in ((0, literals, 257, 286), (1, distances, 1, 30)):
            count = least + c.number("codes", which)
            demand(count <= most, "too many codes")
            both.append([])
            for i in range(count):
                like = expected[i] if i < len(expected) and i != END else 16
                both[-1].append(c.tree(4, "code length", which, counted, like))
        self.literals, self.distances = both
        demand(self.literals[END], "no code for the end")

    def read_items(self, c):
        lengths, at, self.items = self.literals + self.distances, 0, []
        while at < len(lengths):
            value, run = lengths[at], 1
            while at + run < len(lengths) and lengths[at + run] == value:
                run += 1
            zero, again = value == 0, at > 0 and lengths[at - 1] == value
            item = value, 1
            if run >= 3 and (zero or again) and c.flag("repetition", zero, min(run, 15)):
                sixteen = not zero or again and c.flag("repetition of zeros before")
                span = min(run, 6 if sixteen else 138) - c.number("span", zero)
                demand(span >= 3, "a repetition that is too short")
                item = 16 if sixteen else 17 if span <= 10 else 18, span
            self.items.append(item)
            at += item[1]

    def put(self, out):
        out.put(len(self.literals) - 257, 5)
        out.put(len(self.distances) - 1, 5)
        out.put(self.written - 4, 4)
        for i in ORDER[:self.written]:
            out.put(self.item_lengths[i], 3)
        table = codes(self.item_lengths)
        for symbol, span in self.items:
            out.bits += table[symbol]
            if symbol > 15:
                out.put(span - (11 if symbol == 18 else 3), {16: 2, 17: 3, 18: 7}[symbol])


def trim(lengths, least):
    count = max([least] + [i + 1 for i in range(len(lengths)) if lengths[i]])
    return lengths[:count]


def count_symbols(tokens, raw):
    literals, distances, at = [0] * 286, [0] * 30, 0
    for length, distance in tokens:
        if length:
            literals[257 + length_symbol(length)] += 1
            distances[distance_symbol(distance)] += 1
        else:
            literals[raw[at]] += 1
        at += max(length, 1)
    literals[END] = 1
    return literals, distances


def log2(n):
    r = n.bit_length() - 1
    x = n << (31 - r)
    for _ in range(8):
        x = x * x >> 31
        r *= 2
        if x >= 1 << 32:
            x >>= 1
            r += 1
    return r


class Search:
    """The search of one stream."""

    def __init__(self, raw, settings):
        self.raw, self.found = raw, None
        self.__dict__.update(settings)
        self.newest, self.before, self.entered = {}, {}, 0

    def hash(self, p):
        a, b, c = self.raw[p:p + 3]
        return (a << 12 ^ b << 6 ^ c) % 65536 if self.wide else (a << 10 ^ b << 5 ^ c) % 32768

    def enter(self, end):
        for p in range(self.entered, min(end, len(self.raw) - 2)):
            self.before[p] = self.newest.get(self.hash(p))
            self.newest[self.hash(p)] = p
        self.entered = max(self.entered, end)

    def common(self, p, q, limit):
        n = 0
        while n < limit and self.raw[p + n] == self.raw[q + n]:
            n += 1
        return n

    def longest(self, p, beaten):
        limit = min(258, len(self.raw) - p)
        if limit <= beaten or limit < 3:
            return None
        self.enter(p + 1)
        best, match, q = beaten, None, self.before[p]
        for i in range(self.chain >> 2 if beaten >= self.good else self.chain):
            if not q or p - q > self.far or i and p - q == self.far:
                break
            n = self.common(q, p, limit)
            if n > best:
                best, match = n, (n, p - q)
                if n >= min(self.nice, limit):
                    break
            q = self.before[q]
        if match is None or best < self.least or best == 3 and match[1] > self.near:
            return None
        return match

    def expect(self, p):
        """The expected token, and the length of the match."""
        found, self.found = self.found, None
        match = found[1] if found and found[0] == p else self.longest(p, 2)
        if match is None:
            return LITERAL, 0
        if not self.fast and match[0] < self.lazy and p + 1 < len(self.raw):
            longer = self.longest(p + 1, match[0])
            if longer:
                self.found = p + 1, longer
                return LITERAL, match[0]
        return match, match[0]

    def passed(self, p, token):
        if self.fast and token[0] > self.lazy:
            self.enter(p + 1)
            self.entered = max(self.entered, p + token[0])

    def at_place(self, p, length, place):
        self.enter(p + 1)
        q = self.before[p]
        for _ in range(4096):
            demand(q is not None and p - q <= 32768, "a match that is not there")
            if self.raw[q:q + length] == self.raw[p:p + length]:
                if place == 0:
                    return p - q
                place -= 1
            q = self.before[q]
        demand(False, "a match that is not there")


class Paths:
    """A segment of a block by cost."""

    def __init__(self, raw, start, end, chain, links, costs):
        self.raw, self.start, self.end, self.costs = raw, start, min(end, start + 65536), costs
        known = min(end, start + 65536 + 1024)
        self.matches = {p: self.find(p, min(258, end - p), chain, links) for p in range(start, known)}
        self.rest = {}
        for p in range(known - 1, start - 1, -1):
            best = min(cost + self.after(p + max(token[0], 1)) for cost, token in self.tokens(p))
            self.rest[p] = min(best, 1 << 30)

    def after(self, p):
        return self.rest.get(p, 0)

    def find(self, p, limit, chain, links):
        matches, best, q = [], 2, links.before(p)
        if limit < 3:
            return matches
        for _ in range(chain):
            if q is None or p - q > 32768:
                break
            n = 0
            while n < limit and self.raw[q + n] == self.raw[p + n]:
                n += 1
            if n > best:
                best = n
                matches.append((n, p - q))
                if n == limit or len(matches) == 32:
                    break
            q = links.before(q)
        return matches

    def tokens(self, p):
        """All tokens that may stand at p, with their costs."""
        literals, distances = self.costs
        yield literals[self.raw[p]], LITERAL
        first = 3
        for longest, distance in self.matches[p]:
            j = distance_symbol(distance)
            for length in range(first, longest + 1):
                i = length_symbol(length)
                extra = 256 * (LEN_EXTRA[i] + DIST_EXTRA[j])
                yield literals[257 + i] + distances[j] + extra, (length, distance)
            first = longest + 1

    def choices(self, p):
        literals, distances = self.costs
        ranked = []
        for cost, token in self.tokens(p):
            length, distance = token
            symbols = [literals[self.raw[p]]] if not length else [
                literals[257 + length_symbol(length)], distances[distance_symbol(distance)]]
            if all(symbol < NEVER for symbol in symbols):
                ranked.append((cost + self.after(p + max(length, 1)), length, token))
        return sorted(ranked)


class Links:
    """For each position the one before with the same hash of three bytes."""

    def __init__(self, raw):
        newest, self.table = {}, []
        for p in range(len(raw) - 2):
            key = int.from_bytes(raw[p:p + 3], "little") * 0x9E3779B1 % (1 << 32) >> 16
            self.table.append(newest.get(key))
            newest[key] = p

    def before(self, p):
        return self.table[p] if p < len(self.table) else None


class Streams:
    """Decodes the streams of a record, one after the other."""

    def __init__(self, c):
        self.c, self.full = c, 16383
        self.method = "search", FIRST_SETTINGS

    def read_method(self):
        c = self.c
        if c.flag("same method"):
            return
        if c.flag("by cost"):
            counted = c.flag("counted")
            chain = c.number("chain by cost")
            demand(chain <= 32768, "chain")
            self.method = "paths", (counted, chain)
            return
        settings = {"fast": c.flag("fast"), "wide": c.flag("wide")}
        tops = {"good": 258, "lazy": 258, "nice": 258, "chain": 32768, "least": 6, "near": 32768, "far": 32768}
        for name, top in tops.items():
            settings[name] = c.number("setting", name)
            demand(settings[name] <= top, name)
        demand(settings["least"] >= 3, "least")
        self.method = "search", settings

    def decode(self, raw):
        c = self.c
        self.read_method()
        self.raw, self.at, self.out = raw, 0, Output()
        self.last_lengths = [], []
        if self.method[0] == "search":
            self.search = Search(raw, self.method[1])
        else:
            self.links = Links(raw)
        kind, last = 3, False
        while not last:
            last = c.flag("last", self.at == len(raw))
            kind = c.tree(2, "kind", kind)
            demand(kind < 3, "a block of no kind")
            if kind == 0:
                self.stored(last)
            elif self.method[0] == "search":
                self.searched(last, kind)
            else:
                self.by_cost(last, kind)
        demand(self.at == len(raw), "bytes of an inside are left")
        self.padding(1)
        return self.out.bytes()

    def padding(self, which):
        value = 0 if self.c.flag("no padding", which) else self.c.tree(7, "padding", which)
        self.out.put(value, self.out.room())

    def stored(self, last):
        length = self.c.number("stored")
        demand(length < 65536 and self.at + length <= len(self.raw), "length of a stored block")
        self.out.put(last, 3)
        self.padding(0)
        self.out.put(length, 16)
        self.out.put(~length & 0xFFFF, 16)
        for byte in self.raw[self.at:self.at + length]:
            self.out.put(byte, 8)
        self.at += length

    def write(self, last, header, start, tokens):
        demand(len(tokens) <= 1 << 22, "too many tokens")
        out = self.out
        out.put(last | (2 if header is None else 4), 3)
        if header is None:
            literals, distances = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, [5] * 32
        else:
            header.put(out)
            literals, distances = header.literals, header.distances
        literals, distances = codes(literals), codes(distances)

        def put(table, symbol):
            demand(symbol < len(table) and table[symbol] is not None, "a symbol without a code")
            out.bits += table[symbol]

        for length, distance in tokens:
            if length:
                i, j = length_symbol(length), distance_symbol(distance)
                put(literals, 257 + i)
                out.put(length - LEN_BASE[i], LEN_EXTRA[i])
                put(distances, j)
                out.put(distance - DIST_BASE[j], DIST_EXTRA[j])
            else:
                put(literals, self.raw[start])
            start += max(length, 1)
        put(literals, END)

    def searched(self, last, kind):
        c, start, count = self.c, self.at, None
        if not last:
            if not c.flag("full"):
                self.full = c.number("tokens")
            count = self.full
        tokens, history = [], 0
        while len(tokens) != count and self.at < len(self.raw):
            expected, n = self.search.expect(self.at)
            what = 1 + n.bit_length() if expected[0] else int(n > 0)
            right = c.flag("right", what, history)
            history = (2 * history & 7) | (not right)
            token = expected if right else self.other(expected, what)
            self.search.passed(self.at, token)
            tokens.append(token)
            self.at += max(token[0], 1)
        demand(count is None or len(tokens) == count, "more tokens than bytes")
        header = None
        if kind == 2:
            literals, distances = count_symbols(tokens, self.raw[start:self.at])
            header = self.header(zlib_lengths(literals, 15), zlib_lengths(distances, 15), True)
        self.write(last, header, start, tokens)

    def header(self, literals, distances, counted):
        header = Header(self.c, literals, distances, counted)
        self.last_lengths = header.literals, header.distances
        return header

    def other(self, expected, what):
        c, known = self.c, expected[0] > 0
        if known and c.flag("literal", what):
            return LITERAL
        length = expected[0]
        if not known or not c.flag("same length"):
            length = 3 + c.tree(8, "match length", known)
        demand(self.at + length <= len(self.raw), "a match past the end")
        place = c.number("place", known)
        if place:
            return length, self.search.at_place(self.at, length, place - 1)
        return self.explicit(length)

    def explicit(self, length):
        high = self.c.tree(8, "distance, high")
        distance = 1 + (high << 7 | self.c.tree(7, "distance, low"))
        from_ = self.at - distance
        demand(from_ >= 0 and self.raw[from_:from_ + length] == self.raw[self.at:self.at + length],
               "a match that is not there")
        return length, distance

    def by_cost(self, last, kind):
        c, start = self.c, self.at
        counted, chain = self.method[1]
        end = len(self.raw) if last else start + c.number("raw length")
        demand(end <= len(self.raw), "a block past the end")
        header, counts = None, None
        if kind == 1:
            lengths = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 6, [5] * 30
        else:
            if counted:
                counts = [c.number("literal counts") for _ in range(286)], [c.number("distance counts") for _ in range(30)]
                header = self.header(zlib_lengths(counts[0], 15), zlib_lengths(counts[1], 15), True)
            else:
                header = self.header(*self.last_lengths, False)
            lengths = header.literals + [0] * 286, header.distances + [0] * 30
        if counts:
            costs = [[log2(max(sum(part), 1)) - log2(n) if n else NEVER for n in part] for part in counts]
        else:
            costs = [[256 * n if n else NEVER for n in part] for part in lengths]
        tokens, history, paths = [], 0, None
        while self.at < end:
            if paths is None or self.at >= paths.end:
                segment = start if paths is None else paths.end
                paths = Paths(self.raw, segment, end, chain, self.links, costs)
            token, right = self.choice(paths, history, end)
            history = (2 * history & 7) | (not right)
            tokens.append(token)
            self.at += max(token[0], 1)
        self.write(last, header, start, tokens)

    def choice(self, paths, history, end):
        """A token, and whether it is the first choice."""
        c, ranked = self.c, paths.choices(self.at)
        for rank, (cost, length, token) in enumerate(ranked[:12]):
            kinds, gap = 2 * (length > 0), 13
            if rank + 1 < len(ranked):
                kinds += ranked[rank + 1][1] > 0
                gap = sum(ranked[rank + 1][0] - cost >= bound for bound in BOUNDS)
            if c.flag("taken", gap, min(rank, 7), kinds, history):
                return token, rank == 0
        if c.flag("literal", 0):
            return LITERAL, False
        length = 3 + c.tree(8, "match length", False)
        demand(self.at + length <= end, "a match past the end")
        return self.explicit(length), False


# Steps


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(names, raster, row, pixel):
    out, above = bytearray(), bytes(row)
    for name, at in zip(names, range(0, len(raster), row)):
        demand(name <= 4, "a filter of no kind")
        line = raster[at:at + row]
        out.append(name)
        for i in range(row):
            a, c = (line[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
            b = above[i]
            out.append((line[i] - (0, a, b, (a + b) // 2, paeth(a, b, c))[name]) % 256)
        above = line
    return bytes(out)


PASSES = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)


def passes(row, pixel, height):
    """The pixels of each pass of an interlaced picture, as rows of their offsets in the raster."""
    for x, y, right, down in PASSES:
        columns = range(x * pixel, row, right * pixel)
        rows = [[at * row + column for column in columns] for at in range(y, height, down)]
        if columns and rows:
            yield rows


def interlaced(names, raster, row, pixel, height):
    out, used = b"", 0
    for rows in passes(row, pixel, height):
        pixels = b"".join(raster[at:at + pixel] for line in rows for at in line)
        out += filtered(names[used:used + len(rows)], pixels, len(rows[0]) * pixel, pixel)
        used += len(rows)
    return out


def recreate(c, contents, params, raw_length):
    used, raw, streams = [0] * len(contents), bytearray(), Streams(c)
    count, inside_bytes = 0, 0

    def take(i, n):
        demand(i < len(contents) and used[i] + n <= len(contents[i]), "more than a content has")
        used[i] += n
        return contents[i][used[i] - n:used[i]]

    while True:
        raw += take(0, c.number("before"))
        demand(len(raw) <= raw_length, "block is too long")
        if not c.flag("more"):
            break
        content, length, shape = 1 + c.number("content"), c.number("inside"), None
        if c.flag("split"):
            row, pixel = 1 + c.number("row"), 1 + c.number("pixel")
            demand(pixel <= 17, "shape of a picture")
            if pixel == 17:
                demand(row <= length, "shape of an array")
                shape, rows, size = (), row, length - row
            elif pixel <= 8:
                demand(length % (row + 1) == 0, "shape of a picture")
                shape, rows, size = (row, pixel), length // (row + 1), length // (row + 1) * row
            else:
                shape = row, pixel - 8, 1 + c.number("height")
                size = row * shape[2]
                demand(row % shape[1] == 0 and size <= length, "shape of a picture")
                rows = sum(len(lines) for lines in passes(*shape))
                demand(size + rows == length, "shape of a picture")
        form = c.tree(2, "form")
        lengths = []
        if form == 3:
            chunks = c.number("chunks")
            demand(chunks <= 1 << 20, "too many chunks")
            alike = chunks > 1 and c.flag("alike")
            for i in range(chunks):
                lengths.append(lengths[0] if alike and i else c.number("chunk"))
        if shape is None:
            inside = take(content, length)
        else:
            part, first = take(content, size), take(0, rows)
            make = {0: lambda header, numbers: header + numbers, 2: filtered, 3: interlaced}[len(shape)]
            inside = make(first, part, *shape)
        head = take(0, 2) if form == 3 else b""
        out = head + streams.decode(inside)
        if form in (1, 3):
            out += zlib.adler32(inside).to_bytes(4, "big")
        elif form == 2:
            out += zlib.crc32(inside).to_bytes(4, "little") + (length % (1 << 32)).to_bytes(4, "little")
        if form == 3:
            demand(sum(lengths) <= len(out), "chunks that are too long")
            pieces, at = [], 0
            for n in lengths + [len(out) - sum(lengths)]:
                data = b"IDAT" + out[at:at + n]
                pieces += [n.to_bytes(4, "big"), data, zlib.crc32(data).to_bytes(4, "big")]
                at += n
            out = b"".join(pieces)
        raw += out
        demand(len(raw) <= raw_length, "block is too long")
        count, inside_bytes = count + 1, inside_bytes + length
    demand((count, inside_bytes) == params and len(raw) == raw_length, "not what the block says")
    demand(all(used[i] == len(contents[i]) for i in range(len(contents))), "contents are left")
    return bytes(raw)


def read_params(params):
    r = Reader(params)
    depth, streams, inside = r.u8(), r.varint(), r.varint()
    demand(depth > 0 and r.at == len(params), "parameters of a deflate block")
    demand(depth <= 2, "newer: depth")
    demand(1 <= streams < 1 << 32 and 1 <= inside <= 1 << 30, "parameters out of range")
    return depth, streams, inside


def decode(payload, params, raw_length, block):
    """The raw bytes of a block. `block` decodes the block that a reader stands at, and gives its codec, parameters and raw
    bytes."""
    depth, streams, inside = read_params(params)
    r = Reader(payload)
    contents = []
    count = r.varint()
    demand(1 <= count <= 255, "number of contents")
    for _ in range(count):
        codec, inner, raw = block(r)
        demand(codec not in (8, 11) or inner[0] < depth, "deeper than declared")
        contents.append(raw)
    c = Coder(payload[r.at:])
    raw = recreate(c, contents, (streams, inside), raw_length)
    c.finish()
    return raw
