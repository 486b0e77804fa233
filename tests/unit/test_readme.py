"""The README and the pages of docs/: the table of keys agrees with the schema, links lead somewhere, and the calls of
the library work."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from rotvar.catalogue import DATASETS, MODELS

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "tables"),
]

# | `key` | meaning | `default` |, or "required" for a default
ROW = re.compile(r"^\| `(?P<key>[^`]+)` \| .+ \| (?:`(?P<default>[^`]+)`|required) \|$")
LINK = re.compile(r"\]\(([^)\s]+)\)|\bsrc=\"([^\"]+)\"")


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A schema node with its $ref read in; what stands beside the $ref adds to its properties."""
    if "$ref" not in node:
        return node
    there = resolved(SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    merged = there | node
    if "properties" in there:
        merged["properties"] = {
            name: prop | node.get("properties", {}).get(name, {}) for name, prop in there["properties"].items()
        }
    return merged


def keys(node: dict[str, Any], prefix: str = "", required: bool = False) -> Iterator[tuple[str, Any]]:
    """Every key of the configuration that holds a value, with its default; `...` where it must be given."""
    node = resolved(node)
    children = node.get("properties", {})
    # A mapping by free names is a key itself; one that has a "default" entry is described by that entry
    if not children and isinstance(node.get("additionalProperties"), dict):
        yield prefix, node.get("default", ...)
        inside = resolved(node["additionalProperties"])
        children = {"NAME": inside} if "properties" in inside else {}
    elif not children:
        assert required or "default" in node, f"{prefix} is neither required nor has it a default"
        yield prefix, node.get("default", ...)
    for name, child in children.items():
        yield from keys(child, f"{prefix}.{name}".lstrip("."), name in node.get("required", ()))


def described() -> list[tuple[str, Any]]:
    section = (DOCS / "configuration.md").read_text().split("\n## Every key\n")[1].split("\n## ")[0]
    rows = [match for line in section.splitlines() if (match := ROW.match(line))]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(table), "a row of the table has another form than | `key` | meaning | `default` |"
    return [(row["key"], ... if row["default"] is None else yaml.safe_load(row["default"])) for row in rows]


def test_the_table_has_every_key_of_the_schema_once_and_with_its_default() -> None:
    assert described() == list(keys(SCHEMA))


@pytest.mark.parametrize(("key", "names"), [("datasets", DATASETS), ("models", MODELS)])
def test_the_table_names_all_that_can_be_chosen(key: str, names: dict[str, Any]) -> None:
    (row,) = re.findall(rf"^\| `{key}` \|.*$", (DOCS / "configuration.md").read_text(), flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == [key, *names]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [markdown or html for markdown, html in LINK.findall(page.read_text())]
    targets = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert targets
    assert [target for target in targets if not (page.parent / target).exists()] == []


def headings(page: Path) -> set[str]:
    """What GitHub calls the headings of a page in links to them."""
    lines = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if re.match("#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", page.read_text())
    found = {file: headings(page.parent / file if file else page) for file, _ in links}
    assert [f"{file}#{name}" for file, name in links if name not in found[file]] == []


def test_the_readme_names_every_page() -> None:
    text = (ROOT / "README.md").read_text()
    pages = [page for page in DOCS.iterdir() if page.suffix in (".md", ".ipynb")]
    assert [page.name for page in pages if f"| [docs/{page.name}](docs/{page.name}) |" not in text] == []


def test_the_library_call_measures_a_folder_of_images_and_draws_the_heatmap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's example as it stands, but for smaller images and weights that need no download; and the one that
    docs/library.md goes on with."""
    code, other = (
        page.read_text().split(f"\n## {heading}\n")[1].split("```python\n")[1].split("```")[0]
        for page, heading in ((PAGES[0], "From a notebook"), (DOCS / "library.md", "Other transformations"))
    )
    for old, new in {"256": "40", "224": "32", '"DEFAULT"': "None"}.items():
        assert old in code
        code = code.replace(old, new)
    generator = np.random.default_rng(0)
    for number, name in enumerate(["cat", "cat", "dog", "dog"]):
        path = tmp_path / "images" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert set(names["table"]["stratum"]) == {"all", "stratified", "cat", "dog"}
    assert Image.open(tmp_path / "heatmap.png").width > 1000
    rotation = names["table"]
    exec(other, names)
    assert len(names["table"]) == len(rotation)
    assert not names["table"]["transformation_std"].equals(rotation["transformation_std"])
