# The study, from data to networks, measurements, figures, tables and a report.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/shown.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"


# What else the study may ask: a target of the question's name, in a file of that name. Of a question that this study
# cannot answer, the target says why.
for question, reasons in UNANSWERABLE.items():
    if not reasons:

        include: f"workflow/rules/{question}.smk"

    else:

        rule:
            name:
                question
            input:
                refusal(question),
            localrule: True


include: "workflow/rules/report.smk"
include: "workflow/rules/run.smk"


# A name that the configuration does not have has no rule. (After the rules, because the wildcards that path variables
# stand for, those of <network>, are unknown until then.)
wildcard_constraints:
    dataset="|".join(config["datasets"]),
    model="|".join(config["models"]),
    training="|".join(config["trainings"]),
    seed="|".join(map(str, config["seeds"])),
    aggregation="|".join(config["figures"]["aggregations"]),
    image="|".join(map(str, config["figures"]["feature_maps"]["images"])) or "(?!)",
    shard="|".join(map(str, range(1, SHARDS + 1))),
    transformation="|".join(config["transformations"]) or "(?!)",
    epoch="|".join(map(str, config["emergence"]["epochs"])),
    measured_on="|".join(config["datasets"]),


# The whole study.
rule all:
    default_target: True
    input:
        rules.train.input,
        rules.measure.input,
        rules.figures.input,
        rules.tables.input,
        rules.write_report.output,
    localrule: True


onstart:
    pass_on_debug(workflow)
    begin_alone(workflow)
    announce(workflow)


onerror:
    blame_memory()
