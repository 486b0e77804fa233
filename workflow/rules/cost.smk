# What jobs take: images that go through a network, operations, minutes and memory.
from rotvar.study import demands

# The rule whose jobs put images through networks to measure their variance
MEASURING = "measure_variance" if SHARDS == 1 else "measure_shard"


def train_images(wildcards):
    return config["data"]["train_images"] or DATASETS[wildcards.dataset].train


def combinations(wildcards):
    """How often a measurement sees each image."""
    return demands.combinations(**TRANSFORMATIONS.get(wildcards.get("transformation"), ROTATION))


def in_measurement(wildcards):
    """Classes are about equal, and so are shards."""
    return combinations(wildcards) * TEST_IMAGES[wildcards.dataset] / (SHARDS if wildcards.get("shard") else 1)


def in_training(wildcards, epochs):
    """A backward pass costs two forward passes; after each epoch comes a test."""
    return epochs * (3 * train_images(wildcards) + TEST_IMAGES[wildcards.dataset]) + 1


def in_retraining(wildcards):
    """Each layer is retrained, both kinds and all; with the network as it is, all see two test sets."""
    layers = demands.layers(wildcards.model, **ARCHITECTURES[wildcards.dataset][wildcards.model])
    tests = 2 * TEST_IMAGES[wildcards.dataset]
    return (layers + 3) * (in_training(wildcards, config["retraining"]["epochs"]) + tests) + tests


ANGLES, CONVERGENCE_IMAGES = config["measurement"]["angles"], config["figures"]["convergence"]["images"]

# How many images a job of each rule puts through its network, in forward passes
IMAGES_SEEN = {
    "train_model": lambda w: in_training(w, recipe(w)["epochs"]),
    "train_with_snapshots": lambda w: in_training(w, max(config["emergence"]["epochs"])),  # it ends with the last
    "retrain_model": in_retraining,
    "measure_accuracy": lambda w: (ANGLES + 1) * TEST_IMAGES[w.dataset],
    "measure_transformation": in_measurement,
    "measure_emergence": in_measurement,
    "measure_transfer": lambda w: ANGLES * TEST_IMAGES[w.measured_on],
    "measure_stability": lambda w: ANGLES * TEST_IMAGES[w.dataset],
    "measure_convergence": lambda w: 2 * ANGLES * min(CONVERGENCE_IMAGES, TEST_IMAGES[w.dataset]),
    MEASURING: in_measurement,
}


def operations(job):
    """The floating-point operations of a job that puts images through its network."""
    from rotvar.study import estimate

    dataset, model = job.wildcards.dataset, job.wildcards.model
    info = DATASETS[dataset]
    per_image = estimate.flops(model, info.channels, info.image_size, CLASSES, **ARCHITECTURES[dataset][model])
    return IMAGES_SEEN[job.rule.name](job.wildcards) * per_image


# What jobs ask of a cluster: a resource is a function, which Snakemake calls with the number of the attempt. A job that
# failed may have run out of memory or time, so each attempt asks for more.


def growing(amount):
    """So much, and as much more at each attempt."""
    return lambda wildcards, attempt: attempt * amount


def network_size(wildcards):
    if wildcards.model in config["own_models"]:
        return demands.unknown(DATASETS[wildcards.dataset].image_size)
    architecture = ARCHITECTURES[wildcards.dataset][wildcards.model]
    return demands.size(wildcards.model, DATASETS[wildcards.dataset].image_size, **architecture)


def minutes_of(rule):
    """The time of a job of `rule`, by the images that go through its network."""
    return lambda wildcards, attempt: attempt * demands.minutes(IMAGES_SEEN[rule](wildcards), network_size(wildcards))


def bootstrap_minutes(wildcards, attempt):
    """The time of a bootstrap: the sums of a hundred replicates, in double precision, take a GPU that is slow at it
    about as long as the network itself."""
    images = IMAGES_SEEN["measure_stability"](wildcards) * (1 + config["stability"]["replicates"] / 100)
    return attempt * demands.minutes(images, network_size(wildcards))


def training_mb(wildcards, attempt):
    batch_size = RECIPES[wildcards.dataset][wildcards.model]["batch_size"]
    return attempt * demands.training_mb(batch_size, network_size(wildcards))


def sweep_mb(wildcards, attempt):
    seen = combinations(wildcards)
    images = TEST_IMAGES[wildcards.get("measured_on", wildcards.dataset)]
    firing = (config["measurement"]["firing_rate"] or 0) * seen * images
    return attempt * demands.sweep_mb(seen, network_size(wildcards), TURNED_BACK, firing)
