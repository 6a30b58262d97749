"""Trains a language model with PyTorch, on a GPU where there is one: the same network, text, optimiser and checkpoints as
`nzip train`, so that either continues what the other has begun.

    python3 tools/train_lm.py FOLDER -o base.nzlm [--weights FILE] [--from FILE.nzlm | --resume] [--steps N --decay N ...]

Options mean the same as those of `nzip train`; `--device` chooses where it runs, and `--lanes` should be some hundreds on a
GPU. The checkpoint (`base.ckpt`, safetensors) and the weight file are written beside each other at every validation.
Needs torch, numpy, safetensors and, for text that is packed, zstandard. See `formats/lm.md` for the network.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

# Width, state, hidden, layers, width of a table, and (order, log2 of rows) of each table.
SIZES = {
    "micro": (16, 16, 32, 2, 4, [(1, 8), (2, 8), (3, 8)]),
    "tiny": (96, 96, 192, 3, 16, [(1, 8), (2, 12), (3, 13), (4, 14), (5, 14)]),
    "base": (192, 192, 384, 3, 32, [(1, 8), (2, 12), (3, 14), (4, 15), (5, 15), (6, 15)]),
}
MAGIC = b"\x93NZLM\r\n\x1a"
MUON_RATE, ADAM_RATE, TABLE_RATE = 0.02, 0.003, 0.02
WEIGHT_DECAY, MUON_MOMENTUM, TABLE_BETA = 0.02, 0.95, 0.98
ADAM_BETAS = (0.9, 0.98)
WARM_UP, REPORT = 100, 100
RELU_LIMIT = 1448 / 256
TABLE_SCALE, TABLE_LIMIT = 8.0, 7.0
MASK = (1 << 64) - 1


class SplitMix:
    """SplitMix64 (Steele, Lea and Flood 2014), the generator of the library."""

    def __init__(self, seed: int) -> None:
        self.seed = seed & MASK

    def next(self) -> int:
        return int(self.many(1)[0])

    def many(self, n: int) -> np.ndarray:
        """The next `n` numbers of 64 bits: the state only counts, so that they can be computed side by side."""
        with np.errstate(over="ignore"):
            z = np.uint64(self.seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            self.seed = int(z[-1])
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return z ^ (z >> np.uint64(31))

    def normal(self, n: int) -> np.ndarray:
        """`n` numbers that are standard normal, as sums of twelve uniform ones."""
        uniform = (self.many(12 * n) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
        return uniform.reshape(n, 12).cumsum(axis=1, dtype=np.float32)[:, -1] - np.float32(6)


class Scheme:
    """How the float weights of a row relate to its integers: fraction bits of inputs and outputs, octaves or not."""

    def __init__(self, inputs: int, output: int, octaves: bool) -> None:
        self.q, self.output, self.factor = output - inputs, output, math.log2(math.e) if octaves else 1.0


INPUT, OUT, UP, DOWN = Scheme(3, 12, False), Scheme(11, 12, False), Scheme(10, 8, False), Scheme(10, 12, False)
GATE, CANDIDATE, HEAD = Scheme(10, 8, True), Scheme(10, 11, False), Scheme(10, 8, True)


def rounded(x: torch.Tensor) -> torch.Tensor:
    """Rounds halves away from zero."""
    return torch.trunc(x + torch.copysign(torch.full_like(x, 0.5), x))


class Config:
    def __init__(self, width: int, state: int, hidden: int, layers: int, table_width: int, tables: list[tuple[int, int]]) -> None:
        self.width, self.state, self.hidden, self.layers = width, state, hidden, layers
        self.table_width, self.tables = table_width, tables

    def matrices(self) -> list[tuple[str, int, int, list[Scheme], str | None]]:
        """Name, rows, columns, schemes of equal shares of the rows, and bias of each matrix, in the order of the file."""
        d, h, m = self.width, self.state, self.hidden
        all: list[tuple[str, int, int, list[Scheme], str | None]] = [
            ("input", d, len(self.tables) * self.table_width, [INPUT], None)]
        for i in range(self.layers):
            all += [(f"{i}.gates", 3 * h, d, [GATE, CANDIDATE, GATE], f"{i}.bias"), (f"{i}.out", d, h, [OUT], None),
                    (f"{i}.up", m, d, [UP], None), (f"{i}.down", d, m, [DOWN], None)]
        return all + [("head", 256, d, [HEAD], "head_bias")]


def shifts(w: torch.Tensor, schemes: list[Scheme]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The shift of every row, the factor that turns its weights into integers, and the one for its bias."""
    rows = w.shape[0] // len(schemes)
    parts = []
    for i, scheme in enumerate(schemes):
        most = w[i * rows:(i + 1) * rows].abs().amax(dim=1) * scheme.factor
        fit = torch.floor(torch.log2(127.49 / most.clamp(min=1e-30)))
        shift = torch.where(most > 0, (fit - scheme.q).clamp(0, 31), torch.zeros_like(fit))
        parts.append((shift, scheme.factor * torch.exp2(shift + scheme.q), scheme.factor * torch.exp2(shift + scheme.output)))
    return tuple(torch.cat(part) for part in zip(*parts))  # type: ignore[return-value]


