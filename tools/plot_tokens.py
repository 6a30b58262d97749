"""Draws what `examples/learn_tokens.rs` has measured. Usage: plot_tokens.py IN.csv OUT.svg"""

import math
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 430, 60, 20, 150, 50
COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"]


def main(source, target):
    curves = {}
    for line in open(source).read().splitlines():
        name, _, operations, bits, unlearned = line.split(",")
        curves.setdefault(name, []).append((float(operations), float(bits), float(unlearned)))
    most = max(x for points in curves.values() for x, _, _ in points)
    # What costs more, as all do before they have learned anything, is cut off.
    low, high = 1.5, 4.5
    place_x = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * x / most
    place_y = lambda y: TOP + (HEIGHT - TOP - BOTTOM) * (high - min(y, high)) / (high - low)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for bits in range(math.ceil(low), math.floor(high) + 1):
        y = place_y(bits)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{bits}</text>')
    for i in range(5):
        x = place_x(most * i / 4)
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{most * i / 4e12:.2f}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">training operations, 10^12</text>')
    out.append(f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">bits per byte of text</text>')
    labels = []
    for (name, points), colour in zip(curves.items(), COLOURS):
        path = "L".join(f"{place_x(x):.1f} {place_y(y):.1f}" for x, y, _ in points)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        dashed = place_y(points[-1][2])
        out.append(f'<path d="M{LEFT} {dashed:.1f}H{WIDTH - RIGHT}" stroke="{colour}" stroke-dasharray="2 4"/>')
        labels.append((place_y(points[-1][1]), name, colour, points[-1][1]))
    last = 0
    for y, name, colour, bits in sorted(labels):
        y = last = max(y, last + 15)
        out.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y + 4:.1f}" fill="{colour}">{name} {bits:.2f}</text>')
    open(target, "w").write("\n".join(out) + "\n</svg>\n")


main(*sys.argv[1:])
