# One page of HTML with all figures and tables. What it shows is declared beside the rules that make it.
from snakemake.io import strip_wildcard_constraints

PAGE = Path(os.path.relpath(workflow.basedir)) / "workflow" / "report"

# The figures of the landing page: the answer in one picture, then by depth, then unit by unit.
FIRST = [
    "global_variance",
    f"depth_{config['figures']['aggregations'][0]}",
    f"{config['datasets'][0]}/{config['models'][0]}/heatmap_{config['figures']['aggregations'][0]}_all",
]


def described_figures(wildcards):
    """The figures as declared, each with the rule that draws it."""
    makers = {}
    for declared in FIGURES:
        example = f"{config['results']}/figures/{declared['name'].format(**EXAMPLE)}.png"
        makers[declared["caption"]] = next(rule.name for rule in workflow.rules if rule.is_producer(example))
    return [{**declared, "rule": makers[declared["caption"]]} for declared in drawn()]


def described_rules(wildcards):
    """What the report says of the rules that run a script: what each reads and writes, and after which others."""
    makers = [rule for rule in workflow.rules if rule.script]
    described = []
    for rule in makers:
        read = [str(path) for path in rule.input if Path(path).suffix != ".py"]
        examples = {path.format(**EXAMPLE) for path in read}
        written = [strip_wildcard_constraints(str(path)) for path in rule.output]
        described.append(
            {
                "name": rule.name,
                "message": rule.message.replace("wildcards.", ""),
                "script": Path(rule.script).name,
                "reads": {"count": len(read), "first": read[:2]},
                "writes": {"count": len(written), "first": written[:2]},
                "after": [other.name for other in makers if any(map(other.is_producer, examples))],
            }
        )
    return described


rule write_report:
    input:
        figures=[f"<figures>/{figure['name']}.png" for figure in drawn()],
        tables=[f"<tables>/{name}.csv" for name in TABLES],
        history=collect(rules.train_model.output.history, **NETWORKS),
        variance=collect(rules.measure_variance.output.variance, **NETWORKS),
        template=str(PAGE / "report.html.j2"),
        page=[str(PAGE / "report.css"), str(PAGE / "report.js")],
        texts=sorted(map(str, PAGE.rglob("*.md"))),
        code=code("write_report"),
    output:
        report="<results>/report.html",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        figures=described_figures,
        first=FIRST,
        aggregations=lookup(within=config, dpath="figures/aggregations"),
        rules=described_rules,
        benchmarks=f"{config['results']}/benchmarks",
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"
