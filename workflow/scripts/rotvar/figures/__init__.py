"""Figures: a module a figure, functions that take tables and return Matplotlib figures.

None reads files or configuration, and all share one theme (`theme`). The tables are those that `results.read` gives,
or `variance.measure` in a notebook; where a figure needs several networks it says so.
"""