def table_entries(values: torch.Tensor) -> torch.Tensor:
    return rounded(values * TABLE_SCALE).clamp(-TABLE_LIMIT, TABLE_LIMIT)


class Network:
    """All parameters in floats: `vars` by name, and the tables, which are outside of the graph."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.vars: dict[str, torch.Tensor] = {}
        self.tables: list[torch.Tensor] = []

    def initialise(self, seed: int) -> None:
        c, rng = self.config, SplitMix(seed)
        place = lambda a: torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)).to(self.device)  # noqa: E731
        gains = {"input": 2.0, "head": 0.5, "gates": 1.0, "out": 0.5, "up": 1.0, "down": 0.3}
        shapes = {name: (rows, cols) for name, rows, cols, _, _ in c.matrices()}
        # The head comes second, in the order in which the library draws them.
        for name in ["input", "head"] + [n for n in shapes if n not in ("input", "head")]:
            rows, cols = shapes[name]
            std = np.float32(gains[name.split(".")[-1]]) / np.sqrt(np.float32(cols))
            self.vars[name] = place((rng.normal(rows * cols) * std).reshape(rows, cols))
        h = c.state
        spread = [-(np.float32(5.5) * np.float32(i) / np.float32(h) + np.float32(0.5)) for i in range(h)]
        for i in range(c.layers):
            self.vars[f"{i}.bias"] = place(np.array(spread + [0] * h + [1] * h))
        self.vars["head_bias"] = place(np.zeros(256))
        for order, log2_rows in c.tables:
            n = c.table_width << log2_rows
            values = rng.normal(n) * np.float32(0.25) if order <= 2 else np.zeros(n)
            self.tables.append(place(values).reshape(-1, c.table_width))

    @staticmethod
    def from_weights(data: bytes, device: torch.device) -> Network:
        """Starts from an exported weight file."""
        if data[:8] != MAGIC or data[8:10] != b"\1\0":
            raise SystemExit("no weight file of version 1")
        width, state, hidden, layers, half, count = struct.unpack("<3H3B", data[10:19])
        at = 19 + 2 * count
        tables = [(data[i], data[i + 1]) for i in range(19, at, 2)]
        net = Network(Config(width, state, hidden, layers, 2 * half, tables), device)

        def take(kind: str, n: int) -> torch.Tensor:
            nonlocal at
            size = np.dtype(kind).itemsize * n
            found = np.frombuffer(data[at:at + size], kind).astype(np.float32)
            at += size
            return torch.from_numpy(found).to(device)

        for _, log2_rows in tables:
            net.tables.append(take("i1", net.config.table_width << log2_rows).reshape(-1, net.config.table_width) / TABLE_SCALE)
        for name, rows, cols, schemes, bias in net.config.matrices():
            w, b, shift = take("i1", rows * cols).reshape(rows, cols), take("<i4", rows), take("u1", rows)
            share = rows // len(schemes)
            factor = torch.tensor([s.factor for s in schemes], device=device).repeat_interleave(share)
            q = torch.tensor([float(s.q) for s in schemes], device=device).repeat_interleave(share)
            output = torch.tensor([float(s.output) for s in schemes], device=device).repeat_interleave(share)
            net.vars[name] = w / (factor * torch.exp2(shift + q))[:, None]
            if bias:
                net.vars[bias] = b / (factor * torch.exp2(output + shift))
        return net

    def to_weights(self) -> bytes:
        """The integer weight file."""
        c = self.config
        out = [MAGIC, struct.pack("<4H3B", 1, c.width, c.state, c.hidden, c.layers, c.table_width // 2, len(c.tables))]
        out += [bytes(table) for table in c.tables]
        out += [table_entries(t).to(torch.int8).cpu().numpy().tobytes() for t in self.tables]
        for name, rows, _, schemes, bias in c.matrices():
            w = self.vars[name].detach()
            shift, scale, scale_of_bias = shifts(w, schemes)
            out.append(rounded(w * scale[:, None]).clamp(-127, 127).to(torch.int8).cpu().numpy().tobytes())
            biases = self.vars[bias].detach() * scale_of_bias if bias else torch.zeros(rows)
            out.append(rounded(biases.double()).to(torch.int32).cpu().numpy().astype("<i4").tobytes())
            out.append(shift.to(torch.uint8).cpu().numpy().tobytes())
        return b"".join(out)

    def zero_carry(self, lanes: int) -> list[torch.Tensor]:
        return [torch.zeros(lanes, self.config.state, device=self.device) for _ in range(self.config.layers)]

    def look_up(self, segments: list[Segment]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The row of each table at every position, and the quantised entries as a leaf of the graph."""
        steps = len(segments[0].bytes)
        text = np.stack([np.frombuffer(s.history.rjust(8, b"\0") + s.bytes, np.uint8) for s in segments]).astype(np.uint32)
        last = lambda k: text[:, 7 - k:7 - k + steps]  # noqa: E731
        rows = []
        with np.errstate(over="ignore"):
            for order, log2_rows in self.config.tables:
                if order == 1:
                    row = last(0)
                else:
                    key = np.full((len(segments), steps), order, np.uint32)
                    for k in range(order):
                        key = (key + last(k) + np.uint32(1)) * np.uint32(0x9E3779B1)
                        key ^= key >> np.uint32(15)
                    row = key * np.uint32(0x85EBCA6B) >> np.uint32(32 - log2_rows)
                rows.append(torch.from_numpy(row.reshape(-1).astype(np.int64)).to(self.device))
        with torch.no_grad():
            entries = torch.cat([table_entries(t[r]) / TABLE_SCALE for t, r in zip(self.tables, rows)], dim=1)
        return rows, entries.requires_grad_()

    def loss(self, segments: list[Segment], entries: torch.Tensor, carry: list[torch.Tensor], quantised: bool) -> torch.Tensor:
        """Mean cross-entropy in nats; `carry` is replaced by the states after the last byte."""
        c, lanes = self.config, len(segments)
        schemes = {name: s for name, _, _, s, _ in c.matrices()}

        def product(x: torch.Tensor, name: str) -> torch.Tensor:
            w = self.vars[name]
            if quantised:
                with torch.no_grad():
                    scale = shifts(w, schemes[name])[1][:, None]
                    change = rounded(w * scale).clamp(-127, 127) / scale - w
                w = w + change
            return x @ w.t()

        norm = lambda x: x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6)  # noqa: E731
        x = product(entries, "input")
        for i in range(c.layers):
            gates = (product(norm(x), f"{i}.gates") + self.vars[f"{i}.bias"]).reshape(lanes, -1, 3 * c.state)
            states = recurrence(gates[..., :c.state], gates[..., c.state:2 * c.state], carry[i])
            carry[i] = states[:, -1].detach()
            y = states * torch.sigmoid(gates[..., 2 * c.state:])
            x = x + product(y.reshape(-1, c.state), f"{i}.out")
            x = x + product(product(norm(x), f"{i}.up").clamp(0, RELU_LIMIT).square(), f"{i}.down")
        logits = product(norm(x), "head") + self.vars["head_bias"]
        targets = np.concatenate([np.frombuffer(s.bytes, np.uint8) for s in segments]).astype(np.int64)
        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets).to(self.device))


