"""Write the report: every figure and table of the study, what was run, and how."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from rotvar import tables
from rotvar.jobs import job
from rotvar.report import facts, graph, numbers, page
from rotvar.system.files import atomic

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        given, params, folder = snakemake.input, snakemake.params, Path(snakemake.output.report).parent
        figures = {
            declared["name"]: page.Figure(
                Path(path),
                link=Path(path).relative_to(folder).as_posix(),
                category=declared["category"],
                caption=declared["caption"],
                labels=declared["labels"],
                rule=declared["rule"],
                classes=params.classes.get(declared["labels"].get("dataset"), ()),
            )
            for path, declared in zip(given.figures, params.figures, strict=True)
        }
        frames = {Path(path).stem: tables.read(path) for path in given.tables}
        downloads = [
            page.Download(f"{Path(path).stem}_table", numbers.table(frames[Path(path).stem]), Path(path), folder)
            for path in given.tables
        ]
        networks = facts.networks(given.history, given.variance)
        jobs = facts.jobs(params.benchmarks, [rule["name"] for rule in params.rules])
        computing = f"{numbers.duration(jobs['seconds'].sum())}, all jobs together, each as it ran last"
        html = page.render(
            given.template,
            [*figures.values()],
            [figures[name] for name in params.first],
            downloads,
            {Path(path).stem: Path(path).read_text(encoding="utf-8") for path in given.texts},
            title="Where does invariance to rotation live?",
            subtitle=f"{len(networks)} networks, written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            study=[*facts.study(given.history, given.variance), ("Computing time", [computing])],
            networks=numbers.table(networks),
            numbers=numbers.table(numbers.summary(frames["accuracy"], frames["global_variance"], params.aggregations)),
            jobs=numbers.table(jobs),
            graph=Markup(graph.svg({rule["name"]: rule["after"] for rule in params.rules})),
            rules=params.rules,
        )
        with atomic(snakemake.output.report) as temporary:
            temporary.write_text(html, encoding="utf-8")
