# What is shown: figures and tables are declared beside the rules that make them, and listed for the study and its report.
from collections import defaultdict
from itertools import product
from pathlib import Path

from snakemake.io import strip_wildcard_constraints

# As declared (figure, overview_figure, table), and what the wildcards in their names stand for.
FIGURES = []
TABLES = []
DRAWN_FOR = dict(
    dataset=config["datasets"],
    model=config["models"],
    aggregation=config["figures"]["aggregations"],
    image=config["figures"]["feature_maps"]["images"],
)

# One value of each wildcard, where any will do.
EXAMPLE = defaultdict(
    lambda: "1",
    {wildcard: values[0] for wildcard, values in {**NETWORKS, **DRAWN_FOR}.items() if values}
    | {"epoch": config["emergence"]["epochs"][0]},
)


def asked(question):
    """Whether the study has this question; what belongs to none, it always has."""
    return question is None or question in config["questions"]


def figure(name, caption, category, question=None, **labels):
    """Declare a figure of each data set and model, and give its files: outputs of the rule that draws it, png and svg.

    The report shows it in its category, with the caption workflow/report/captions/{caption}.md; labels tell the figures
    that share a caption apart, and get switches. A label with a list of values makes a figure of each, with the value
    in its name. The figures of a `question` belong to the study if it asks that.
    """
    labels = {"dataset": "{dataset}", "model": "{model}", **labels}
    return overview_figure(f"{{dataset}}/{{model}}/{name}", caption, category, question, **labels)


def overview_figure(name, caption, category="All networks", question=None, **labels):
    """Declare a figure across data sets and models, and give its files, as `figure` does."""
    lists = {label: values for label, values in labels.items() if isinstance(values, list)}
    names = []
    for values in product(*lists.values()):
        chosen = dict(zip(lists, values))
        names += expand(name, **chosen, allow_missing=True)
        if asked(question):
            FIGURES.append(dict(name=names[-1], caption=caption, category=category, labels=labels | chosen))
    return {suffix: [f"<figures>/{one}.{suffix}" for one in names] for suffix in ("png", "svg")}


def table(name, question=None):
    """Declare a table, and give its files: outputs of the rule that writes it, by their suffixes.

    The caption in the report is workflow/report/captions/{name}_table.md.
    """
    if asked(question):
        TABLES.append(name)
    return {suffix: f"<tables>/{name}.{suffix}" for suffix in ("csv", "md", "tex", "sha256")}


def drawn(**only):
    """Every declared figure for every value of the wildcards in its name, or for `only` some of them."""
    found = []
    for declared in FIGURES:
        wildcards = [wildcard for wildcard in DRAWN_FOR if f"{{{wildcard}}}" in declared["name"]]
        for values in product(*({**DRAWN_FOR, **only}[wildcard] for wildcard in wildcards)):
            chosen = dict(zip(wildcards, values))
            labels = {label: value.format(**chosen) for label, value in declared["labels"].items()}
            found.append({**declared, "name": declared["name"].format(**chosen), "labels": labels})
    return found


def described_figures(wildcards):
    """The figures as declared, each with the rule that draws it."""
    shown, makers = drawn(), {}
    for one in shown:
        if one["caption"] not in makers:  # the same rule draws all that share one
            path = f"{config['results']}/figures/{one['name']}.png"
            makers[one["caption"]] = next(rule.name for rule in workflow.rules if rule.is_producer(path))
    return [{**figure, "rule": makers[figure["caption"]]} for figure in shown]


def described_rules(wildcards):
    """What the report says of the rules that run a script: what each reads and writes, and after which others."""
    # The rules of a question are in a file of its name
    others = UNANSWERABLE.keys() - set(config["questions"])
    makers = [one for one in workflow.rules if one.script and Path(one.snakefile).stem not in others]
    described = []
    for maker in makers:
        read = [str(path) for path in maker.input if not callable(path) and not path.endswith(".py")]
        examples = {path.format_map(EXAMPLE) for path in read}
        written = [strip_wildcard_constraints(str(path)) for path in maker.output]
        described.append(
            {
                "name": maker.name,
                "message": (maker.message or "").replace("wildcards.", ""),
                "script": Path(maker.script).name,
                "reads": {"count": len(read), "first": read[:2]},
                "writes": {"count": len(written), "first": written[:2]},
                "after": [other.name for other in makers if any(map(other.is_producer, examples))],
            }
        )
    return described