def recurrence(a: torch.Tensor, b: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """h = h + σ(a)·(b − h) along the second dimension, by doubling steps (Hillis and Steele 1986)."""
    z = torch.sigmoid(a)
    keep, value = 1 - z, z * b
    value = torch.cat([value[:, :1] + keep[:, :1] * start[:, None], value[:, 1:]], dim=1)
    step = 1
    while step < a.shape[1]:
        value = torch.cat([value[:, :step], value[:, step:] + keep[:, step:] * value[:, :-step]], dim=1)
        keep = torch.cat([keep[:, :step], keep[:, step:] * keep[:, :-step]], dim=1)
        step *= 2
    return value


class Optimizer:
    """Muon for the hidden matrices, Adam for the rest of the graph, a row-wise variant for the tables."""

    def __init__(self, net: Network) -> None:
        self.moments: dict[str, torch.Tensor] = {}
        self.rows = [torch.zeros(t.shape[0], 2, device=net.device) for t in net.tables]

    @torch.no_grad()
    def step(self, net: Network, rows: list[torch.Tensor], entries: torch.Tensor, rate: float, step: int) -> None:
        self.tables(net, rows, entries, rate)
        for name, var in net.vars.items():
            part = name.split(".")[-1]
            if part in ("gates", "out", "up", "down"):
                self.muon(name, var, 3 if part == "gates" else 1, rate)
            else:
                self.adam(name, var, rate, step)
            var.grad = None

    def adam(self, name: str, var: torch.Tensor, rate: float, step: int) -> None:
        grad, (b1, b2) = var.grad, ADAM_BETAS
        assert grad is not None
        m = self.moments.get(f"{name}.m", torch.zeros_like(var)) * b1 + grad * (1 - b1)
        v = self.moments.get(f"{name}.v", torch.zeros_like(var)) * b2 + grad.square() * (1 - b2)
        n = min(step, 10_000)
        var -= (m / (1 - b1**n)) / ((v / (1 - b2**n)).sqrt() + 1e-10) * (ADAM_RATE * rate)
        self.moments[f"{name}.m"], self.moments[f"{name}.v"] = m, v

    def muon(self, name: str, var: torch.Tensor, parts: int, rate: float) -> None:
        grad = var.grad
        assert grad is not None
        m = self.moments.get(name, torch.zeros_like(var)) * MUON_MOMENTUM + grad
        update = torch.cat([orthogonal(block) for block in (grad + m * MUON_MOMENTUM).chunk(parts)])
        lr, rows = MUON_RATE * rate, var.shape[0] // parts
        var *= 1 - lr * WEIGHT_DECAY
        var -= update * (lr * math.sqrt(max(rows / var.shape[1], 1.0)))
        self.moments[name] = m

    def tables(self, net: Network, rows: list[torch.Tensor], entries: torch.Tensor, rate: float) -> None:
        e = net.config.table_width
        assert entries.grad is not None
        for j, (table, seen) in enumerate(zip(net.tables, self.rows)):
            used, place = rows[j].unique(return_inverse=True)
            grads = torch.zeros(len(used), e, device=net.device).index_add_(0, place, entries.grad[:, j * e:(j + 1) * e])
            square, updates = seen[used, 0], seen[used, 1] + 1
            square = TABLE_BETA * square + (1 - TABLE_BETA) * grads.square().mean(dim=1)
            unbiased = square / (1 - TABLE_BETA ** updates.clamp(max=10_000))
            scale = TABLE_RATE * rate / (unbiased.sqrt() + 1e-12)
            table[used] = (table[used] - scale[:, None] * grads).clamp(-1, 1)
            seen[used] = torch.stack([square, updates], dim=1)


def orthogonal(g: torch.Tensor) -> torch.Tensor:
    """Approximately the nearest semi-orthogonal matrix, by five Newton–Schulz steps (Jordan et al. 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    turned = g.shape[0] > g.shape[1]
    x = g.t() if turned else g
    x = x / (x.square().sum().sqrt() + 1e-12)
    for _ in range(5):
        gram = x @ x.t()
        x = x * a + (gram * b + gram @ gram * c) @ x
    return x.t() if turned else x


class Segment:
    """The next stretch of one lane: at most eight bytes before it, its bytes, and whether the state starts anew."""

    def __init__(self, history: bytes, data: bytes, fresh: bool) -> None:
        self.history, self.bytes, self.fresh = history, data, fresh


class Corpus:
    """Training files in memory, with held-out tails."""

    def __init__(self, folder: Path, weights: Path | None) -> None:
        factors = []
        for line in weights.read_text().splitlines() if weights else []:
            if line.strip() and not line.strip().startswith("#"):
                prefix, factor = line.strip().split(" ", 1)
                factors.append((prefix, float(factor)))
        self.texts: list[tuple[str, bytes, int, float]] = []
        for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("README")):
            data = path.read_bytes()
            if path.suffix == ".zst":
                import zstandard
                data = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj().decompress(data)
            factor = next((f for prefix, f in factors if path.name.startswith(prefix)), 1.0)
            end = len(data) - min(len(data) // 64, 128 << 10)
            if end > 1024 and factor > 0:
                self.texts.append((path.name, data, end, factor * end))
        if not self.texts:
            raise SystemExit(f"{folder} holds no text to train on")

    def held_out(self, each: int, prefix: str = "") -> list[bytes]:
        tails = [data[end:][:each] for name, data, end, _ in self.texts if name.startswith(prefix)]
        return [t for t in tails if len(t) >= 1024]

    def pick(self, rng: SplitMix) -> int:
        x = (rng.next() >> 11) / (1 << 53) * sum(t[3] for t in self.texts)
        for i, text in enumerate(self.texts):
            x -= text[3]
            if x < 0:
                return i
        return len(self.texts) - 1


class Sampler:
    """Reads `lanes` streams side by side, each some KiB long before it jumps to another place."""

    def __init__(self, corpus: Corpus, lanes: int, seed: int) -> None:
        self.corpus, self.rng = corpus, SplitMix(seed)
        # Text, next byte, end, start.
        self.cursors = [(0, 0, 0, 0)] * lanes

    def next(self, steps: int) -> list[Segment]:
        segments = []
        for lane, (text, at, end, start) in enumerate(self.cursors):
            fresh = at + steps > end
            if fresh:
                text, at, end, start = self.jump(steps)
            data = self.corpus.texts[text][1]
            segments.append(Segment(data[max(at - 8, start):at], data[at:at + steps], fresh))
            self.cursors[lane] = (text, at + steps, end, start)
        return segments

    def jump(self, steps: int) -> tuple[int, int, int, int]:
        while True:
            text = self.corpus.pick(self.rng)
            end = self.corpus.texts[text][2]
            if end <= steps:
                continue
            start = self.rng.next() % (end - steps)
            length = (2 << 10) + self.rng.next() % (12 << 10)
            return text, start, min(end, start + length), start


@torch.no_grad()
def measure(net: Network, texts: list[bytes]) -> float:
    """Bits per byte of the quantised network over texts that each start with a fresh state."""
    length = min((len(t) for t in texts), default=0)
    carry, nats, count = net.zero_carry(len(texts)), 0.0, 0
    for start in range(0, length, 128):
        end = min(start + 128, length)
        segments = [Segment(t[max(start - 8, 0):start], t[start:end], start == 0) for t in texts]
        _, entries = net.look_up(segments)
        n = (end - start) * len(texts)
        nats += float(net.loss(segments, entries, carry, True)) * n
        count += n
    return nats / count / math.log(2) if count else math.nan


def save(path: Path, net: Network, optimizer: Optimizer, step: int) -> None:
    """Writes the state as `nzip train` does, first to a file beside it."""
    state = {f"var.{n}": v.detach() for n, v in net.vars.items()} | {f"moment.{n}": m for n, m in optimizer.moments.items()}
    for j, (table, rows) in enumerate(zip(net.tables, optimizer.rows)):
        state |= {f"table.{j}": table.reshape(-1), f"rows.{j}": rows.reshape(-1)}
    state = {n: t.contiguous().cpu() for n, t in state.items()}
    state["step"] = torch.tensor([step], dtype=torch.uint32)
    save_file(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def load(path: Path, net: Network, optimizer: Optimizer) -> int:
    state = load_file(path)
    place = lambda t: t.to(net.device)  # noqa: E731
    net.vars = {n: place(state[f"var.{n}"]) for n in net.vars}
    optimizer.moments = {n.removeprefix("moment."): place(t) for n, t in state.items() if n.startswith("moment.")}
    for j, table in enumerate(net.tables):
        net.tables[j] = place(state[f"table.{j}"]).reshape(table.shape).clone()
        optimizer.rows[j] = place(state[f"rows.{j}"]).reshape(-1, 2).clone()
    return int(state["step"][0])


def train(o: argparse.Namespace) -> dict[str, float]:
    """Trains until the last step, and returns its last figures."""
    device = torch.device(o.device)
    corpus = Corpus(o.data, o.weights)
    if o.start:
        net = Network.from_weights(o.start.read_bytes(), device)
    else:
        net = Network(Config(*SIZES[o.size]), device)
        net.initialise(o.seed)
    optimizer = Optimizer(net)
    state = o.output.with_suffix(".ckpt")
    first = load(state, net, optimizer) if o.resume else 0
    for var in net.vars.values():
        var.requires_grad_()
    print(f"training on {sum(t[2] for t in corpus.texts) / 1e6:.1f} MB from step {first} to {o.steps} ({device})", flush=True)
    sampler, carry = Sampler(corpus, o.lanes, o.seed + first), net.zero_carry(o.lanes)
    figures: dict[str, float] = {}
    clock, losses = time.perf_counter(), []
    for step in range(first + 1, o.steps + 1):
        segments = sampler.next(o.length)
        keep = torch.tensor([[0.0 if s.fresh else 1.0] for s in segments], device=device)
        carry = [c * keep for c in carry]
        rows, entries = net.look_up(segments)
        loss = net.loss(segments, entries, carry, step + o.decay > o.steps)
        loss.backward()
        rate = min(step / WARM_UP, 1.0, max((o.steps - step) / max(o.decay, 1), 0.01))
        optimizer.step(net, rows, entries, o.rate * rate, step)
        losses.append(loss.detach())
        if step % REPORT == 0 or step == o.steps:
            figures["bits_per_byte"] = float(torch.stack(losses).mean()) / math.log(2)
            speed = len(losses) * o.lanes * o.length / (time.perf_counter() - clock)
            print(f"step {step}  {figures['bits_per_byte']:.4f} bits/byte  {speed / 1000:.1f} KB/s", flush=True)
            clock, losses = time.perf_counter(), []
        if step % o.every == 0 or step == o.steps:
            if o.validate:
                data = o.validate.read_bytes()
                # All pieces are read as far as the shortest one goes.
                figures["validation"] = measure(net, [data[i:i + (64 << 10)] for i in range(0, len(data), 64 << 10)])
                print(f"validation: {figures['validation']:.4f} bits/byte", flush=True)
            else:
                figures["validation"] = measure(net, corpus.held_out(8 << 10))
                books = measure(net, corpus.held_out(32 << 10, "pg_"))
                print(f"validation: all {figures['validation']:.4f}, books {books:.4f} bits/byte", flush=True)
            save(state, net, optimizer, step)
            o.output.write_bytes(net.to_weights())
            clock = time.perf_counter()
    return figures


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description="Train a language model of nzip with PyTorch")
    p.add_argument("data", type=Path, help="folder of text files, plain or .zst")
    p.add_argument("-o", "--output", type=Path, required=True, help="weight file; the checkpoint is written beside it")
    p.add_argument("--size", choices=SIZES, default="base")
    p.add_argument("--weights", type=Path, help='file of lines "PREFIX FACTOR"')
    p.add_argument("--from", dest="start", type=Path, help="start from an exported weight file")
    p.add_argument("--resume", action="store_true", help="continue from the checkpoint beside the output")
    p.add_argument("--steps", type=int, default=20000)
    p.add_argument("--decay", type=int, default=3000, help="last steps over which the rate falls, with quantised weights")
    p.add_argument("--lanes", type=int, default=48)
    p.add_argument("--length", type=int, default=112)
    p.add_argument("--rate", type=float, default=1.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--every", type=int, default=500)
    p.add_argument("--validate", type=Path, help="text to validate on instead of held-out tails")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--figures", type=Path, help="write the last figures as JSON")
    return p.parse_args(words)


if __name__ == "__main__":
    options = arguments()
    last = train(options)
    if options.figures:
        options.figures.write_text(json.dumps(last))
