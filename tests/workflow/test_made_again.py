"""docs/development.md says which rules run again when a module changes: Snakemake's own graph of a study that has
everything, of rules and their input files, says the same."""

import html
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from copies import ROOT, copy_workflow, run_snakemake

LIBRARY = ROOT / "workflow" / "scripts" / "rotvar"
MODULES = sorted(
    str(file.relative_to(LIBRARY))
    for file in LIBRARY.rglob("*")
    if file.suffix in (".py", ".json") and "__pycache__" not in file.parts
)
# Every rule of the program has a job in it, but for those of shards
EVERYTHING = {
    "datasets": ["mnist", "fashion_mnist"],
    "models": ["simple_conv"],
    "transformations": {"shift": {"translation": 0.2, "samples": 2}},
    "measurement": {"aggregations": ["mean", "same_equivariance"]},
    "figures": {"aggregations": ["mean"]},
    "questions": ["retraining", "emergence", "stability", "transfer"],
}


class Graph:
    """Rules, the modules of the library that each has as inputs, and the rules whose files each reads."""

    def __init__(self, dot: str) -> None:
        self.modules: dict[str, set[str]] = {}
        names: dict[str, str] = {}
        for number, label in re.findall(r"^(\d+) \[ shape=none.*?label=<(.*?)>\]$", dot, re.MULTILINE | re.DOTALL):
            texts = [html.unescape(text) for text in re.findall(r"<font [^>]*>(.*?)</font>", label, re.DOTALL)]
            names[number] = texts[0]
            prefix = "workflow/scripts/rotvar/"
            read = {text.removeprefix(prefix) for text in texts[1:] if text.startswith(prefix)}
            self.modules[names[number]] = self.modules.get(names[number], set()) | read
        self.readers: dict[str, set[str]] = {name: set() for name in self.modules}
        for maker, reader in re.findall(r"^\s*(\d+) -> (\d+)$", dot, re.MULTILINE):
            self.readers[names[maker]].add(names[reader])
        self.makers = {name for name in self.modules if self.modules[name]}  # not the targets, which run nothing

    def again(self, rules: Iterable[str]) -> set[str]:
        """These rules and all that read what they make, directly or not."""
        found, waiting = set[str](), list(rules)
        while waiting:
            rule = waiting.pop()
            if rule not in found:
                found.add(rule)
                waiting += self.readers[rule]
        return found & self.makers


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder = copy_workflow(tmp_path_factory.mktemp("everything") / "rotvar")
    (folder / "everything.yaml").write_text(yaml.safe_dump(EVERYTHING))
    run = run_snakemake(folder, "--filegraph", "--forceall", "--configfile", "everything.yaml")
    assert run.returncode == 0, run.stderr
    return Graph(run.stdout)


def table() -> list[tuple[list[str], str]]:
    """The table's modules (names and patterns) and what it says of the rules that run again first."""
    section = (ROOT / "docs" / "development.md").read_text().split("\n### After a change of the program\n")[1]
    lines = [line for line in section.split("\n### ")[0].splitlines() if line.startswith("| `")]
    cells = [line.split("|")[1:3] for line in lines]
    return [(re.findall(r"`([^`]+\.(?:py|json)|[^`/]+/\*)`", modules), rules) for modules, rules in cells]


def of(module: str) -> str:
    """What the table says of a module: the row that names it, or else the row of its folder's, or of NAME there."""
    folder, _, file = module.rpartition("/")
    for name in (module, f"{folder}/*", f"{folder}/NAME.py"):
        rows = [rules for modules, rules in table() if name in modules]
        assert len(rows) <= 1, f"{name} stands in two rows"
        if rows:
            return rows[0].replace("NAME", Path(file).stem)
    raise AssertionError(f"the table does not have {module}")


def rules_of(text: str, known: Iterable[str]) -> set[str]:
    """The rules that a text names, such as "`plot_*` but `plot_depth`; `train_model`"; there must be all of them."""
    found = set[str]()
    for part in text.split(";"):
        named, _, left_out = part.partition(" but ")
        chosen = set[str]()
        for pattern in re.findall("`(.+?)`", named):
            matching = {rule for rule in known if fnmatchcase(rule, pattern)}
            assert matching, f"there is no rule {pattern}"
            chosen |= matching
        others = set(re.findall("`(.+?)`", left_out))
        assert others <= chosen, f"{text}: there is no rule {', '.join(others - chosen)} to leave out"
        found |= chosen - others
    return found


@pytest.mark.parametrize("module", MODULES)
def test_the_table_says_what_a_module_makes_again(module: str, graph: Graph) -> None:
    importing = {rule for rule, modules in graph.modules.items() if module in modules}
    assert graph.again(rules_of(of(module), graph.makers)) == graph.again(importing)


def test_every_module_of_the_table_is_there() -> None:
    named = [name for modules, _ in table() for name in modules if not name.endswith(("/*", "NAME.py"))]
    assert [name for name in named if name not in MODULES] == []
    assert len(named) > 20
