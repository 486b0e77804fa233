"""The rules of the workflow as a picture: boxes in columns, what comes first on the left. Plain SVG, no Graphviz."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

LETTER, BOX, ROW, GAP = 6.7, 24, 34, 54  # pixels: width of a letter, height of a box, its row, room between columns


def svg(after: Mapping[str, Sequence[str]]) -> str:
    """Draw a graph: `after` gives, for each rule, the rules whose results it reads (rules that are not in it are left
    out). Raises ValueError if rules wait for each other in a circle.

    Rules stand in the column after the last one they read. An arrow past a column goes through a row of its own there,
    so that it crosses no box.
    """
    columns = _columns({rule: [one for one in before if one in after] for rule, before in after.items()})
    depth = {node: number for number, column in enumerate(columns) for node in column}
    widths = [max(LETTER * len(node) for node in column if isinstance(node, str)) + 18 for column in columns]
    lefts = [sum(widths[:number]) + GAP * number + 1 for number in range(len(columns))]
    height = ROW * max(map(len, columns))
    middles = {
        node: height / 2 + ROW * (row - (len(column) - 1) / 2) for column in columns for row, node in enumerate(column)
    }
    shapes = []
    for node, number in depth.items():
        for one in _before(node, after, depth):
            start, end = lefts[number - 1] + widths[number - 1], lefts[number]
            bend = (start + end) / 2
            path = f"M{start:g} {middles[one]:g}C{bend:g} {middles[one]:g} {bend:g} {middles[node]:g} {end:g}"
            shapes.append(f'<path d="{path} {middles[node]:g}"/>')
    for node, number in depth.items():
        left, width, middle = lefts[number], widths[number], middles[node]
        if isinstance(node, str):
            box = f'x="{left:g}" y="{middle - BOX / 2:g}" width="{width:g}" height="{BOX}" rx="4"'
            text = f'x="{left + width / 2:g}" y="{middle + 4:g}" text-anchor="middle"'
            shapes.append(f"<rect {box}/><text {text}>{escape(node)}</text>")
        else:
            shapes.append(f'<path d="M{left:g} {middle:g}H{left + width:g}"/>')
    size = f'width="{lefts[-1] + widths[-1] + 1:g}" height="{height:g}"'
    box = f'viewBox="0 0 {lefts[-1] + widths[-1] + 1:g} {height:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img">{"".join(shapes)}</svg>'


# A node is a rule, or (rule, column) where the arrows from that rule pass a column
Node = str | tuple[str, int]


def _columns(after: dict[str, list[str]]) -> list[list[Node]]:
    """The nodes of each column, from top to bottom: near the middle of what they read."""
    depth: dict[str, int] = {}
    waiting = dict(after)
    while waiting:
        ready = [rule for rule, before in waiting.items() if all(one in depth for one in before)]
        if not ready:
            raise ValueError(f"The rules {', '.join(waiting)} wait for each other.")
        for rule in ready:
            depth[rule] = 1 + max((depth[one] for one in waiting.pop(rule)), default=-1)
    columns: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for rule, number in depth.items():
        columns[number].append(rule)
    for rule in after:
        last = max((depth[other] for other, before in after.items() if rule in before), default=0)
        for number in range(depth[rule] + 1, last):
            columns[number].append((rule, number))
    everything: dict[Node, int] = {node: number for number, column in enumerate(columns) for node in column}
    for number, column in enumerate(columns[1:], 1):
        places = {node: row - len(columns[number - 1]) / 2 for row, node in enumerate(columns[number - 1])}

        def place(node: Node, places: dict[Node, float] = places) -> float:
            read = [places[one] for one in _before(node, after, everything)]
            return sum(read) / len(read) if read else 0.0

        column.sort(key=place)
    return columns


def _before(node: Node, after: Mapping[str, Sequence[str]], depth: Mapping[Node, int]) -> list[Node]:
    """The nodes of the column before that lead to `node`."""
    column = depth[node] - 1
    rules = [node[0]] if isinstance(node, tuple) else [one for one in after[node] if one in after]
    return [rule if depth[rule] == column else (rule, column) for rule in dict.fromkeys(rules)]
