"""The contexts of `mix`: the sections "Context hashes" and "Instructions" of formats/mix.md.

Hashes and histories are unsigned 32-bit. Names follow the specification.
"""

from lm import clamp

MASK32 = 0xFFFFFFFF


def H(a, b):
    h = ((a ^ b * 0x9E3779B1) & MASK32) * 0x85EBCA6B & MASK32
    return h ^ h >> 15


def P(a, b):
    return H(H(0, a), b)


def T(a, b, c):
    return H(P(a, b), c)


def final_hash(value, i):
    return H(value, i + 1) * 0x9E3779B1 & MASK32


def is_letter(b):
    return b >= 128 or ord("a") <= b | 32 <= ord("z")


class History:
    def __init__(self):
        self.followers1, self.followers2 = {}, {}
        self.empty()

    def empty(self):
        """Forgets everything except the followers."""
        self.bytes = bytearray()
        self.c4 = self.c8 = self.c12 = 0
        self.word, self.gap, self.words = 0, 0, [0, 0, 0]
        self.line_start = self.line_before = 0
        self.first = self.shape = self.field = self.prefix = 0
        self.tag = self.name = 0
        self.open = False
        self.code = Instructions()

    def back(self, k):
        return self.bytes[-k] if 1 <= k <= len(self.bytes) else 0

    @property
    def c1(self):
        return self.c4 & 255

    @property
    def w(self):
        return self.word or self.gap

    @property
    def above(self):
        at = self.line_before + len(self.bytes) - self.line_start
        return self.bytes[at] if at < self.line_start else 0

    @property
    def follow1(self):
        return self.followers1.get(self.c1, 0)

    @property
    def follow2(self):
        return self.followers2.get(self.c4 & 0xFFFF, 0)

    def push(self, b, parse_code=False):
        self.followers1[self.c1] = (self.follow1 << 8 | b) & 0xFFFF
        self.followers2[self.c4 & 0xFFFF] = (self.follow2 << 8 | b) & 0xFFFF
        before = self.c1
        self.bytes.append(b)
        self.c12 = self.c12 << 8 & MASK32 | self.c8 >> 24
        self.c8 = self.c8 << 8 & MASK32 | self.c4 >> 24
        self.c4 = self.c4 << 8 & MASK32 | b
        self.push_word(b)
        self.push_line(b, before)
        self.push_tag(b)
        if parse_code:
            self.code.push(b)

    def push_word(self, b):
        if is_letter(b) or (b == ord("'") and self.word):
            lower = b | 32 if b < 128 else b  # ' has bit 5 set already
            self.word = H(self.word + 1, lower)
            if self.gap & 1:
                self.gap = 0
        elif self.word:
            self.words = [self.word] + self.words[:2]
            self.word = 0
            self.gap = H(1, b) | 1
        else:
            self.gap = H(self.gap, b) | 1

    def push_line(self, b, before):
        if b == ord("\n"):
            self.line_before, self.line_start = self.line_start, len(self.bytes)
            self.shape = self.field = self.prefix = 0
            return
        if len(self.bytes) == self.line_start + 1:
            self.first = b
        k = ord("a") if is_letter(b) else ord("0") if 48 <= b <= 57 else b
        if not (k == ord("a") and is_letter(before)):
            self.shape = H(self.shape + 1, k)
        if b in b" ,\t;|":
            self.field += 1
            self.prefix = 0
        else:
            self.prefix = H(self.prefix + 1, b)

    def push_tag(self, b):
        if b in b'<"{[':
            self.open, self.name = True, b
        elif self.open and b in b">=: ":
            self.open, self.tag = False, self.name
        elif self.open:
            self.name = H(self.name, b)


# These are functions, so that priming computes only the contexts that it needs.
TEXT = (
    lambda h: h.c4 & 0xFFFF,
    lambda h: h.c4 & 0xFFFFFF,
    lambda h: h.c4,
    lambda h: P(h.c4, h.c8 & 0xFFFF),
    lambda h: h.w,
    lambda h: P(h.w, h.words[0]),
    lambda h: P(h.shape, h.c1),
    lambda h: P(h.above, h.c1),
    lambda h: P(h.c4, h.c8 & 0xFF),
    lambda h: P(h.w, h.c4 & 0xFFFF),
    lambda h: P(h.w, h.words[1]),
    lambda h: P(h.tag, h.w),
    lambda h: h.c4 & 0xFFFF00,
    lambda h: P(h.follow2, h.c1),
    lambda h: T(h.above, h.field, h.w),
    lambda h: P(h.tag, h.c4 & 0xFFFF),
    lambda h: h.c1,
    lambda h: P(h.w, h.words[2]),
    lambda h: P(h.c4, h.c8),
    lambda h: T(h.w, h.words[0], h.words[1]),
    lambda h: P(h.field, P(h.first, h.prefix)),
    lambda h: h.follow1,
    lambda h: P(h.c4, h.words[0]),
    lambda h: 0,
)


def text(h):
    return [context(h) for context in TEXT]


