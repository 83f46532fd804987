"""Pictures without a library: horizontal bars on a logarithmic axis, and lines over logarithmic axes."""

import math
from html import escape

INK, GRID, PALE = "#1f2933", "#d9dee4", "#7b8794"
COLOURS = ["#1c7ed6", "#e8590c", "#2f9e44", "#ae3ec9", "#f08c00", "#0c8599", "#c92a2a"]
FONT = 'font-family="DejaVu Sans,Helvetica,Arial,sans-serif"'


class Picture:
    def __init__(self, width, height):
        self.width, self.height = width, height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" {FONT}>',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        ]

    def text(self, x, y, words, size=11, anchor="start", colour=INK, weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
                          f'font-weight="{weight}">{escape(str(words))}</text>')

    def line(self, x1, y1, x2, y2, colour=GRID, width=1, dash=""):
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}"{extra}/>')

    def bar(self, x, y, width, height, colour, note=""):
        title = f"<title>{escape(note)}</title>" if note else ""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" '
                          f'fill="{colour}">{title}</rect>')

    def path(self, points, colour, dash=""):
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{steps}" fill="none" stroke="{colour}" stroke-width="2"{extra}/>')
        for x, y in points:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>')

    def write(self, path):
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join([*self.parts, "</svg>", ""]))


def _ticks(low, high):
    """Powers of ten between the two, with 2 and 5 between them where there is room."""
    steps = (1,) if high / low > 1e4 else (1, 2, 5)
    ticks = [step * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
             for step in steps]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def short(value):
    """1000000 as 1M, 0.2 as 0.2."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def ratio_bars(path, title, notes, groups, series):
    """groups: [(heading, [(label, [ratio or None for every series])])]; series: names of the bars of one label."""
    every = [ratio for _, rows in groups for _, ratios in rows for ratio in ratios if ratio]
    if not every:
        return
    low, high = min(0.5, min(every) * 0.9), max(10.0, max(every) * 1.2)
    left, right, thick, gap = 230, 70, 8, 6
    width, top = 1000, 88 + 14 * len(notes)
    height = top + sum(26 + len(rows) * (len(series) * thick + gap) for _, rows in groups) + 40
    picture = Picture(width, height)
    span = width - left - right

    def place(value):
        return left + span * (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))

    picture.text(16, 28, title, 17, weight="bold")
    for i, note in enumerate(notes):
        picture.text(16, 48 + 14 * i, note, 10.5, colour=PALE)
    for i, name in enumerate(series):
        picture.bar(left + 150 * i, top - 34, 12, 10, COLOURS[i])
        picture.text(left + 150 * i + 17, top - 25, name, 11)
    for tick in _ticks(low, high):
        picture.line(place(tick), top, place(tick), height - 28)
        for y in (top - 4, height - 12):
            picture.text(place(tick), y, f"{tick:g}x", 10, "middle", PALE)
    y = top + 4
    for heading, rows in groups:
        picture.text(16, y + 14, heading, 12, weight="bold")
        y += 22
        for label, ratios in rows:
            picture.text(left - 8, y + len(series) * thick / 2 + 4, label, 10.5, "end")
            for i, ratio in enumerate(ratios):
                if ratio:
                    start, end = sorted((place(1.0), place(ratio)))
                    colour = COLOURS[i] if ratio >= 1 else "#c92a2a"
                    picture.bar(start, y, end - start, thick - 1, colour, f"{label}, {series[i]}: {ratio:.2f}")
                    picture.text(max(end, place(1.0)) + 4, y + thick - 1, f"{ratio:.2f}", 8, colour=PALE)
                y += thick
            y += gap
        y += 4
    picture.line(place(1.0), top, place(1.0), height - 28, INK, 1.3)
    picture.write(path)


def curve_panels(path, title, notes, panels):
    """panels: [(heading, x axis, y axis, {name: [(x, y)]})]; both axes logarithmic, two panels a line."""
    wide, tall, columns = 560, 340, 2
    lines = -(-len(panels) // columns)
    top = 44 + 14 * len(notes)
    picture = Picture(wide * columns, top + tall * lines)
    picture.text(16, 28, title, 17, weight="bold")
    for i, note in enumerate(notes):
        picture.text(16, 48 + 14 * i, note, 10.5, colour=PALE)
    for index, panel in enumerate(panels):
        _panel(picture, wide * (index % columns), top + tall * (index // columns), wide, tall, *panel)
    picture.write(path)


def _panel(picture, x0, y0, wide, tall, heading, x_name, y_name, curves):
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return
    left, right, top, bottom = x0 + 62, x0 + wide - 20, y0 + 46, y0 + tall - 42
    xs, ys = [x for x, _ in points], [max(y, 1e-3) for _, y in points]
    x_low, x_high = min(xs), max(max(xs), min(xs) * 2)
    y_low, y_high = min(ys) * 0.7, max(max(ys) * 1.4, min(ys) * 10)

    def place(x, y):
        across = (math.log(x) - math.log(x_low)) / (math.log(x_high) - math.log(x_low))
        up = (math.log(max(y, 1e-3)) - math.log(y_low)) / (math.log(y_high) - math.log(y_low))
        return left + across * (right - left), bottom - up * (bottom - top)

    picture.text(x0 + 16, y0 + 18, heading, 13, weight="bold")
    for tick in _ticks(x_low, x_high):
        x, _ = place(tick, y_low)
        picture.line(x, top, x, bottom)
        picture.text(x, bottom + 14, short(tick), 9.5, "middle", PALE)
    for tick in _ticks(y_low, y_high):
        _, y = place(x_low, tick)
        picture.line(left, y, right, y)
        picture.text(left - 6, y + 3, short(tick), 9.5, "end", PALE)
    picture.text((left + right) / 2, bottom + 30, x_name, 10, "middle", PALE)
    picture.text(left, top - 6, y_name, 10, "start", PALE)
    for i, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        picture.path([place(x, y) for x, y in curve], colour)
        picture.bar(left + 64 + 84 * i, top - 14, 10, 8, colour)
        picture.text(left + 77 + 84 * i, top - 6, name, 10)
