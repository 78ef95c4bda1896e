"""A flame graph as a static SVG: a box for each frame, as wide as its share of the samples, on top
of the frame that called it. The title of a box is its whole name and share.
"""

from collections import Counter
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from benchmarks.race.folds import Frame, Kind, Stack

WIDTH, MARGIN, TOP, STEP, GAP = 1200, 10, 64, 18, 1
FONT_PX = 12
CHARACTER_PX = 7.3  # of a monospaced font of that size
CHARACTERS_MIN = 5
SHARE_MIN = 0.003  # narrower boxes are left away, with all above them
BYTES_MAX = 150_000
COLOURS = {
    Kind.KERNEL: "#f4b183",
    Kind.INTERPRETER: "#9dc3e6",
    Kind.LIBC: "#c9b1e0",
    Kind.EXTENSION: "#a9d18e",
    Kind.PROGRAM: "#ffe08a",
    Kind.UNKNOWN: "#d9d9d9",
    Kind.THREAD: "#e7e6e6",
}
CLASSES = {kind: f"k{number}" for number, kind in enumerate(COLOURS)}


@dataclass
class Node:
    """A frame below the same callers: its samples with all that it called, and those callees."""

    frame: Frame
    samples: int = 0
    above: dict[Frame, "Node"] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """`start` and `end` count samples from the left."""

    frame: Frame
    start: int
    end: int
    depth: int


def tree(stacks: Counter[Stack]) -> Node:
    root = Node(Frame("all", Kind.THREAD))
    for stack, count in stacks.items():
        root.samples += count
        node = root
        for frame in stack:
            node = node.above.setdefault(frame, Node(frame))
            node.samples += count
    return root


def boxes(root: Node, share_min: float = SHARE_MIN) -> list[Box]:
    """Callees stand on their caller from its left edge, the widest first."""
    placed: list[Box] = []
    least = root.samples * share_min

    def place(node: Node, start: int, depth: int) -> None:
        placed.append(Box(node.frame, start, start + node.samples, depth))
        for each in sorted(node.above.values(), key=lambda one: (-one.samples, one.frame.name)):
            if each.samples >= least:
                place(each, start, depth + 1)
            start += each.samples

    place(root, 0, 0)
    return placed


def drawn(stacks: Counter[Stack], title: str) -> str:
    """Narrow boxes are left away until it has no more than BYTES_MAX bytes."""
    root, share_min = tree(stacks), SHARE_MIN
    while len((svg := _svg(root, title, share_min)).encode()) > BYTES_MAX:
        share_min *= 1.25
    return svg


def _svg(root: Node, title: str, share_min: float) -> str:
    placed = boxes(root, share_min)
    height = TOP + STEP * (1 + max(box.depth for box in placed)) + MARGIN
    styles = "".join(f".{CLASSES[kind]} rect{{fill:{colour}}}" for kind, colour in COLOURS.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">',
        f"<style>text{{font:{FONT_PX}px ui-monospace,Menlo,Consolas,monospace;fill:#0f172a}}"
        "rect{stroke:#fff;stroke-width:.4}"
        f".t{{font-size:16px;font-weight:bold}}{styles}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="t" x="{MARGIN}" y="24">{escape(title)}, {root.samples:,} samples</text>',
        *_legend(root),
        *(_drawn_box(box, root.samples, height) for box in placed),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(root: Node) -> list[str]:
    """Whose code ran, with its share: the innermost frames counted."""
    own: Counter[Kind] = Counter()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        own[node.frame.kind] += node.samples - sum(each.samples for each in node.above.values())
        waiting += node.above.values()
    parts, x = [], float(MARGIN)
    for kind, count in own.most_common():
        share = count / root.samples
        if share >= 0.005 and kind is not Kind.THREAD:
            said = f"{kind} {share:.0%}"
            parts.append(
                f'<g class="{CLASSES[kind]}"><rect x="{x:.0f}" y="36" width="12" height="12"/>'
                f'<text x="{x + 17:.0f}" y="46">{said}</text></g>'
            )
            x += 40 + len(said) * CHARACTER_PX
    return parts


def _drawn_box(box: Box, total: int, height: int) -> str:
    scale = (WIDTH - 2 * MARGIN) / total
    left, right = round(MARGIN + box.start * scale, 1), round(MARGIN + box.end * scale, 1)
    y = height - MARGIN - STEP * (box.depth + 1)
    name = f"{box.frame.name} ({(box.end - box.start) / total:.1%})"
    fits = int((right - left - 4) / CHARACTER_PX)
    said = box.frame.name if len(box.frame.name) <= fits else box.frame.name[: fits - 2] + ".."
    shown = f'<text x="{left + 3:.1f}" y="{y + 13}">{escape(said)}</text>'
    return (
        f'<g class="{CLASSES[box.frame.kind]}"><title>{escape(name)}</title>'
        f'<rect x="{left}" y="{y}" width="{right - left:.1f}" height="{STEP - GAP}"/>'
        f"{shown if fits >= CHARACTERS_MIN else ''}</g>"
    )