def binary(h):
    c1, c4, c8, w = h.c1, h.c4, h.c8, h.w
    return [
        c4 & 0xFFFF, c4 & 0xFFFFFF, c1, c4, P(c4, c8 & 0xFFFF), c4 & 0xFF00, c4 & 0xFFFF00, c4 & 0xFF0000,
        P(c4, c8 & 0xFF), c4 & 0xFF000000, c4 & 0xFFFF0000, c4 & 0xFF00FF, P(h.follow1, c1), P(h.follow2, 0),
        P(c4 & 0xFFFF, len(h.bytes) % 4), w,
        c8 & 0xFF, P(c4 & 0xFF0000FF, 0), P(c4 & 0xF0F0F0F0, c8 & 0xF0F0), c4 & 0xF8F8F8, P(w, h.words[0]),
        P(h.follow1, 0), P(h.follow2 & 0xFF, c4 & 0xFFFF), 0,
    ]


def records(h, n):
    c1, c4, c8 = h.c1, h.c4, h.c8
    x = len(h.bytes) % n
    u, u2, v, r = h.back(n), h.back(2 * n), h.back(n + 1), h.back(n - 1)
    return [
        P(u, x), x, c4 & 0xFFFF, c4 & 0xFFFFFF, c4, P(u, c1), T(u, u2, x), P(c4, c8 & 0xFFFF),
        c1, P(x, c1), T(u, c1, v), P(x, c4 & 0xFFFF), c4 & 0xFFFF00, T(x, c1 - v + u, 1), T(u | r << 8, c1, 3),
        P(h.follow2, 0),
        0, c4 & 0xFF00, c4 & 0xFFFF0000, P(u, v), T(x, 2 * u - u2, 0), T(u, u2, c4 & 0xFFFF), T(x, r, u), T(x, u, c1),
    ]


def code(h):
    c1, c4, c8 = h.c1, h.c4, h.c8
    f, o, m, i = h.code.phase, h.code.opcode, h.code.modrm, h.code.i
    p0, p1, p2 = h.code.previous
    return [
        P(f, o), T(f, o, c1), c4 & 0xFFFF, c4 & 0xFFFFFF, c4, T(f, o, m), T(f, i, p0), c1,
        T(f, o, P(m, c1)), T(f, o, p0), T(f, P(o, m), P(p0, p1)), P(f, i), P(c4, c8 & 0xFF), c4 & 0xFF00, c4 & 0xFFFF00,
        P(h.follow2, 0),
        P(c4, c8 & 0xFFFF), 0, c4 & 0xFF0000, c4 & 0xFFFF0000, P(c4, c8), f, T(f, P(o, p0), P(p1, p2)), P(h.follow1, c1),
    ]


def clip(v):
    return clamp(v, 0, 255)


