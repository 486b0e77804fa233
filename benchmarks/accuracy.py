"""The accuracies of a study, each beside the published one, as JSON and a Markdown table. See benchmarks/README.md."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import pandas as pd  # noqa: E402

from rotvar import results, summary, tables  # noqa: E402
from rotvar.errors import InputError  # noqa: E402

KEYS = ["dataset", "model", "training", "seed"]
TESTS = ("unrotated", "rotated")


def networks(folder: Path) -> list[dict[str, Any]]:
    """A record of each network under `folder` (the `results` of a study) that was trained and tested.

    hardware, epochs, seconds (of all epochs with their tests), accuracy and published (by test set; None where nothing
    was published), what the recipe was, when it was resumed, and the commit.
    """
    published = tables.published()["accuracy"].set_index(["dataset", "model", "training", "test"])["accuracy"]
    records = []
    for file in sorted(folder.glob("accuracy/**/accuracy.parquet")):
        history = folder / "models" / file.relative_to(folder / "accuracy").with_name("history.parquet")
        if not history.exists():
            continue
        accuracy = summary.accuracy_by_test(results.read(file))
        key = accuracy.iloc[0][KEYS].to_dict() | {"seed": int(accuracy.iloc[0]["seed"])}
        ours = dict(zip(accuracy["test"], accuracy["accuracy"].round(4), strict=True))
        facts = results.metadata(history)
        epochs = results.read(history)
        records.append(
            key
            | {
                "hardware": facts["device"],
                "epochs": int(epochs["epoch"].max()),
                "seconds": round(float(epochs[epochs["split"] == "train"]["seconds"].sum()), 1),
                "accuracy": {test: ours[test] for test in TESTS},
                "published": {
                    test: published.get((key["dataset"], key["model"], key["training"], test)) for test in TESTS
                },
                "training_images": facts["train_images"],
                "test_images": facts["test_images"],
                **facts["configuration"],
                "resumed": facts.get("resumed", []),
                "packages": facts["packages"],
                "commit": facts["commit"],
            }
        )
    return records


def table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a network: accuracies of ours, with the difference to the published value in brackets."""
    rows = []
    for record in records:
        row = {name: record[name] for name in KEYS} | {
            "epochs": record["epochs"],
            "minutes": round(record["seconds"] / 60),
        }
        for test in TESTS:
            ours, theirs = record["accuracy"][test], record["published"][test]
            row[f"on {test} images"] = f"{ours:.3f}" + ("" if theirs is None else f" ({ours - theirs:+.3f})")
        rows.append(row | {"hardware": record["hardware"]})
    return pd.DataFrame(rows).rename(columns={"dataset": "data set"})


def main() -> None:
    """Take in the networks of a study and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="the results of a study whose networks are taken in")
    parser.add_argument("--hardware", help="what computed them, where the files say less")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "accuracy.json")
    arguments = parser.parse_args()
    try:
        records = json.loads(arguments.out.read_text())["networks"] if arguments.out.exists() else []
        if arguments.results:
            new = networks(arguments.results)
            if not new:
                sys.exit(f"Error: no network in {arguments.results} is trained and tested: run the workflow first.")
            if arguments.hardware:
                new = [record | {"hardware": f"{arguments.hardware}: {record['hardware']}"} for record in new]
            taken = {tuple(record[name] for name in KEYS): record for record in [*records, *new]}
            records = [taken[key] for key in sorted(taken, key=_order)]
            arguments.out.write_text(json.dumps({"networks": records}, indent=1) + "\n")
    except InputError as error:
        sys.exit(f"Error: {error}")
    if records:
        print(table(records).to_markdown(index=False, disable_numparse=True))


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*key[:2], key[2] != "unrotated", *key[2:])


if __name__ == "__main__":
    main()
