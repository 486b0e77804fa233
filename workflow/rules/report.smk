# One page of HTML with all figures and tables. What it shows is declared beside the rules that make it.
PAGE = Path(os.path.relpath(workflow.basedir)) / "workflow" / "report"

# The figures of the landing page: the answer in one picture, then by depth, then unit by unit.
FIRST = [
    "global_variance",
    f"depth_{config['figures']['aggregations'][0]}",
    f"{config['datasets'][0]}/{config['models'][0]}/heatmap_{config['figures']['aggregations'][0]}_all",
]


rule write_report:
    input:
        figures=[f"<figures>/{figure['name']}.png" for figure in drawn()],
        tables=[f"<tables>/{name}.csv" for name in TABLES],
        sums=[f"<tables>/{name}.sha256" for name in TABLES],
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
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        figures=described_figures,
        first=FIRST,
        aggregations=lookup(within=config, dpath="figures/aggregations"),
        rules=described_rules,
        classes={dataset: DATASETS[dataset].classes for dataset in config["datasets"]},
        benchmarks=f"{config['results']}/benchmarks",
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"
