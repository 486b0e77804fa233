# The study, from data to networks, measurements, figures, tables and a report.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    train,
    measure,
    figures,
    tables,


# The whole study.
rule all:
    default_target: True
    input:
        rules.train.input,
        rules.measure.input,
        rules.figures.input,
        rules.tables.input,
        rules.write_report.output,


onstart:
    announce(workflow)
