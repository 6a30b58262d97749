"""Reference decoder of `jpeg` blocks, written from formats/jpeg.md. Slow and clear."""

import numpy as np

import mix
from nzip import Reader, demand

M32 = 0xFFFFFFFF
CONTEXTS = 23
NONE = [0] * 64
COSINES = (4096, 4017, 3784, 3406, 2896, 2276, 1567, 799)


def zigzag():
    """The (column, row) of each place."""
    places = []
    for d in range(15):
        diagonal = [(i, d - i) for i in range(d + 1)]
        places += [p for p in (diagonal if d % 2 == 0 else reversed(diagonal)) if max(p) < 8]
    return places


PLACES = zigzag()
PLACE = {place: k for k, place in enumerate(PLACES)}


def wave(u, x):
    if u == 0:
        return 2896
    turn = (2 * x + 1) * u % 32
    turn = min(turn, 32 - turn)
    return 0 if turn == 8 else COSINES[turn] if turn < 8 else -COSINES[16 - turn]


WAVES = [[wave(u, x) for x in range(8)] for u in range(8)]


def limit(n, low, high):
    return min(max(n, low), high)


def signed16(n):
    return (n + 32768) % 65536 - 32768


def cut(a, b):
    """a / b, rounded towards zero, for b > 0."""
    return a // b if a >= 0 else -(-a // b)


# Headers


def codes_of(counts, symbols):
    """For each symbol its code and length."""
    codes, code, at = {}, 0, 0
    for length in range(1, 17):
        for symbol in symbols[at:at + counts[length - 1]]:
            demand(code < 1 << length and symbol not in codes, "a Huffman code that is none")
            codes[symbol] = code, length
            code += 1
        at += counts[length - 1]
        code *= 2
    return codes