def byte_samples(h, n, width):
    c1 = h.c1
    W, WW, N, NN = h.back(width), h.back(2 * width), h.back(n), h.back(2 * n)
    NW, NE = h.back(n + width), h.back(n - width)
    ch = len(h.bytes) % n % width
    g = clip(W + N - NW)
    if width == 1:
        p, q = clip(2 * W - WW), clip(2 * N - NN)
    else:
        p, q = clip(W + c1 - h.back(width + 1)), clip(N + c1 - h.back(n + 1))
    pairs = [
        (g, 0), ((W + N) // 2, 0), (W, N), (g, W), (p, q), (h.c4 & 0xFFFFFF, 0), ((W + N + NW + NE) // 4, p), (g, N),
        (W | N << 8, NW | NE << 8), (q, 0), ((W + NE) // 2, c1), (W >> 2 | N >> 2 << 8, NW >> 2 | NE >> 2 << 8), (WW, W),
        (NN, N), (clip(W + NE - N), g), (W, c1),
        (W, 0), (N, 0), (N, c1), (clip(2 * N - NN), clip(2 * W - WW)), (p, 0), (N, NE), (W, NW), (h.c4, 0),
    ]
    return [T(a, b, ch | k << 8) for k, (a, b) in enumerate(pairs, 1)]


def divide(a, b):
    """The quotient, rounded towards zero."""
    return a // b if a >= 0 else -(-a // b)


def neighbours(h, n):
    phase = len(h.bytes) % 2
    return [h.back(k + phase) + 256 * h.back(k + phase - 1) for k in (2, 4, n, 2 * n, n + 2, n - 2)]


def word_samples(h, n):
    low = h.c1 | 256 if len(h.bytes) % 2 else 0
    W, WW, N, NN, NW, NE = neighbours(h, n)
    t = (abs(W - NW) + abs(N - NW) + abs(N - NE)).bit_length()
    g = W + N - NW
    pairs = [
        (g, 0), (N, 0), (W, 0), (divide(W + N, 2), t), (divide(W + N + NW + NE, 4), t), (W, N),
        (divide(3 * W + 3 * N - 2 * NW, 4), t), (W >> 2, N >> 2 | NE >> 2 << 16),
        (g, t), (divide(W + N, 2), 0), (divide(W + NE, 2), t), (W + NE - N, 0), (W >> 1, WW >> 1), (N, NE), (h.c4, 0),
        (W >> 3 | N >> 3 << 16, NW >> 3 | NE >> 3 << 16),
        (2 * W - WW, 0), (2 * N - NN, 0), (h.c4 >> 8, h.c8),
        (divide(W + divide(N + NE, 2), 2), (divide(W + N, 2) - NW) >> 2), (t, 0), (g + ((NE - N) >> 1), t), (N, NN),
        (W, NW),
    ]
    return [T(a, b, low | k << 10) for k, (a, b) in enumerate(pairs, 1)]


def contexts(kind, n, h):
    if kind == 0:
        return text(h)
    if kind == 1:
        return binary(h)
    if kind in (2, 10):
        return records(h, n or 4)
    if kind in (3, 9):
        return code(h)
    if kind in (4, 6):
        return word_samples(h, n if kind == 4 else 2 * n)
    return byte_samples(h, n, kind - 4)


# Instructions


class Instructions:
    def __init__(self):
        self.part = self.left = self.opcode = self.modrm = self.i = 0
        self.wide = False
        self.previous = [0, 0, 0]
        self.D = self.I = 0

    @property
    def phase(self):
        return 8 * self.part + min(self.left, 7)

    def push(self, b):
        self.i = H(self.i, b)
        if self.part == 0:
            self.first_byte(b)
        elif self.part == 1:
            self.second_byte(b)
        elif self.part == 2:
            self.modrm_byte(b)
        elif self.part == 3:
            if b & 7 == 5 and self.modrm >> 6 & 3 == 0:
                self.D = 4
            self.address()
        else:
            self.left -= 1
            if self.left == 0 and self.part == 4:
                self.immediate()
            elif self.left == 0:
                self.end()

    def first_byte(self, b):
        if b == 0x66:
            self.opcode |= 0x100
            self.wide = True
        elif b in bytes.fromhex("262e363e6465f0f2f3"):
            self.opcode |= 0x200
        elif b == 0x0F:
            self.opcode |= 0x400
            self.part = 1
        else:
            self.opcode |= b | 0x800
            self.I = immediate_size(b, 2 if self.wide else 4)
            self.D = 0
            self.modrm_or_immediate(has_modrm(b))

    def second_byte(self, b):
        self.opcode |= b | 0x800
        self.I = 0
        if 0x80 <= b <= 0x8F:
            self.I = 4
        elif 0x70 <= b <= 0x73 or b in (0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6):
            self.I = 1
        self.D = 0
        self.modrm_or_immediate(not second_without_modrm(b))

    def modrm_or_immediate(self, modrm):
        if modrm:
            self.part, self.left = 2, 0
        else:
            self.immediate()

    def modrm_byte(self, b):
        self.modrm = b + 256
        mode = b >> 6
        if mode == 2 or (mode == 0 and b & 7 == 5):
            self.D = 4
        else:
            self.D = 1 if mode == 1 else 0
        if self.opcode & 0x4FE == 0xF6 and b >> 3 & 7 < 2:
            self.I = 1 if self.opcode % 2 == 0 else 2 if self.wide else 4
        if mode < 3 and b & 7 == 4:
            self.part = 3
        else:
            self.address()

    def address(self):
        if self.D > 0:
            self.part, self.left = 4, self.D
        else:
            self.immediate()

    def immediate(self):
        if self.I > 0:
            self.part, self.left = 5, self.I
        else:
            self.end()

    def end(self):
        self.previous = [self.opcode | (self.modrm & 0x1F8) << 16] + self.previous[:2]
        self.part = self.opcode = self.modrm = self.left = self.i = 0
        self.wide = False


def immediate_size(b, full):
    if b in (0x68, 0x69, 0x81, 0xA9, 0xC7) or 0xB8 <= b <= 0xBF:
        return full
    if 0xA0 <= b <= 0xA3 or b in (0xE8, 0xE9):
        return 4
    if b < 0x40 and b & 7 in (4, 5):
        return full if b & 7 == 5 else 1
    if b in bytes.fromhex("6a6b8283a8c0c1c6cdd4d5eb") or 0x70 <= b <= 0x80 or 0xB0 <= b <= 0xB7 or 0xE0 <= b <= 0xE7:
        return 1
    if b in (0xC2, 0xCA):
        return 2
    if b == 0xC8:
        return 3
    return 6 if b in (0x9A, 0xEA) else 0


def has_modrm(b):
    if b < 0x40:
        return b & 7 < 4
    return b in bytes.fromhex("6263696bc0c1c4c5c6c7d0d1d2d3f6f7feff") or 0x80 <= b <= 0x8F or 0xD8 <= b <= 0xDF


def second_without_modrm(b):
    ranges = ((5, 9), (0x0B, 0x0B), (0x30, 0x37), (0x77, 0x77), (0x80, 0x8F), (0xA0, 0xA2), (0xA8, 0xAA), (0xC8, 0xCF))
    return any(a <= b <= z for a, z in ranges)
