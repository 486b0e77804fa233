"""Where a study may be written, and where its data may lie: the folders that a configuration names."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What the program consists of, in its own folder. Hidden folders, which hold its environment and history, are too.
PROGRAM = ("Snakefile", "config.yaml", "workflow", "profiles", "slurm", "benchmarks", "docs", "tests")


def problems(results: str, mirror: str | None, own_data: dict[str, Any], program: Path) -> Iterator[str]:
    """A sentence for each reason why a study cannot be written to `results`, its data be copied from `mirror`, or the
    program run where it is.

    own_data: as in the configuration. program: the folder that the Snakefile is in. Relative paths start in the working
    directory.
    """
    if set("{}") & set(str(program)):
        yield f"the program is in '{program}', but Snakemake takes {{ and }} there for wildcards: rename that folder."
    try:
        yield from _of_results(results, program)
        if mirror is not None:
            yield from _of_mirror(mirror, results)
        for name, own in own_data.items():  # what is written there would be another class
            yield from _inside(results, f"own_data.{name}.folder", own["folder"])
    except OSError as error:  # links in a circle, a name that is too long
        places = f"results is '{results}'" + (f" and data.mirror is '{mirror}'" if mirror else "")
        yield f"{places}, where files cannot be ({error.strerror}): name another place."


def _of_results(results: str, program: Path) -> Iterator[str]:
    another = "name a folder of its own, such as results"
    plain = os.path.normpath(results)
    place, program = Path(os.path.realpath(results)), program.resolve()
    part = place.relative_to(program).parts[:1] if place.is_relative_to(program) else None
    standing = next(folder for folder in (place, *place.parents) if _exists(folder))
    if results.startswith("~"):
        yield f"results is '{results}', but ~ means nothing in a configuration: write the whole path."
    elif results != plain:
        yield f"results is '{results}': write it as {plain}."
    elif program.is_relative_to(place):
        yield f"results is '{results}', which holds the program itself: {another}."
    elif part and (part[0] in PROGRAM or part[0].startswith(".")):
        yield f"results is '{results}', but {part[0]} is a part of the program: {another}."
    elif not standing.is_dir():
        yield f"results is '{results}', but {standing} is a file: {another}."


def _exists(path: Path) -> bool:
    """Raises OSError where nothing can exist, of which `Path.exists` says False since Python 3.14."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _of_mirror(mirror: str, results: str) -> Iterator[str]:
    folder = Path(mirror)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        yield f"data.mirror is '{mirror}', which {found}: name a folder laid out as torchvision lays it out, or null."
    else:
        yield from _inside(results, "data.mirror", mirror)


def _inside(results: str, key: str, folder: str) -> Iterator[str]:
    if Path(results).resolve().is_relative_to(Path(folder).resolve()):
        yield f"results is '{results}', which lies in {key} ('{folder}'): name a folder outside it."