class Headers:
    def __init__(self):
        self.steps, self.codes, self.restart, self.components = {}, {}, 0, None

    def walk(self, data, start):
        """Walks through all of the data. Returns the scan: its components (place, DC, AC), first, last, high, low."""
        r = Reader(data)
        if start:
            demand(r.take(2) == b"\xff\xd8", "no start of a picture")
        while True:
            while r.data[r.at:r.at + 2] == b"\xff\xff":
                r.at += 1
            demand(r.u8() == 0xFF, "no marker")
            marker = r.u8()
            length = int.from_bytes(r.take(2), "big")
            demand(length >= 2, "length of a segment")
            body = r.take(length - 2)
            if marker == 0xDA:
                demand(r.at == len(data), "bytes after the header of a scan")
                return self.scan(body)
            self.segment(marker, body)

    def segment(self, marker, body):
        if marker in (0xC0, 0xC1, 0xC2) and self.components is None:
            self.frame(body, marker == 0xC2)
        elif marker == 0xC4:
            while body:
                counts = body[1:17]
                demand(len(counts) == 16 and body[0] & 0xEC == 0, "a Huffman code")
                end = 17 + sum(counts)
                demand(end <= len(body), "a Huffman code that is cut")
                self.codes[body[0] >> 4, body[0] & 3] = codes_of(counts, body[17:end])
                body = body[end:]
        elif marker == 0xDB:
            while body:
                width = 2 if body[0] >> 4 else 1
                values = body[1:1 + 64 * width]
                demand(len(values) == 64 * width and body[0] & 0xEC == 0, "a quantisation table")
                pairs = range(0, 64 * width, width)
                self.steps[body[0] & 3] = [int.from_bytes(values[i:i + width], "big") for i in pairs]
                body = body[1 + 64 * width:]
        elif marker == 0xDD:
            demand(len(body) == 2, "a restart interval")
            self.restart = int.from_bytes(body, "big")
        else:
            demand(0xE0 <= marker <= 0xFE, "marker of no known kind")

    def frame(self, body, progressive):
        demand(len(body) >= 6 and body[0] == 8, "a frame")
        height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        parts = [body[i:i + 3] for i in range(6, len(body), 3)]
        demand(height and width and 1 <= body[5] <= 4 and len(body) == 6 + 3 * body[5], "a frame's size")
        demand(all(1 <= p[1] >> 4 <= 4 and 1 <= p[1] & 15 <= 4 and p[2] < 4 for p in parts), "a frame's components")
        h_most, v_most = max(p[1] >> 4 for p in parts), max(p[1] & 15 for p in parts)
        self.progressive, self.components = progressive, []
        self.wide, self.high = -(-width // (8 * h_most)), -(-height // (8 * v_most))
        for p in parts:
            h, v = p[1] >> 4, p[1] & 15
            size = -(-(-(-width * h // h_most)) // 8), -(-(-(-height * v // v_most)) // 8)
            self.components.append({"id": p[0], "h": h, "v": v, "table": p[2], "size": size,
                                    "padded": (self.wide * h, self.high * v)})

    def scan(self, body):
        demand(self.components is not None and body and len(body) == 4 + 2 * body[0] and body[0], "a scan")
        ids, scan = [c["id"] for c in self.components], []
        for i in range(1, 1 + 2 * body[0], 2):
            demand(body[i] in ids, "a scan of no component")
            part = ids.index(body[i]), body[i + 1] >> 4, body[i + 1] & 15
            demand(part[1] < 4 and part[2] < 4 and part[0] not in (s[0] for s in scan), "a scan's components")
            scan.append(part)
        first, last, bits = body[-3:]
        high, low = bits >> 4, bits & 15
        if self.progressive:
            band = last == 0 if first == 0 else first <= last < 64 and len(scan) == 1
            demand(band and low < 14 and (high == 0 or high == low + 1), "a scan's band")
        else:
            demand((first, last, bits) == (0, 63, 0), "a scan's band")
        return scan, first, last, high, low


# Decisions


class Mixer(mix.Mixer):
    FAMILIES = (64, 1024, 512, 512, 512)
    STARTS = np.cumsum((0,) + FAMILIES[:-1])

    def __init__(self):
        weights = np.zeros((sum(self.FAMILIES), 64), dtype=np.int64)
        weights[:, 0:2 * CONTEXTS:2] = 1200
        finals = np.zeros((512, 8), dtype=np.int64)
        finals[:, :5] = 3276
        super().__init__(weights, finals)


class Counter:
    def __init__(self):
        self.p, self.n = 1 << 21, 0

    def inputs(self):
        a = mix.STRETCH[self.p >> 10]
        return a, cut(a * self.n, self.n + 20)

    def update(self, y):
        self.p += ((y * (2**19 - 1) - (self.p >> 3)) * (8192 // (2 * self.n + 3))) >> 9
        self.n = min(self.n + 1, 255)


def hashes(salt, lists):
    out = []
    for values in lists:
        a, b, c, d = (tuple(values) + (0, 0, 0))[:4]
        key = a + (b << 8) + (c << 16) + (d << 24) & M32
        h = key * 0x9E3779B1 & M32 ^ salt * 0x85EBCA6B & M32
        out.append((h ^ h >> 15) * 0x85EBCA6B & M32)
    return out + [0] * (CONTEXTS - len(out))


def moved(contexts, by):
    return [(h ^ by) * 0x9E3779B1 & M32 for h in contexts]


def level(n):
    if n < 4:
        return n
    log = n.bit_length() - 1
    return 2 * log + (n >> (log - 1) & 1)


def fine(n):
    m = abs(n)
    log = m.bit_length() - 1
    return 2 * (m if m < 8 else 4 * log - 4 + (m >> (log - 2) & 3)) + (n < 0)


def coarse(n):
    return 2 * level(abs(n)) + (n < 0)


class Engine:
    """Decodes decisions."""

    def __init__(self, payload, lines):
        self.payload, self.lines = payload, lines
        self.bits = mix.BinaryDecoder(payload, 0)
        self.counters, self.mixer = {}, Mixer()
        self.stages = mix.FinalStage(), mix.FinalStage()

    def seek(self, contexts):
        self.contexts = [(i, h >> (32 - self.lines)) for i, h in enumerate(contexts)]

    def decide(self, node, kind, plane_class, k, small):
        s = [min(n, 15) for n in small[:3]] + [min(small[3], 7)]
        r = 3 if kind >= 24 or kind % 12 > 8 else min(kind % 12, 2)
        vectors = np.array([2 * kind + plane_class, 2 * (4 * k + r) + plane_class] + [32 * n + kind for n in s[:3]])
        counters = []
        for context in self.contexts:
            key = (*context, node)
            if key not in self.counters:
                self.counters[key] = Counter()
            counters.append(self.counters[key])
        inputs = [0] * 64
        for i, counter in enumerate(counters):
            inputs[2 * i:2 * i + 2] = counter.inputs()
        inputs[46] = 256
        logit = self.mixer.mix(inputs, vectors, (8 * kind + s[3], 4 * k + r))
        places = 64 * kind + k, 128 * kind + 8 * s[0] + s[1] // 2
        q = [stage.refine(logit, place) for stage, place in zip(self.stages, places)]
        y = self.bits.decode(limit((mix.squash(logit) + q[0] + 2 * q[1]) >> 2, 16, 65520))
        self.mixer.update(y, 10)
        for part in [*self.stages, *counters]:
            part.update(y)
        return y

    def magnitude(self, contexts, kind, plane_class, k, small):
        self.seek(contexts)
        length = 1
        while length < 15 and self.decide(length, kind + 2 + min(length - 1, 6), plane_class, k, small):
            length += 1
        value = 1
        for i in range(length - 1):
            node = 15 if length == 2 else 11 + value if length == 3 else 9 + min(i, 2)
            value = 2 * value + self.decide(node, kind + 9 + min(i, 2), plane_class, k, small)
        return value

    def finish(self):
        demand(self.bits.at >= len(self.payload), "bytes are left after the last coefficient")


# Coefficients


class Plane:
    def __init__(self, size, steps):
        self.wide, self.high = size
        self.steps = steps
        self.blocks, self.known = [], []

    def values(self, block):
        """The values of a block's numbers by (column, row)."""
        return {PLACES[k]: limit(n * s, -2047, 2047) for k, (n, s) in enumerate(zip(block, self.steps))}


def samples(values):
    half = [[sum(values[u, v] * WAVES[v][y] for v in range(8)) >> 10 for u in range(8)] for y in range(8)]
    return [[sum(half[y][u] * WAVES[u][x] for u in range(8)) >> 13 for x in range(8)] for y in range(8)]


def weight(f):
    return 256 if f else 181


def sign(n):
    return (n > 0) + 2 * (n < 0)


class PlaneDecoder:
    """Decodes a plane, given those before it."""

    # Last place, count, error of a block that does not exist.
    UNKNOWN = 0, 0, 0

    def __init__(self, engine, plane, before):
        self.e, self.plane, self.before = engine, plane, before
        self.cls = int(len(before) in (1, 2))
        self.samples = []
        for y in range(plane.high):
            for x in range(plane.wide):
                self.block(x, y)

    def other(self, i, x, y):
        """A block at the same place of an earlier plane, and what is known of it."""
        if len(self.before) <= i:
            return NONE, self.UNKNOWN
        p, o = self.plane, self.before[-1 - i]
        n = y * o.high // p.high * o.wide + x * o.wide // p.wide
        return o.blocks[n], o.known[n]

    def block(self, x, y):
        p = self.plane
        w, n = p.wide, y * p.wide + x
        back = (1, x > 0), (w, y > 0), (w + 1, x > 0 and y > 0), (w - 1, y > 0 and x + 1 < w), (2, x > 1), (2 * w, y > 1)
        near = [(p.blocks[n - d], p.known[n - d]) if there else (NONE, self.UNKNOWN) for d, there in back]
        near += [self.other(0, x, y), self.other(1, x, y)]
        self.L, self.A, self.C, self.R, self.L2, self.A2, self.O, self.P = (b for b, _ in near)
        self.known = [near[i][1] for i in (0, 1, 2, 3, 6, 7)]
        block = [0] * 64
        last = self.last_place()
        count, total = self.frequencies(block, last)
        values = p.values(block)
        values[0, 0] = 0
        own = samples(values)
        left = self.samples[n - 1] if x else None
        above = self.samples[n - w] if y else None
        error = self.mean(block, own, left, above, count, total)
        mean = limit(block[0] * p.steps[0], -2047, 2047)
        self.samples.append([[s + mean for s in row] for row in own])
        p.blocks.append(block)
        p.known.append((last, count, error))

    def last_place(self):
        l, a, c, r, o, p = (k[0] for k in self.known)
        nl, na, nc, nr, no, np_ = (k[1] for k in self.known)
        lists = [
            (0,), (1, l), (2, a), (3, l // 4, a // 4), (4, (l + a) // 2), (5, (3 * (l + a) + c + r) // 8), (6, o),
            (7, o // 2, (l + a) // 8), (8, level(nl + na), level(nc + nr)), (9, level(nl), level(na)),
            (10, o // 2, p // 4), (11, level(no), level(nl + na)), (12, level(no), level(np_), level(nl + na) // 2),
            (13, (3 * (nl + na) + nc + nr) // 4), (14, max(l, a), min(l, a) // 4)]
        contexts, small = hashes(401 + self.cls, lists), (l // 4, a // 4, o // 4, 0)
        place = 0
        for half in range(2):
            self.e.seek(moved(contexts, half and 1 + place))
            node = 1
            for i in range(3):
                node = 2 * node + self.e.decide(node, 24 + 3 * half + i, self.cls, node, small)
            place = 8 * place + node - 8
        return place

    def frequencies(self, block, last):
        steps = self.plane.steps
        above, left = self.plane.values(self.A), self.plane.values(self.L)
        columns, rows = [0] * 8, [0] * 8
        count = total = zeros = 0
        for k in range(last, 0, -1):
            u, v = PLACES[k]
            down = sum((-1) ** j * weight(j) * above[u, j] for j in range(v, 8)) - columns[u]
            right = sum((-1) ** j * weight(j) * left[j, v] for j in range(u, 8)) - rows[v]
            step = max(steps[k], 1)
            t, f = cut(4 * down, weight(v) * step), cut(4 * right, weight(u) * step)
            value = self.number(block, k, last, (count, total, zeros), t, f)
            block[k] = value
            if value == 0:
                zeros += 1
                continue
            count, total, zeros = count + 1, total + abs(value), 0
            columns[u] += weight(v) * limit(value * steps[k], -2047, 2047)
            rows[v] += weight(u) * limit(value * steps[k], -2047, 2047)
        return count, total

    def number(self, block, k, last, known, t, f):
        count = known[0]

        def size(s):
            return self.of_size(block, k, last, known, t, f, s)

        contexts, m1, m2 = size(0)
        small = m1, m2, level(max(abs(t), abs(f))), count
        if k < last:
            self.e.seek(contexts)
            if self.e.decide(1, 0, self.cls, k, small):
                return 0
        self.e.seek(self.of_sign(block, k, t, f))
        eighths = [8 + limit(cut(n, 4), -8, 7) for n in (t, f, t + f)]
        s = -1 if self.e.decide(1, 1, self.cls, k, (*eighths, count)) else 1
        return s * self.e.magnitude(moved(size(s)[0], 1), 0, self.cls, k, small)

    def of_size(self, block, k, last, known, t, f, s):
        n, total, z = known
        L, A, C, R, L2, A2, o, p = (abs(b[k]) for b in (self.L, self.A, self.C, self.R, self.L2, self.A2, self.O, self.P))
        u, v = PLACES[k]
        beside = (u + 1, v), (u, v + 1), (u + 1, v + 1), (u + 2, v), (u, v + 2)
        x1, x2, x3, x4, x5 = (abs(block[PLACE[q]]) if q in PLACE else 0 for q in beside)
        e1, e2, e3 = (abs(block[k + i]) if k + i < 64 else 0 for i in (1, 2, 3))
        near, inner = 3 * (L + A) + C + R, 2 * (x1 + x2) + x3 + x4 + x5
        m1, m2 = level(near), level(inner)
        t, f, b = (abs(t), abs(f), abs(t + f)) if s == 0 else (t * s, f * s, (t + f) * s)
        region = {name: self.region(b_, k) for name, b_ in (("L", self.L), ("A", self.A), ("O", self.O))}
        nl, na = self.known[0][1], self.known[1][1]
        lists = [
            (m1, level(inner + near)), (1, min(L, 15), min(A, 15)), (2, min(inner, 40)), (3, m1, m2), (4, n, last // 4),
            (5, fine(t)), (6, fine(f)), (7, coarse(t), coarse(f)), (8, min(x1, 7), min(x2, 7), min(x3, 7)),
            (9, min(o, 15), m1), (10, min(o, 7), min(p, 7), m2), (11, level(total), m1),
            (12, level(region["L"]), level(region["A"])), (13, min(C, 3) + 4 * min(R, 3), min(L2, 3), min(A2, 3)),
            (14, z, last), (15, min(e1, 7), min(e2, 7), min(e3, 3)), (16, level(near + 2 * inner), level(total), min(n, 7)),
            (17, coarse(t), m1), (18, coarse(f), m1), (19, level(x1 + x4), level(x2 + x5), m1 // 2),
            (20, level(nl + na), n), (21, fine(b), m2), (22, level(region["O"]), m2, m1)]
        return hashes(1 + k + 64 * self.cls, lists), m1, m2

    @staticmethod
    def region(block, k):
        u, v = PLACES[k]
        around = (u - 1, v), (u, v - 1), (u + 1, v), (u, v + 1)
        return 2 * abs(block[k]) + sum(abs(block[PLACE[q]]) for q in around if q in PLACE and q != (0, 0))

    def of_sign(self, block, k, t, f):
        L, A, C, R, o, p = (b[k] for b in (self.L, self.A, self.C, self.R, self.O, self.P))
        u, v = PLACES[k]
        beside = (u + 1, v), (u, v + 1), (u + 1, v + 1), (u + 2, v), (u, v + 2)
        g1, g2, g3, g4, g5 = (sign(block[PLACE[q]]) if q in PLACE else 0 for q in beside)
        G, Q = sign(L) + 3 * sign(A), sign(o) + 3 * sign(p)

        def few(n, m):
            return limit(n, -m, m) + m

        lists = [
            (0, fine(t)), (1, fine(f)), (2, coarse(t), coarse(f)), (3, G, sign(C), sign(R)), (4, few(L, 3), few(A, 3)),
            (5, g1, g2, g3), (6, g4, g5), (7, Q), (8, Q, coarse(t + f)), (9, fine(t + f)), (10, coarse(t), G),
            (11, coarse(f), G), (12, few(o, 7)), (13, g4, coarse(f)), (14, g5, coarse(t)), (15,)]
        return hashes(201 + k + 64 * self.cls, lists)

    def mean(self, block, own, left, above, count, total):
        """Decodes the mean, and returns the block's error."""
        q = max(self.plane.steps[0], 1)
        from_left, from_above = [], []
        if left:
            from_left = [3 * left[y][7] - left[y][6] - 3 * own[y][0] + own[y][1] for y in range(8)]
        if above:
            from_above = [3 * above[7][x] - above[6][x] - 3 * own[0][x] + own[1][x] for x in range(8)]

        def average(estimates):
            return 2 * sum(estimates) // (len(estimates) * q) if estimates else 0

        estimates = sorted(from_left + from_above)
        quarter = len(estimates) // 4
        middle = average(estimates[quarter:len(estimates) - quarter])
        spread = (estimates[-1] - estimates[0]) // q if estimates else 0
        all_ = average(estimates)
        M = limit((middle + 2) >> 2, -2047, 2047)
        dl, da = (average(e) - 4 * M if e else all_ - 4 * M for e in (from_left, from_above))
        el, ea, eo, ep = (self.known[i][2] for i in (0, 1, 4, 5))
        h, w, d = level(spread), level(abs(el) + abs(ea)), limit(middle - 4 * M, -2, 2) & 7
        lists = [
            (0, h), (1, fine(da)), (2, fine(dl)), (3, coarse(da), coarse(dl)),
            (4, coarse(4 * self.A[0] - 4 * M), coarse(4 * self.L[0] - 4 * M)), (5, coarse(el), coarse(ea)), (6, h, d),
            (7, count), (8, level(total), h), (9, fine(eo)), (10, coarse(eo), coarse(ep)), (11, h, min(count, 15)),
            (12, fine(all_ - 4 * M)), (13, d, coarse(all_ - 4 * M)), (14, w, h), (15, w, d), (16, coarse(el), h),
            (17, coarse(ea), h), (18, coarse(eo), h), (19, coarse(da), h), (20, coarse(dl), h),
            (21, fine(cut(da + dl, 2)), h), (22, coarse(eo), w)]
        contexts, small = hashes(601 + self.cls, lists), (h, w, level(abs(eo)), level(count))
        self.e.seek(contexts)
        error = 0
        if not self.e.decide(1, 12, self.cls, 0, small):
            negative = self.e.decide(2, 13, self.cls, 0, small)
            error = self.e.magnitude(moved(contexts, 2 if negative else 1), 12, self.cls, 0, small)
            error = -error if negative else error
        block[0] = signed16(M + error)
        return limit(block[0] - M, -32768, 32767)


# Scans


class Writer:
    def __init__(self, headers, scan, planes, run, zeros):
        self.h, self.planes, self.most_run, self.zeros = headers, planes, run, zeros
        self.parts, self.first, self.last, self.high, self.low = scan
        self.out, self.bits, self.run, self.waiting = bytearray(), [], 0, []

    def put(self, value, count):
        self.bits += [value >> i & 1 for i in reversed(range(count))]
        while len(self.bits) >= 8:
            byte = sum(bit << (7 - i) for i, bit in enumerate(self.bits[:8]))
            self.out += bytes([byte, 0]) if byte == 255 else bytes([byte])
            del self.bits[:8]

    def symbol(self, which, symbol):
        codes = self.h.codes.get(which)
        demand(codes is not None and symbol in codes, "a symbol without a code")
        self.put(*codes[symbol])

    def value(self, n, size):
        demand(size < 16, "a number that is too large")
        self.put(n - 1 & 0xFFFF if n < 0 else n, size)

    def units(self):
        """For each unit its blocks: the place of the component in the scan, and the block."""
        if len(self.parts) == 1:
            c, p = self.h.components[self.parts[0][0]], self.planes[self.parts[0][0]]
            for y in range(c["size"][1]):
                for x in range(c["size"][0]):
                    yield [(0, p.blocks[y * p.wide + x])]
            return
        for y in range(self.h.high):
            for x in range(self.h.wide):
                unit = []
                for i, (place, _, _) in enumerate(self.parts):
                    c, p = self.h.components[place], self.planes[place]
                    unit += [(i, p.blocks[(y * c["v"] + v) * p.wide + x * c["h"] + h])
                             for v in range(c["v"]) for h in range(c["h"])]
                yield unit

    def write(self, most):
        """The scan, or its first units up to the one with which it has more than `most` bytes."""
        self.means = [0] * 4
        for n, unit in enumerate(self.units()):
            if most is not None and len(self.out) > most:
                return bytes(self.out)
            if self.h.restart and n and n % self.h.restart == 0:
                self.end_interval()
                self.out += bytes([0xFF, 0xD0 + (n // self.h.restart - 1) % 8])
                self.means = [0] * 4
            for i, block in unit:
                dc, ac = (0, self.parts[i][1]), (1, self.parts[i][2])
                if not self.h.progressive:
                    self.mean(block, i, dc)
                    self.sequential(block, ac)
                elif self.first == 0:
                    if self.high == 0:
                        self.mean(block, i, dc)
                    else:
                        self.put(block[0] >> self.low & 1, 1)
                elif self.high == 0:
                    self.numbers(block, ac)
                else:
                    self.refine(block, ac)
        self.end_interval()
        return bytes(self.out)

    def end_interval(self):
        self.end_run((1, self.parts[0][2]))
        while self.bits:
            self.put(0 if self.zeros else 1, 1)

    def mean(self, block, i, code):
        n = block[0] >> self.low
        difference, self.means[i] = n - self.means[i], n
        size = abs(difference).bit_length()
        demand(size < 16, "a difference that is too large")
        self.symbol(code, size)
        self.value(difference, size)

    def sequential(self, block, code):
        zeros = 0
        for n in block[1:]:
            if n == 0:
                zeros += 1
                continue
            zeros = self.long_run(zeros, code)
            size = abs(n).bit_length()
            demand(size < 16, "a number that is too large")
            self.symbol(code, 16 * zeros + size)
            self.value(n, size)
            zeros = 0
        if zeros:
            self.symbol(code, 0)

    def long_run(self, zeros, code):
        while zeros > 15:
            self.symbol(code, 0xF0)
            zeros -= 16
        return zeros

    def end_run(self, code):
        if self.run:
            log = self.run.bit_length() - 1
            self.symbol(code, 16 * log)
            self.put(self.run & ((1 << log) - 1), log)
            self.run = 0
            self.put_waiting()

    def put_waiting(self):
        for bit in self.waiting:
            self.put(bit, 1)
        self.waiting = []

    def numbers(self, block, code):
        zeros = 0
        for n in block[self.first:self.last + 1]:
            m = abs(n) >> self.low
            if m == 0:
                zeros += 1
                continue
            self.end_run(code)
            zeros = self.long_run(zeros, code)
            size = m.bit_length()
            demand(size < 16, "a number that is too large")
            self.symbol(code, 16 * zeros + size)
            self.value(-m if n < 0 else m, size)
            zeros = 0
        if zeros:
            self.run += 1
            if self.run >= self.most_run:
                self.end_run(code)

    def refine(self, block, code):
        magnitudes = {k: abs(block[k]) >> self.low for k in range(self.first, self.last + 1)}
        new = [k for k in magnitudes if magnitudes[k] == 1]
        zeros, bits = 0, []

        def put_bits():
            for bit in bits:
                self.put(bit, 1)
            bits.clear()

        for k, m in magnitudes.items():
            if m == 0:
                zeros += 1
                continue
            while zeros > 15 and new and k <= new[-1]:
                self.end_run(code)
                self.symbol(code, 0xF0)
                zeros -= 16
                put_bits()
            if m > 1:
                bits.append(m & 1)
                continue
            self.end_run(code)
            self.symbol(code, 16 * zeros + 1)
            self.put(block[k] >= 0, 1)
            put_bits()
            zeros = 0
        if zeros or bits:
            self.run += 1
            self.waiting += bits
            if self.run >= self.most_run or len(self.waiting) > 937:
                self.end_run(code)


# Blocks


def read_params(params):
    r = Reader(params)
    depth, lines = r.u8(), r.u8()
    pictures, blocks = r.varint(), r.varint()
    demand(r.at == len(params) and 4 <= lines <= 18 and 1 <= pictures < 1 << 32 and 1 <= blocks <= 1 << 26, "parameters")
    demand(depth <= 2, "newer: depth")
    return depth, lines, pictures, blocks


class Builder:
    def __init__(self, record, content, engine, raw_length, most):
        self.record, self.content, self.e = Reader(record), Reader(content), engine
        self.most, self.left = most, [4 * raw_length, 64 * raw_length, 4 * raw_length]
        self.raw = bytearray()

    def copy(self):
        n = self.record.varint()
        self.raw += self.content.take(n)
        return n

    def picture(self):
        self.copy()
        head = self.record.varint()
        demand(head <= len(self.raw), "a picture that starts before the block")
        scans = self.record.varint()
        demand(1 <= scans <= 64, "number of scans")
        headers = Headers()
        scan = headers.walk(bytes(self.raw[len(self.raw) - head:]), True)
        blocks = sum(c["padded"][0] * c["padded"][1] for c in headers.components)
        taken = blocks + 1, (blocks + 1) * scans, head
        self.left = [left - n for left, n in zip(self.left, taken)]
        demand(blocks <= self.most and min(self.left) >= 0, "pictures that are larger than declared")
        planes = []
        for c in headers.components:
            plane = Plane(c["padded"], headers.steps.get(c["table"], [1] * 64))
            PlaneDecoder(self.e, plane, list(planes))
            planes.append(plane)
        for i in range(scans):
            if i > 0:
                n = self.copy()
                scan = headers.walk(bytes(self.raw[len(self.raw) - n:]), False)
            manner = self.record.varint()
            run = 32767 - manner // 2
            demand(run >= 1, "manner of a scan")
            kept = self.record.varint() if i == scans - 1 else 0
            out = Writer(headers, scan, planes, run, manner % 2).write(kept - 1 if kept else None)
            demand(kept <= len(out), "a scan that is shorter than it says")
            out = out[:kept - 1] if kept else out
            self.raw += out


def decode(payload, params, raw_length, block):
    """The raw bytes of a block. `block` decodes the block that a reader stands at, and gives its codec, parameters and raw
    bytes."""
    depth, lines, pictures, blocks = read_params(params)
    r = Reader(payload)
    codec, inner, content = block(r)
    demand(codec != 11, "a picture inside a picture")
    demand(codec != 8 or inner[0] <= depth, "deeper than declared")
    record = r.take(r.varint())
    engine = Engine(payload[r.at:], lines)
    builder = Builder(record, content, engine, raw_length, blocks)
    for _ in range(pictures):
        builder.picture()
    demand(builder.record.at == len(record), "a record that goes on")
    raw = bytes(builder.raw) + content[builder.content.at:]
    demand(len(raw) == raw_length, "parts do not add up to the raw length")
    engine.finish()
    return raw
