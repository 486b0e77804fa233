# What the rules share: the checked configuration, names, paths, and what a script depends on.
import os
import sys
from functools import cache
from itertools import product
from pathlib import Path

import yaml
from snakemake.logging import logger
from snakemake.utils import validate

SCRIPTS = Path(os.path.relpath(workflow.basedir)) / "workflow" / "scripts"

# Rules and jobs use the library that stands beside the scripts, even where another copy of it is installed.
sys.path.insert(0, str(SCRIPTS.resolve()))
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [str(SCRIPTS.resolve()), os.environ.get("PYTHONPATH")])))

from rotvar.columns import POOLED, SUMMARY_STRATA, TURNED
from rotvar.data import image_folder
from rotvar.errors import InputError
from rotvar.study import configuration, folders, forwarding, runs, sentences
from rotvar.study.imports import module_files, with_imports
from rotvar.system import checksum

# Large tensors come and go with every batch: keep their memory instead of giving it back to the system and faulting it
# in again, which costs a fifth of the time on a CPU. The names are those of the GNU C library; others ignore them.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**32))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**34))

# In a job of a cluster, a training shall hear that the job is about to be ended.
if workflow.remote_exec:
    forwarding.forward_sigterm()

SCHEMA = Path(workflow.basedir) / "workflow" / "schemas" / "config.schema.yaml"


def stop_at(problems):
    """End with these sentences about the configuration, if there are any."""
    if problems:
        sys.exit("\n".join(f"Error in the configuration: {problem}" for problem in problems))


if workflow.is_main_process:
    # Snakemake reads it in the folder where it runs, and does without it if it has another file
    if not Path("config.yaml").is_file():
        stop_at([f"{Path.cwd()} has no config.yaml: run in the repository's folder, or name that with --directory."])
    for file in workflow.configfiles:
        stop_at([f"{file}: {problem}" for problem in sentences.of_text(Path(file).read_text(encoding="utf-8"))])
for entry in configuration.leave_out(config):
    if workflow.is_main_process:
        logger.info(f"{entry} is null in the configuration, and left out of the study.")
DESCRIBED = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
stop_at(configuration.problems(config, DESCRIBED))
validate(config, str(SCHEMA))  # sets the defaults
config.update(configuration.plain(config))
DATASETS = configuration.known(config)
if workflow.is_main_process:  # the folders of a compute node may be others
    stop_at(
        [*folders.problems(config["results"], config["data"]["mirror"], config["own_data"], Path(workflow.basedir))]
    )
    runs.forget_the_dead()


pathvars:
    results=config["results"],
    figures="<results>/figures",
    tables="<results>/tables",
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",
    network="dataset={dataset}/model={model}/training={training}/seed={seed}",


# Every network of the study, for collect().
NETWORKS = dict(
    dataset=config["datasets"],
    model=config["models"],
    training=list(config["trainings"]),
    seed=config["seeds"],
)
# The networks of one figure: of one data set and model.
TRAININGS = dict(training=NETWORKS["training"], seed=config["seeds"], allow_missing=True)
TRAININGS_OF_FIRST_SEED = TRAININGS | dict(seed=config["seeds"][:1])

# Every network under every transformation but rotation.
TRANSFORMED = NETWORKS | dict(transformation=list(config["transformations"]))

# The environment of jobs that compute with PyTorch
TORCH = f"../envs/torch-{config['conda']['torch']}.yaml"


def in_order(options):
    """A mapping by its sorted keys. Snakemake compares parameters by their text, in which the order counts."""
    return dict(sorted(options.items()))


# What a data set and a model come to in the configuration, the most specific entry last.
ARCHITECTURES = {
    dataset: {
        model: in_order(
            {"factory": config["own_models"][model]["factory"], **config["own_models"][model]["options"]}
            if model in config["own_models"]
            else config["architectures"][model]["default"] | config["architectures"][model].get(dataset, {})
        )
        for model in config["models"]
    }
    for dataset in config["datasets"]
}
RECIPES = {
    dataset: {
        model: in_order(
            config["training"]["default"]
            | config["training"].get(dataset, {})
            | config["training"].get(model, {})
            | config["training"].get(f"{dataset}/{model}", {})
        )
        for model in config["models"]
    }
    for dataset in config["datasets"]
}

# How training images are changed, and what networks are measured under besides rotation: the limits that are not 0.
AUGMENTATIONS, TRANSFORMATIONS = (
    {
        name: in_order({key: value for key, value in one.items() if value and key != "epochs"})
        for name, one in config[section].items()
    }
    for section in ("trainings", "transformations")
)

