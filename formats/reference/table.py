"""Reference decoder of `table` blocks, written from formats/table.md. Slow and clear."""

import circuit
import mix
from nzip import Reader, demand


def signed(z):
    return z >> 1 ^ -(z & 1)


def wrap(x):
    return (x + (1 << 63)) % (1 << 64) - (1 << 63)


def ranged(r, low, high):
    n = r.varint()
    demand(low <= n <= high, f"{n} is out of range")
    return n


class Column:
    def __init__(self, r):
        flags = r.u8()
        self.kind, self.escape = flags & 3, bool(flags & 8)
        self.values, self.highs, self.low, self.turn, self.terms, self.first = [], [], 0, 0, [], 0
        self.previous, self.predicted = False, 0
        demand(self.kind < 3 and flags < 64, "column kind")
        if self.kind == 0:
            demand(flags == 0, "flags of text")
        elif self.kind == 1:
            demand(flags < 16, "flags of values")
            self.previous = bool(flags & 4)
            self.values = [r.take(ranged(r, 0, 1 << 16)) for _ in range(ranged(r, 1, 256))]
        else:
            self.numbers(r, flags)
        self.symbols = len(self.values) + len(self.highs) + self.escape + self.previous
        demand(self.symbols <= 256, "too many symbols")

    def numbers(self, r, flags):
        self.trim, self.predicted = bool(flags & 4), flags >> 4
        self.decimals, self.digits, self.low = r.u8(), r.u8(), r.u8()
        demand(self.decimals <= 9 and 1 <= self.digits <= 15 and self.low <= 8, "style")
        demand(self.predicted < 3, "prediction")
        if self.predicted == 1:
            self.first = signed(r.varint())
        if self.predicted == 2:
            self.turn, self.shift, count = r.u8(), r.u8(), r.u8()
            demand(self.turn > 0 and self.shift <= 62 and count <= 4, "prediction")
            self.constant = signed(r.varint())
            for _ in range(count):
                coefficient, n = signed(r.varint()), r.u8()
                demand(1 <= n <= 3, "factors")
                self.terms.append((coefficient, [r.varint() for _ in range(n)]))
        for i in range(ranged(r, 1, 256)):
            step = r.varint()
            demand(i == 0 or step > 0, "highs do not rise")
            self.highs.append(self.highs[-1] + step if i else signed(step))
        demand(self.highs[-1] < 1 << 63, "a high above 63 bits")

    def variables(self):
        return ([self.symbols] if self.symbols > 1 else []) + ([1 << self.low] if self.low else [])

    def write(self, n):
        unit = 10**self.decimals
        fraction = str(abs(n) % unit).rjust(self.decimals, "0") if self.decimals else ""
        if self.trim:
            fraction = fraction.rstrip("0")
        whole = str(abs(n) // unit).rjust(self.digits, "0")
        return (("-" if n < 0 else "") + whole + ("." + fraction if fraction else "")).encode()

    def read(self, cell):
        body = cell[1:] if cell[:1] == b"-" else cell
        whole, _, fraction = body.partition(b".")
        digits = whole + fraction
        if not whole or not all(48 <= b < 58 for b in digits) or len(fraction) > self.decimals:
            return None
        if len(whole) + self.decimals > 18:
            return None
        n = int(whole + fraction.ljust(self.decimals, b"0"))
        n = -n if cell[:1] == b"-" else n
        return n if self.write(n) == cell else None

    def predict(self, before, numbers):
        if self.predicted == 0:
            return 0
        if self.predicted == 1:
            return before
        total = self.constant
        for coefficient, factors in self.terms:
            for f in factors:
                coefficient = wrap(coefficient * numbers[f])
            total = wrap(total + coefficient)
        return total >> self.shift


class Schema:
    def __init__(self, data):
        r = Reader(data)
        self.delimiter, self.separator, end = r.take(1), r.take(1), r.u8()
        demand(end < 2 and b"\n" not in (self.delimiter, self.separator), "delimiter or line end")
        demand(self.delimiter != self.separator, "delimiter")
        self.end = b"\r\n" if end else b"\n"
        self.head, self.tail = ranged(r, 0, 1 << 30), ranged(r, 0, 1 << 30)
        self.rows = ranged(r, 1, 1 << 30)
        self.whole, after = set(), 0
        for _ in range(ranged(r, 0, self.rows - 1)):
            after += r.varint()
            demand(after < self.rows, "a whole row after the last")
            self.whole.add(after)
            after += 1
        self.columns = [Column(r) for _ in range(ranged(r, 1, 1024))]
        demand(r.at == len(data), "schema too long")
        for c in self.columns:
            for _, factors in c.terms:
                for f in factors:
                    demand(f < len(self.columns) and self.columns[f].kind == 2, "factor")
                    demand(self.columns[f].turn < c.turn, "turn of a factor")
        self.width = sum(len(c.variables()) for c in self.columns)


def restore(schema, records, text):
    columns = schema.columns
    out, at, stop = [text[: schema.head]], schema.head, len(text) - schema.tail
    demand(at <= stop, "the text is too short")
    value = [0] * len(columns)
    number = [c.first for c in columns]
    order = sorted((i for i, c in enumerate(columns) if c.kind == 2), key=lambda i: columns[i].turn)
    next_record = 0
    for row in range(schema.rows):
        if row in schema.whole:
            end = text.index(b"\n", at, stop)
            out.append(text[at : end + 1])
            at = end + 1
            continue
        record = iter(records[next_record : next_record + schema.width])
        next_record += schema.width
        first, second, pieces = [], [], []
        for i, c in enumerate(columns):
            symbol = next(record) if c.symbols > 1 else 0
            demand(symbol < max(c.symbols, 1), "symbol")
            first.append(symbol)
            second.append(next(record) if c.low else 0)
            after_text = i > 0 and columns[i - 1].kind == 0
            if (c.kind == 0 and not after_text) or (c.escape and symbol == c.symbols - 1):
                pieces.append(i)
        cells = [None] * len(columns)
        for k, i in enumerate(pieces):
            # The first separator or LF from here on must be the expected one.
            ends = [e for e in (text.find(schema.separator, at, stop), text.find(b"\n", at, stop)) if e >= 0]
            demand(ends, "the text ends too early")
            end = min(ends)
            wanted = schema.separator if k + 1 < len(pieces) else b"\n"
            demand(text[end : end + 1] == wanted, "a piece ends with the wrong byte")
            cells[i] = text[at:end]
            at = end + 1
        numbers = [0] * len(columns)
        for i in order:
            c = columns[i]
            if cells[i] is not None:
                n = c.read(cells[i])
                numbers[i] = number[i] if n is None else n
            else:
                above = wrap((c.highs[first[i]] << c.low) + second[i])
                numbers[i] = wrap(c.predict(number[i], numbers) + above)
                cells[i] = c.write(numbers[i])
            number[i] = numbers[i]
        for i, c in enumerate(columns):
            if c.kind == 1 and cells[i] is None:
                if not (c.previous and first[i] == 0):
                    value[i] = first[i] - c.previous
                cells[i] = c.values[value[i]]
        out.append(schema.delimiter.join(c for c in cells if c is not None) + schema.end)
    demand(at == stop, "text is left")
    out.append(text[stop:])
    return b"".join(out)


def decode(payload, raw_length):
    demand(raw_length <= 32768 * len(payload), "too much of too little")
    r = Reader(payload)
    schema_length = ranged(r, 1, 1 << 26)
    head_length, head_size = ranged(r, schema_length, 1 << 26), ranged(r, 0, 1 << 27)
    text_length, text_size = ranged(r, 0, raw_length), ranged(r, 0, 2 * raw_length + 65536)
    windows = []
    for _ in range(ranged(r, 0, raw_length)):
        count = ranged(r, 1, raw_length)
        windows.append((count, ranged(r, 0, 1 << 20)))
    head = mix.decode(r.take(head_size), head_length, None)
    text = r.take(text_size)
    text = mix.decode(text, text_length, None) if text_length else text
    demand(len(text) == text_length, "text of the wrong length")
    schema = Schema(head[:schema_length])
    rows = schema.rows - len(schema.whole)
    demand(rows * len(schema.columns) <= raw_length, "too many records")
    records = b""
    if schema.width:
        model = circuit.Model(head[schema_length:])
        demand(len(model.nodes) == schema.width, "a model of another width")
        demand(sum(n for n, _ in windows) == rows, "windows do not add up")
        for count, size in windows:
            demand(count * schema.width <= 2048 * (size + 32), "window out of range")
            records += circuit.decode_window(model, r.take(size), count * schema.width)
    else:
        demand(not windows and head_length == schema_length, "a circuit that codes nothing")
    demand(r.at == len(payload), "payload is left")
    raw = restore(schema, records, text)
    demand(len(raw) == raw_length, "table of the wrong length")
    return raw
