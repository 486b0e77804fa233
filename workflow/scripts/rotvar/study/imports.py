"""What a Python file depends on: the modules of a folder that it imports, directly or not."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def with_imports(files: Iterable[Path], root: Path) -> list[str]:
    """These Python files and all that they import of the folder `root`, directly or not; sorted."""
    found: list[Path] = []
    waiting = [*files]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.append(file)
            waiting += imports(file, root)
    return sorted(map(str, found))


def module_files(name: str, root: Path) -> list[Path]:
    """The file of a module in the folder `root`; none where it lies elsewhere."""
    path = root.joinpath(*name.split("."))
    return [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]


@cache
def imports(file: Path, root: Path) -> list[Path]:
    """The modules in the folder `root` that a Python file in it names in its import statements."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = file.relative_to(root).parent.parts
            above = package[: len(package) - node.level + 1] if node.level else ()
            named = ".".join([*above, *filter(None, [node.module])])
            modules |= {named, *(f"{named}.{alias.name}" for alias in node.names)}
    # rotvar.figures.theme also runs rotvar and rotvar.figures
    names = {".".join(parts[:end]) for parts in (m.split(".") for m in modules) for end in range(1, len(parts) + 1)}
    return [file for name in names for file in module_files(name, root)]