# What makes one measurement differ from another: what images are put through, and what is computed of it. How it is cut
# into jobs does not.
MEASUREMENT = {key: config["measurement"][key] for key in ("aggregations", "firing_rate", "precision")}
ROTATION = dict(rotation=180, samples=config["measurement"]["angles"])
SHARDS = config["measurement"]["shards"]
TURNED_BACK = TURNED in config["measurement"]["aggregations"]  # maps, whose interpolation has a floor

# N, the number of test images of each data set.
TEST_IMAGES = {dataset: configuration.test_images(config, DATASETS[dataset]) for dataset in config["datasets"]}

# Class names may contain any character: files and labels number the classes.
(CLASSES,) = {len(DATASETS[dataset].classes) for dataset in config["datasets"]}
STRATA = [*SUMMARY_STRATA, *(f"class_{number}" for number in range(CLASSES))]

# Why questions cannot be answered by this study; not whether they are asked
UNANSWERABLE = {
    question: configuration.unanswerable(question, config)
    for question in DESCRIBED["properties"]["questions"]["items"]["enum"]
}

# The published numbers, drawn and listed beside ours.
PUBLISHED = str(SCRIPTS / "rotvar" / "published.json")


def expected_network(wildcards):
    """What the description of a network must say, so that no other is measured in its place."""
    options = ARCHITECTURES[wildcards.dataset][wildcards.model]
    return dict(name=wildcards.model, options=options, seed=int(wildcards.seed))


def code(script):
    """A script and the library modules that it imports, directly or not: what a rule depends on besides data.

    Snakemake compares input files by content, so that a rule runs again when one of them was edited and not when a
    fresh clone gave it a new date.
    """
    return with_imports([SCRIPTS / f"{script}.py"], SCRIPTS)


def stop_at_wrong_networks():
    """End with a sentence where a network of one's own cannot be made, and where a pattern of layers to draw fits none
    of a network, if PyTorch is here to say so."""
    shown = config["figures"]["feature_maps"]
    for dataset, model in product(config["datasets"], config["models"]):
        if model not in shown["layers"] and model not in config["own_models"]:
            continue
        try:
            from rotvar import models
            from rotvar.questions import feature_maps
        except ModuleNotFoundError:  # under --use-conda it need not be: the jobs that need them say so
            return
        info = DATASETS[dataset]
        network = (model, info.channels, info.image_size, CLASSES)
        try:
            sketch = models.sketch(*network, **ARCHITECTURES[dataset][model])
        except InputError as error:
            stop_at([f"own_models.{model}: {error}."])
        if shown["images"] or model in shown["layers"]:
            found = feature_maps.unknown_layers(*sketch, shown["layers"].get(model, []))
            stop_at([f"figures.feature_maps.layers.{model}: {problem}." for problem in found])


if workflow.is_main_process:
    stop_at_wrong_networks()


def fingerprint(wildcards):
    """What changes with the files of a data set of one's own."""
    own = config["own_data"].get(wildcards.dataset)
    return own and image_folder.fingerprint(own["folder"])


def own_weights(wildcards):
    """The file of weights that a training begins with, where it is not random ones."""
    own = config["own_models"].get(wildcards.model, {})
    return [own["weights"]] if own.get("weights") else []


def own_weights_digest(wildcards):
    """What changes with that file. Of an input, Snakemake sees only what is newer than the results."""
    return [digest(path) for path in own_weights(wildcards)]


digest = cache(checksum.of)  # once for all networks that begin with a file


def own_code(wildcards):
    """The module that makes a network of one's own and those that it imports, as far as they lie in the folder that
    Snakemake runs in."""
    if wildcards.model not in config["own_models"]:
        return []
    name = config["own_models"][wildcards.model]["factory"].partition(":")[0]
    return with_imports(module_files(name, Path()), Path())


def on_others(measured, **only):
    """The file `measured` of all networks, or of `only` some, on the data sets of the study that are not their own."""
    networks = NETWORKS | only
    found = []
    for dataset in networks["dataset"]:
        others = [other for other in config["datasets"] if other != dataset]
        found += collect(measured, **networks | dict(dataset=[dataset], measured_on=others))
    return found


def recipe(wildcards):
    """How a network is trained: the recipe of its data set and model, but for what its training says itself."""
    own = config["trainings"][wildcards.training]
    return RECIPES[wildcards.dataset][wildcards.model] | ({} if own["epochs"] is None else {"epochs": own["epochs"]})


def retraining_recipe(wildcards):
    """How a network is retrained: as others are trained, but for so many epochs."""
    return RECIPES[wildcards.dataset][wildcards.model] | {"epochs": config["retraining"]["epochs"]}


def refusal(question):
    """An input of the target that is named after a question that this study cannot answer: it ends with the sentence."""

    def refuse(wildcards):
        stop_at(UNANSWERABLE[question])

    return refuse
