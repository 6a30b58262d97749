"""Decodes `tensor` blocks, written from ../tensor.md. Slow and clear."""

from nzip import Reader, demand


class Field:
    """The parameters of one field: numbers, contexts and tables."""

    def __init__(self, r, group, before):
        self.width, self.e = r.varint(), r.u8()
        demand(1 <= self.width <= 4096 and self.e in (1, 2, 4, 8) and self.width % self.e == 0, "width of a field")
        self.transform = r.u8()
        demand(self.transform <= 6, "transform")
        if self.transform == 2:
            count = r.u8() + 1
            self.palette = [int.from_bytes(r.take(self.e), "little") for _ in range(count)]
            demand(all(a < b for a, b in zip(self.palette, self.palette[1:])), "palette does not grow")
        if self.transform == 3:
            self.digits = r.u8()
            demand(self.e == 4 and 1 <= self.digits <= 7, "digits")
        demand(self.transform != 4 or self.e == 1, "halves of larger elements")
        demand(self.transform != 6 or self.e == 2, "pairs of larger elements")
        self.k = self.base = self.fold = 0
        self.signed = False
        if self.transform in (0, 1, 3, 5, 6):
            self.k = r.u8()
            if self.k & 128:
                self.fold = r.u8()
                demand(1 <= self.fold <= 15, "folded symbols")
            self.signed = bool(self.k & 64)
            demand(not self.signed or self.transform in (1, 3), "signs of numbers that have none")
            self.k, self.base = self.k & 63, r.varint()
            demand(self.k < 8 * self.e and self.base <= (2 ** (8 * self.e) - 1) >> self.k, "low bits or base")
        self.context = r.u8()
        demand(self.context <= 6, "context")
        self.symbols_of_group = self.width // self.e * (2 if self.transform == 4 else 1)
        if self.context == 1:
            demand(self.width == self.e == group and self.transform != 4, "rows of several elements")
            self.row = r.varint()
            demand(1 <= self.row <= 1 << 32, "groups of a row")
            self.columns = None
            if flag(r):
                demand(self.row <= 65536, "too many columns")
                self.columns = nibbles(r, self.row)
            self.map = nibbles(r, 16)
        if self.context == 4:
            self.map = nibbles(r, 256)
        if self.context == 2:
            self.first, self.minus = r.u8(), r.u8() - 1
            demand(self.first < before and self.minus < before, "context of a later field")
            self.map = nibbles(r, 256)
        if self.context == 3:
            self.stripes = r.varint()
            demand(1 <= self.stripes <= self.symbols_of_group, "stripes")
            self.classes = table(r)
        if self.context == 5:
            demand(self.width == self.e == group and self.transform != 4, "predictions of several elements")
            self.prediction = Prediction(r)
            self.row, self.map = self.prediction.row, self.prediction.map
        if self.context == 6:
            demand(self.width == self.e == group and self.transform != 4, "rows of several elements")
            self.row = r.varint()
            demand(32 <= self.row <= 1 << 20, "groups of a row")
            self.map = nibbles(r, 256)
        self.tables = tables(r, 255 if self.context == 5 else 16)
        demand(self.context in (0, 3) or max(self.map) < len(self.tables), "context without a table")
        self.low_map = None
        if flag(r):
            demand(self.k == 8, "coded low bits that are not eight")
            self.low_map = nibbles(r, 256)
            self.low_tables = tables(r)
            demand(max(self.low_map) < len(self.low_tables), "context without a table")


def flag(r):
    value = r.u8()
    demand(value <= 1, "flag")
    return value


def nibbles(r, count):
    data = r.take((count + 1) // 2)
    return [data[i // 2] >> 4 * (i % 2) & 15 for i in range(count)]


def table(r):
    """Reads a table, as the (symbol, frequency, start) of each of its 4096 slots."""
    first, more = r.u8(), r.u8()
    freqs, at, end = [0] * 256, first, first + more + 1
    demand(end <= 256, "table too long")
    while at < end:
        freqs[at] = r.varint()
        demand(freqs[at] <= 4095, "frequency")
        at += 1 + (r.u8() if freqs[at] == 0 else 0)
    demand(at == end and sum(freqs) == 4096, "frequencies")
    slots, start = [], 0
    for symbol, f in enumerate(freqs):
        slots += [(symbol, f, start)] * f
        start += f
    return slots


def tables(r, most=16):
    count = r.u8()
    demand(1 <= count <= most, "number of tables")
    return [table(r) for _ in range(count)]


class Prediction:
    """The parameters of context 5, which predicts a symbol from those before it in its row."""

    def __init__(self, r):
        self.row, looked_at = r.varint(), r.varint()
        demand(2 <= self.row <= 4096 and 1 <= looked_at < self.row, "columns of a prediction")
        u16 = lambda: r.u8() | r.u8() << 8
        self.values = [(u16() ^ 0x8000) - 0x8000 for _ in range(256)]
        self.multipliers = [u16() for _ in range(looked_at)]
        self.scales = [u16() for _ in range(16)]
        demand(max(self.scales) <= 32767, "scale of a row")
        self.columns = nibbles(r, self.row)
        one = table(r)
        counts = [min(j, looked_at) for j in range(self.row)]
        demand(sum(counts) <= 1 << 18, "number of coefficients")
        coefficients = iter(sequence(r, sum(counts), lambda i: one))
        self.coefficients = [[next(coefficients) - 128 for _ in range(count)] for count in counts]
        demand(all(sum(map(abs, c)) <= 65536 for c in self.coefficients), "sum of coefficients")
        self.map = list(r.take(256))

    def number(self, column, symbol):
        return min(max(self.values[symbol] * self.multipliers[column] >> 8, -32767), 32767)

    def place(self, before, column, row_class):
        """The place in the map of a symbol's table. `before` are the symbols before it in its row."""
        p = sum(a * self.number(k, before[k]) for k, a in enumerate(self.coefficients[column]))
        scaled = min(max(p >> 8, -32768), 32767) * self.scales[row_class] >> 16
        total = min(max(row_class + self.columns[column], 8), 23) - 8
        return 16 * total + min(max(scaled + 8, 0), 15)

    def symbols(self, r, field, classes):
        """Decodes the symbols of rows of these classes, and returns them row by row."""
        rows, done = len(classes), [[] for _ in classes]

        def table_of(i):
            row = i % rows
            return field.tables[self.map[self.place(done[row], i // rows, classes[row])]]

        sequence(r, rows * self.row, table_of, rows, lambda i, symbol: done[i % rows].append(symbol))
        return [symbol for row in done for symbol in row]


class Cut:
    """How groups are gathered from rows, and how their bits are dealt out to the fields."""

    def __init__(self, r, group, fields):
        self.rows, self.columns = r.varint(), 1
        demand(1 <= self.rows <= group and group % self.rows == 0, "rows of a band")
        if self.rows > 1:
            self.columns = r.varint()
            demand(1 <= self.columns <= 1 << 20 and group * self.columns <= 1 << 20, "words of a row")
        self.group, self.word = group, group // self.rows
        count = r.u8()
        demand(1 <= count <= 64, "pieces")
        self.pieces = [(r.u8(), r.u8()) for _ in range(count)]
        total = 0
        for bits, f in self.pieces:
            demand(f < len(fields), "field of a piece")
            e = fields[f].e
            demand((4 * e if e > 1 else 0) < bits <= 8 * e, "bits of a piece")
            total += bits
        demand(8 * group % total == 0, "pattern does not fill the group")
        self.pieces *= 8 * group // total
        for i, f in enumerate(fields):
            demand(f.width == f.e * sum(p[1] == i for p in self.pieces), "pieces of a field")

    def collect(self, columns):
        """Puts groups together from the elements of each field."""
        elements, groups = [iter(c) for c in columns], []
        for _ in range(len(columns[self.pieces[0][1]]) // sum(p[1] == self.pieces[0][1] for p in self.pieces)):
            number = at = 0
            for bits, f in self.pieces:
                value = int.from_bytes(next(elements[f]), "little")
                demand(value < 1 << bits, "element of more bits than its piece")
                number |= value << at
                at += bits
            groups.append(number.to_bytes(self.group, "little"))
        return groups

    def scatter(self, groups):
        """The raw bytes of groups: group i of a band is word i of each of its rows."""
        out = []
        for band in range(0, len(groups), self.columns):
            for row in range(self.rows):
                out += [g[row * self.word:(row + 1) * self.word] for g in groups[band:band + self.columns]]
        return b"".join(out)


class Planes:
    """The parameters of a block."""

    def __init__(self, params):
        r = Reader(params)
        self.method = r.u8()
        demand(self.method <= 5, "newer: tensor method")
        self.base = None
        if self.method == 3:
            self.element, self.operation, self.base_hash = r.u8(), r.u8(), r.take(32)
            self.rounding, self.operation = divmod(self.operation, 2)
            demand(self.element in (1, 2, 4, 8), "delta")
            demand(self.rounding <= 3, "newer: delta")
            demand(self.rounding == 0 or self.element == (4, 2, 4)[self.rounding - 1], "rounding")
            self.offset = r.varint()
            demand(self.rounding == 0 or self.offset % self.element == 0, "offset inside an element")
        if self.method >= 4:
            self.element, count = r.u8(), r.u8()
            demand(self.element in (1, 2, 4, 8) and 1 <= count <= 2, "differences")
            self.distances = [r.varint() for _ in range(count)]
            demand(all(1 <= s <= 65536 for s in self.distances), "distance")
        if self.method == 0:
            self.block = r.varint()
        else:
            self.group, count = r.varint(), r.u8()
            demand(1 <= self.group <= 512 and 1 <= count <= 32, "groups")
            self.fields = []
            for number in range(count):
                self.fields.append(Field(r, self.group, number))
            more = r.u8()
            demand(more <= 2, "flags")
            self.cut = Cut(r, self.group, self.fields) if more == 2 else None
            demand(self.cut or sum(f.width for f in self.fields) == self.group, "fields do not fill the group")
            demand(self.method < 3 or self.group == self.element and more == 0, "delta of other groups")
            demand(self.method == 3 or all(f.context != 4 for f in self.fields), "context of no base")
            demand(self.method < 3 and more == 0 or all(f.context != 5 for f in self.fields), "predictions with more")
            self.mask = None
            if more == 1:
                demand(count == 1 and self.fields[0].symbols_of_group == 1 and self.fields[0].transform != 4, "masks")
                self.mask = table(r)
        demand(r.at == len(params), "parameters too long")

    def tile(self, payload, start, length):
        """Decodes the tile of `length` raw bytes that starts at raw byte `start` of the block."""
        r = Reader(payload)
        unit = self.group * (self.cut.columns if self.cut else 1)
        demand(length % unit == 0, "tile ends inside a group")
        n, mode = length // self.group, r.u8()
        if mode == 0:
            raw = self.planes(r, start // self.group, [True] * n)
        elif mode == 1:
            raw = r.take(self.group)
            raw = self.cut.scatter([raw] * n) if self.cut else raw * n
        elif mode == 2:
            raw = r.take(length)
        else:
            demand(mode == 3 and self.mask is not None, "tile mode")
            mask = sequence(r, (n + 7) // 8, lambda i: self.mask)
            stored = [bool(mask[i // 8] >> i % 8 & 1) for i in range(8 * len(mask))]
            demand(not any(stored[n:]), "mask too long")
            dense = Reader(self.planes(r, start // self.group, stored[:n]))
            raw = b"".join(dense.take(self.group) if s else bytes(self.group) for s in stored[:n])
        demand(r.at == len(payload), "tile too long")
        if self.method >= 4:
            return self.sum(raw)
        return self.undo(raw, start) if self.method == 3 else raw

    def sum(self, raw):
        """The raw bytes of a tile of differences, from its numbers."""
        e = self.element
        numbers = [int.from_bytes(raw[i:i + e], "big") for i in range(0, len(raw), e)]
        elements = [n >> 1 if n % 2 == 0 else ~(n >> 1) for n in numbers]
        for s in self.distances:
            for i in range(s, len(elements)):
                elements[i] += elements[i - s]
        return b"".join((x % (1 << 8 * e)).to_bytes(e, "little") for x in elements)

    def base_elements(self, start, length):
        size = (self.element, 2, 4, 4)[self.rounding]
        first, count = (self.offset + start) // self.element, length // self.element
        at = self.offset + start if self.rounding == 0 else first * size
        base = self.base[at:at + count * size]
        demand(len(base) == count * size, "base too short")
        numbers = [int.from_bytes(base[i:i + size], "little") for i in range(0, len(base), size)]
        if self.rounding == 1:
            return [b << 16 for b in numbers]
        if self.rounding == 0:
            return numbers
        rounded = [(b + 0x7FFF + (b >> 16 & 1)) % (1 << 32) >> 16 for b in numbers]
        return rounded if self.rounding == 2 else [b << 16 for b in rounded]

    def undo(self, raw, start):
        """The raw bytes of a delta, from its numbers and the elements of the base."""
        e, out = self.element, []
        for i, b in enumerate(self.base_elements(start, len(raw))):
            n = int.from_bytes(raw[i * e:i * e + e], "big")
            a = b ^ n if self.operation else b + (n >> 1 if n % 2 == 0 else ~(n >> 1))
            out.append((a % (1 << 8 * e)).to_bytes(e, "little"))
        return b"".join(out)

    def planes(self, r, first, stored):
        columns, seen, m = [], [], sum(stored)
        for field in self.fields:
            symbols, elements = self.field(r, field, first, stored, m, seen)
            seen.append((symbols, field.symbols_of_group))
            if self.cut:
                columns.append(elements)
                continue
            columns.append([b"".join(elements[i:i + field.width // field.e])
                            for i in range(0, len(elements), field.width // field.e)])
        if self.cut:
            return self.cut.scatter(self.cut.collect(columns))
        return b"".join(b"".join(parts) for parts in zip(*columns))

    def field(self, r, field, first, stored, m, seen):
        z = r.u8() if field.transform == 1 else 0
        n = m * field.symbols_of_group
        zeros = [z & 127] * n
        if z & 128:
            demand(field.width == field.e == self.group and all(stored) and field.low_map is None, "marked rows")
            more, row = r.u8(), r.varint()
            demand(z & 127 < more <= field.k and 1 <= row <= 1 << 32, "zero bits of marked rows")
            rows = [g // row - first // row for g in range(first, first + len(stored))]
            bits = r.take((rows[-1] + 8) // 8 if rows else 0)
            zeros = [more if bits[i // 8] >> i % 8 & 1 else z & 127 for i in rows]
        z &= 127
        demand(z <= field.k, "zero bits")
        exceptions, at, count = {}, 0, m * (field.width // field.e)
        for _ in range(r.varint()):
            at += r.varint()
            demand(at < count, "place of an exception")
            exceptions[at] = r.take(field.e)
            at += 1
        if field.context == 5:
            demand(first % field.row == 0 and n % field.row == 0, "parts of rows")
            symbols = field.prediction.symbols(r, field, nibbles(r, n // field.row))
        elif field.context == 6:
            known = []
            above = lambda i: known[i - field.row] if i >= field.row else 0
            symbols = sequence(r, n, lambda i: field.tables[field.map[above(i)]], note=lambda i, symbol: known.append(symbol))
        else:
            symbols = sequence(r, n, self.contexts(r, field, first, stored, m, seen))
        nibble = iter(nibbles(r, sum(y < field.fold for y in symbols)))
        numbers = [16 * y + next(nibble) if y < field.fold else y + 15 * field.fold for y in symbols]
        low = [0] * n
        if field.low_map is not None and field.k - z == 8:
            low = sequence(r, n, lambda i: field.low_tables[field.low_map[symbols[i]]])
        else:
            for kind in sorted(set(zeros)):
                mine, j = [i for i in range(n) if zeros[i] == kind], field.k - kind
                for i in mine:
                    low[i] = int.from_bytes(r.take(j // 8), "little")
                for i, rest in zip(mine, packed(r, len(mine), j % 8)):
                    low[i] |= rest << j // 8 * 8
        elements = to_elements(field, numbers, low, zeros)
        elements = [exceptions.get(i, e) for i, e in enumerate(elements)]
        if field.transform == 5:
            total = 0
            for i, e in enumerate(elements):
                total = (total + int.from_bytes(e, "little")) % (1 << 8 * field.e)
                elements[i] = total.to_bytes(field.e, "little")
        if field.transform == 6:
            elements = [pair(e) for e in elements]
        return symbols, elements

    def contexts(self, r, field, first, stored, m, seen):
        if field.context == 0:
            return lambda i: field.tables[0]
        if field.context == 2:
            def choose(i):
                group = i // field.symbols_of_group
                symbol = lambda f: seen[f][0][group * seen[f][1]]
                key = symbol(field.first)
                if field.minus >= 0:
                    key = min(max(key - symbol(field.minus) + 128, 0), 255)
                return field.tables[field.map[key]]
            return choose
        if field.context == 4:
            e = self.element
            keys = [(2 * b) % (1 << 8 * e) >> 8 * e - 8 for b in self.base_elements(first * e, m * e)]
            return lambda i: field.tables[field.map[keys[i // field.symbols_of_group]]]
        if field.context == 3:
            classes = sequence(r, m * field.stripes, lambda i: field.classes)
            demand(all(k < len(field.tables) for k in classes), "class without a table")
            return lambda i: field.tables[classes[i // field.symbols_of_group * field.stripes + i % field.symbols_of_group % field.stripes]]
        row = first // field.row
        rows = nibbles(r, (first + len(stored) - 1) // field.row - row + 1 if stored else 0)
        chosen = []
        for g, is_stored in enumerate(stored, first):
            if is_stored:
                column = 8 if field.columns is None else field.columns[g % field.row]
                total = min(max(rows[g // field.row - row] + column, 8), 23) - 8
                chosen.append(field.tables[field.map[total]])
        return lambda i: chosen[i]


def packed(r, n, width):
    values, shift = [0] * n, 0
    for size in (4, 2, 1):
        if width & size:
            per = 256 // size
            plane = r.take(n // per * 32 + min(n % per, 32))
            for i in range(n):
                byte = plane[i // per * 32 + i % 32]
                values[i] |= (byte >> i % per // 32 * size & (1 << size) - 1) << shift
            shift += size
    return values


def sequence(r, n, table_of, run=None, note=lambda i, symbol: None):
    """Reads a sequence of n symbols. Lanes start anew after `run` symbols; `note` is called with each symbol."""
    mode = r.u8()
    if mode in (1, 2):
        symbols = [r.u8()] * n if mode == 1 else list(r.take(n))
        for i, symbol in enumerate(symbols):
            note(i, symbol)
        return symbols
    demand(mode == 0, "newer: plane mode")
    lanes = 4 if n < 2048 else 32
    words_left = r.varint()
    demand(words_left <= n, "number of words")
    states = [r.u32() for _ in range(lanes)]
    words = Reader(r.take(2 * words_left))
    demand(all(x >= 65536 for x in states), "state below 2^16")
    symbols = []
    for i in range(n):
        lane = i % (run or n) % lanes
        x = states[lane]
        symbol, f, start = table_of(i)[x & 4095]
        x = f * (x >> 12) + (x & 4095) - start
        if x < 65536:
            x = x << 16 | words.u8() | words.u8() << 8
        states[lane] = x
        symbols.append(symbol)
        note(i, symbol)
    demand(words.at == len(words.data) and all(x == 65536 for x in states), "lanes do not end where they should")
    return symbols


def to_elements(field, symbols, low, zeros):
    bits = 8 * field.e
    if field.transform == 4:
        return [bytes([a & 15 | (b & 15) << 4]) for a, b in zip(symbols[::2], symbols[1::2])]
    if field.transform == 2:
        demand(all(s < len(field.palette) for s in symbols), "symbol outside of the palette")
        return [field.palette[s].to_bytes(field.e, "little") for s in symbols]
    out = []
    for s, l, z in zip(symbols, low, zeros):
        t = ((field.base + s << field.k - z) + l) % (1 << bits - z)
        if field.signed:
            j = field.k - z
            p = t % (2 << j)
            t += 2 * (p % (1 << j)) + (p >> j) - p
        if field.transform == 1:
            t = ((t >> 1) + ((t & 1) << bits - z - 1)) << z
        elif field.transform == 3:
            t = decimal(t >> 1, field.digits) | (t & 1) << 31
        out.append(t.to_bytes(field.e, "little"))
    return out


def pair(number):
    """The two bytes of a number with their bits 3 to 6 above the others."""
    others, middle = number
    byte = lambda other, bits: bytes([other >> 3 << 7 | bits << 3 | other & 7])
    return byte(others & 15, middle & 15) + byte(others >> 4, middle >> 4)


def decimal(rank, digits):
    """Bits of the single-precision number nearest to a decimal, ties to even."""
    least = 10 ** (digits - 1)
    demand(rank < 360 * least, "rank of a decimal")
    power, m = rank // (9 * least) - 19 - digits, rank % (9 * least) + least
    over, under = m * 10 ** max(power, 0), 10 ** max(-power, 0)
    exponent = over.bit_length() - under.bit_length() - 24
    while True:
        a, b = (over << -exponent, under) if exponent < 0 else (over, under << exponent)
        mantissa, rest = divmod(a, b)
        if mantissa.bit_length() == 24:
            break
        exponent += 1 if mantissa.bit_length() > 24 else -1
    if 2 * rest > b or 2 * rest == b and mantissa & 1:
        mantissa += 1
    return ((exponent + 149) << 23) + mantissa


def decode(planes, units, payload):
    """The raw bytes of a block. `units` are (raw length, payload range, check)."""
    raw = b""
    for length, (a, b), _ in units:
        raw += planes.tile(payload[a:b], len(raw), length)
    return raw
