"""Speed, precision and memory of `rotvar.variance.measure`, as JSON and Markdown tables. See benchmarks/README.md."""

import argparse
import math
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

import common
from common import (
    alternate,
    architecture_of,
    in_fresh_process,
    installed,
    measure_part,
    pictures,
    ratio,
    seconds,
    surroundings,
    table,
)
from rotvar import devices, models, rotation, variance
from rotvar.activations import Layer, Recorder
from rotvar.catalogue import DATASETS
from rotvar.data import packed
from rotvar.errors import InputError
from rotvar.transformations import ROTATION

PARTS = ("ratios", "compiled", "first", "tmeasures", "precision", "memory")
POOLED = ("mean", "max", "sum")
EVERYTHING = (*POOLED, "spatial")
# What a ratio should be: at most for the first two, at least for tmeasures
GOALS = {
    "cpu": {"mean_max_sum": 1.10, "everything": 1.35, "tmeasures": 6},
    "cuda": {"mean_max_sum": 1.25, "everything": 1.60, "tmeasures": 50},
}
BATCH_SIZES = {"cpu": [64, 128, 256, 512, 1024], "cuda": [1024, 2048, 4096, 8192, 16384]}
TMEASURES_BATCH_SIZES = {"cpu": [16, 64, 256], "cuda": [64, 256, 1024, 4096]}


@dataclass(frozen=True)
class Subject:
    """A network and the images it is measured on."""

    model: nn.Module
    images: Tensor  # uint8, N x C x H x W
    labels: Tensor
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    angles: Tensor
    device: torch.device

    def first(self, count: int) -> "Subject":
        """The same network on fewer images, the classes in equal parts."""
        chosen = packed.first(packed.Dataset(self.images, self.labels, self.classes), count)
        return replace(self, images=chosen.images, labels=chosen.labels)

    @property
    def passes(self) -> int:
        """How many rotated images go through the network."""
        return len(self.images) * len(self.angles)

    @property
    def passes_of_a_class(self) -> int:
        """The same for the largest class: a sweep goes class by class."""
        return int(torch.bincount(self.labels).max()) * len(self.angles)


# --- The sides --------------------------------------------------------------------------------------------------------


def sweep(subject: Subject, aggregations: Sequence[str], batch_size: int | None, precision: str) -> pd.DataFrame:
    """Our side: every layer, all strata, one pass."""
    return variance.measure(
        subject.model,
        subject.images,
        subject.labels,
        subject.classes,
        subject.angles,
        mean=subject.mean,
        std=subject.std,
        aggregations=aggregations,
        batch_size=batch_size,
        precision=precision,
    )


@torch.inference_mode()
def bare(subject: Subject, batch_size: int, precision: str) -> None:
    """The other side: the same images, rotated in the same way, through the same network; nothing is recorded."""
    with devices.computing(subject.device, precision):
        for batch in presented(subject, batch_size):
            subject.model(batch)


def presented(subject: Subject, batch_size: int) -> Iterator[Tensor]:
    """The rotated images, image after image, all rotations of an image together."""
    rotations = len(subject.angles)
    mean, std = subject.mean.to(subject.device), subject.std.to(subject.device)
    for images in subject.images.split(max(1, batch_size // rotations)):
        yield rotation.present_at_all(images.to(subject.device), subject.angles, mean, std)


def with_tmeasures(subject: Subject, batch_size: int, rotated: Tensor) -> Any:
    """The result of tmeasures for N x R x C x H x W rotated images: N samples, and R transformations that only choose.

    It averages both standard deviations over the positions and then divides: our `spatial`.
    """
    import tmeasures as tm  # type: ignore[import-not-found,import-untyped,unused-ignore]

    recorder = Recorder(subject.model)
    names: list[str] = []

    class Activations(tm.pytorch.ActivationsModule):  # type: ignore[misc,name-defined,unused-ignore]
        def activation_names(self) -> list[str]:
            return names

        def forward_activations(self, batch: Tensor) -> list[Tensor]:
            outputs: list[Tensor] = []  # kept as they are: no network of the study works in place
            recorder.run(batch, lambda layer, output: outputs.append(output))
            return outputs

    with torch.no_grad():
        recorder.run(rotated[0].to(subject.device), lambda layer, output: names.append(layer.name))
    turns = [partial(Tensor.select, dim=0, index=j) for j in range(len(subject.angles))]
    choices = tm.pytorch.PyTorchMeasureOptions(
        batch_size=batch_size,
        verbose=False,
        model_device=subject.device,
        measure_device=subject.device,
        data_device="cpu",  # its DataLoader pins memory, which fails for tensors that are on the GPU already
    )
    measure = tm.pytorch.NormalizedVarianceInvariance(tm.pytorch.AverageFeatureMaps())
    with warnings.catch_warnings(), devices.computing(subject.device, "float32"):
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        return measure.eval(rotated, turns, Activations(), choices)


# --- Timing -----------------------------------------------------------------------------------------------------------


def compare(
    sides: dict[str, Callable[[int], object]],
    batch_sizes: dict[str, list[int]],
    most: dict[str, int],
    subject: Subject,
    repeats: int,
) -> dict[str, Any]:
    """Run the sides alternately, each at the batch size at which it is fastest, which is found first.

    most: how much of each side can go at once; larger batch sizes are not tried.
    """
    tried = {
        name: {size: shortest(partial(run, size), subject.device) for size in up_to(most[name], batch_sizes[name])}
        for name, run in sides.items()
    }
    chosen = {name: min(each, key=lambda size, each=each: each[size]) for name, each in tried.items()}  # type: ignore[misc]
    turns = {
        name: partial(seconds, partial(run, chosen[name]), subject.device, alone=True) for name, run in sides.items()
    }
    found = alternate(turns, repeats)
    return {
        "images": len(subject.images),
        "batch_sizes": chosen,
        "seconds_by_batch_size": {
            name: {size: None if math.isinf(taken) else taken for size, taken in each.items()}
            for name, each in tried.items()
        },
        **found,
        "rotated_images_per_second": {
            name: subject.passes / median for name, median in found["median_seconds"].items()
        },
    }


def up_to(most: int, batch_sizes: Sequence[int]) -> list[int]:
    """The batch sizes; those above `most` become one, `most` itself, rounded up to a multiple of 16."""
    return sorted({min(size, math.ceil(most / 16) * 16) for size in batch_sizes})


def shortest(run: Callable[[], object], device: torch.device) -> float:
    """The shorter of two runs (the first warms up); infinite where the GPU's memory is too small."""
    try:
        return min(seconds(run, device, alone=True) for _ in range(2))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return math.inf


def affordable(subject: Subject, images: int, seconds_an_image: float, limit: float) -> Subject:
    """At most `images` images, fewer where one run of them would take longer than `limit` seconds."""
    classes = len(subject.classes)
    count = min(images, int(limit / seconds_an_image))
    return subject.first(max(2, count // classes) * classes)


# --- The parts --------------------------------------------------------------------------------------------------------


def ratios(whole: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """One sweep against the same forward passes with nothing recorded."""
    precision = options.precision
    few = whole.first(2 * len(whole.classes))
    once = shortest(lambda: bare(few, 256, precision), whole.device)
    subject = affordable(whole, options.images, once / len(few.images), options.seconds)
    sides: dict[str, Callable[[int], object]] = {
        "bare": lambda size: bare(subject, size, precision),
        "mean_max_sum": lambda size: sweep(subject, POOLED, size, precision),
        "everything": lambda size: sweep(subject, EVERYTHING, size, precision),
    }
    most = {name: subject.passes if name == "bare" else subject.passes_of_a_class for name in sides}
    found = compare(sides, dict.fromkeys(sides, options.batch_sizes), most, subject, options.repeats)
    return found | {"ratios": {name: ratio(found, name, "bare") for name in ("mean_max_sum", "everything")}}


def compiled(options: argparse.Namespace, dataset: str, name: str) -> dict[str, Any]:
    """A sweep with compiled statistics against one with PyTorch's operations, and what compiling takes: from how many
    activations on it pays. In a fresh process with no compiled code on disk."""
    with no_compiled_code() as caches:
        return in_fresh_process(compiled_or_not, options, dataset, name, environment=caches)


def compiled_or_not(options: argparse.Namespace, dataset: str, name: str) -> dict[str, Any]:
    whole = prepare(dataset, name, options)

    def run(subject: Subject, aggregations: Sequence[str], least: float) -> float:
        variance.WORTH_COMPILING[subject.device.type] = least
        return seconds(partial(sweep, subject, aggregations, None, options.precision), subject.device, alone=True)

    few = whole.first(2 * len(whole.classes))
    run(few, EVERYTHING, math.inf)  # warms up everything else
    compiling = run(few, EVERYTHING, 0) - run(few, EVERYTHING, 0)
    subject = affordable(whole, options.images, run(few, EVERYTHING, math.inf) / len(few.images), options.seconds)
    found: dict[str, Any] = {"images": len(subject.images), "compiling_seconds": compiling}
    for label, aggregations in (("mean_max_sum", POOLED), ("everything", EVERYTHING)):
        sides = {"operations": math.inf, "compiled": 0.0}
        turns = {side: partial(run, subject, aggregations, least) for side, least in sides.items()}
        taken = alternate(turns, options.repeats)
        activations = variance.activations_read(outputs_of_an_image(subject), aggregations, subject.passes)
        saved = (taken["median_seconds"]["operations"] - taken["median_seconds"]["compiled"]) / activations
        found[label] = taken | {
            "activations": activations,
            "nanoseconds_saved_an_activation": saved * 1e9,
            "worth_compiling": compiling / saved if saved > 0 else None,
        }
    return found


@contextmanager
def no_compiled_code() -> Iterator[dict[str, str]]:
    """The environment variables that let a process find no compiled code, and keep its own for the block."""
    with tempfile.TemporaryDirectory() as empty:
        yield dict.fromkeys(("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"), empty)


def first(options: argparse.Namespace, dataset: str, name: str) -> dict[str, Any]:
    """The very first sweep of a fresh process against the next ones: with no compiled code on disk, and with it."""
    with no_compiled_code() as caches:
        return {
            case: in_fresh_process(sweeps_in_a_row, options, dataset, name, environment=caches)
            for case in ("nothing_compiled", "compiled_before")
        }


def sweeps_in_a_row(options: argparse.Namespace, dataset: str, name: str) -> dict[str, Any]:
    subject = prepare(dataset, name, options).first(options.first_images)
    once = partial(sweep, subject, EVERYTHING, None, options.precision)
    taken = [seconds(once, subject.device, alone=True) for _ in range(3)]
    return {"images": len(subject.images), "first_seconds": taken[0], "later_seconds": taken[1:]}


def tmeasures(whole: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """tmeasures' NormalizedVarianceInvariance of the same activations, unstratified, against our sweep with everything.

    It gets the rotated images ready-made, so that its time has no rotation in it; ours has.
    """
    few = whole.first(2 * len(whole.classes))
    rotated = rotated_images(few)
    once = shortest(lambda: with_tmeasures(few, 16, rotated), whole.device)
    subject = affordable(whole, options.tmeasures_images, once / len(few.images), options.seconds)
    rotated = rotated_images(subject)
    sides: dict[str, Callable[[int], Any]] = {
        "tmeasures": lambda size: with_tmeasures(subject, size, rotated),
        "everything": lambda size: sweep(subject, EVERYTHING, size, "float32"),
    }
    sizes = {"tmeasures": options.tmeasures_batch_sizes, "everything": options.batch_sizes}
    most = {"tmeasures": max(len(subject.images), len(subject.angles)), "everything": subject.passes_of_a_class}
    found = compare(sides, sizes, most, subject, options.repeats)
    results = {name: run(found["batch_sizes"][name]) for name, run in sides.items()}
    return found | ratio(found, "tmeasures", "everything") | {"agreement": agreement(**results)}


def rotated_images(subject: Subject) -> Tensor:
    """N x R x C x H x W, on the CPU."""
    batches = [batch.cpu() for batch in presented(subject, 1024)]
    return torch.cat(batches).unflatten(0, (-1, len(subject.angles)))


def agreement(tmeasures: Any, everything: pd.DataFrame) -> dict[str, float]:
    """How far the layer means of our `spatial` are from those of tmeasures: the largest difference of all layers."""
    layers = zip(tmeasures.layer_names, tmeasures.layers, strict=True)
    theirs = pd.Series({name: values[torch.isfinite(values)].mean().item() for name, values in layers})
    difference = (layer_means(everything, "spatial") - theirs).abs()
    return {"largest_difference": difference.max(), "largest_relative_difference": (difference / theirs).max()}


def precision(whole: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """The error of each precision in the layer means of the normalized variance, against a float64 forward pass."""
    subject = whole.first(options.precision_images)
    reference = float64_layer_means(subject)
    found: dict[str, Any] = {"images": len(subject.images), "layers": len(reference["spatial"])}
    float32 = pd.Series(dtype=float)
    for name in devices.MEASURED_PRECISIONS:
        try:
            table = sweep(subject, EVERYTHING, None, name)
        except InputError as error:
            found[name] = str(error)
            continue
        values = table["normalized_variance"]
        if name == "float32":
            float32 = values
        elif values.equals(float32):  # the errors would be float32's under another name
            found[name] = "every value equals that of float32: this device or network computes nothing in it"
            continue
        found[name] = {}
        for aggregation, exact in reference.items():
            difference = (layer_means(table, aggregation) - exact).abs()
            relative = difference / exact
            found[name][aggregation] = {
                "largest_difference": difference.max(),
                "largest_relative_difference": relative.max(),
                "median_relative_difference": relative.median(),
                "layer_of_largest_relative_difference": relative.idxmax(),
            }
    return found


def layer_means(table: pd.DataFrame, aggregation: str) -> pd.Series:
    """The mean normalized variance of each layer's finite units, all images together."""
    rows = table[(table["stratum"] == "all") & (table["aggregation"] == aggregation)]
    rows = rows[rows["normalized_variance"] < math.inf]
    return rows.groupby("layer", sort=False, observed=True)["normalized_variance"].mean()


@torch.no_grad()
def float64_layer_means(subject: Subject) -> dict[str, pd.Series]:
    """For mean, max and spatial: the layer means of a float64 network on the same (float32) rotated images.

    Written apart from the library: everything in float64, one image at a time, sums of differences to the first image.
    """
    recorder = Recorder(subject.model.double())
    sums: dict[tuple[str, str], list[Tensor]] = {}  # the first image's values; sums of differences, squares and stds

    def record(layer: Layer, output: Tensor) -> None:
        maps = output.flatten(2) if output.dim() > 2 else output.unsqueeze(2)  # R x channels x positions
        for aggregation, a in (("mean", maps.mean(2, True)), ("max", maps.amax(2, True)), ("spatial", maps)):
            zeros = torch.zeros_like(a)
            key = aggregation, layer.name
            origin, total, squares, stds = sums.setdefault(key, [a.clone(), zeros, zeros.clone(), zeros[0].clone()])
            total += a - origin
            squares += (a - origin).square()
            stds += a.std(0)

    for batch in presented(subject, len(subject.angles)):
        recorder.run(batch.double(), record)
    subject.model.float()

    n = len(subject.images)
    means: dict[str, dict[str, float]] = {"mean": {}, "max": {}, "spatial": {}}
    for (aggregation, layer), (origin, total, squares, stds) in sums.items():
        m2 = (squares - total.square() / n).clamp(min=0)
        # A std within float32 rounding of the unit's own magnitude counts as 0, as in the measure's definition
        magnitude = ((origin + total / n).square() + m2 / n).mean(0).sqrt()
        rounding = torch.finfo(torch.float32).eps * magnitude
        both = stds / n, (m2 / (n - 1)).sqrt().mean(0)
        transformation_std, sample_std = (torch.where(std <= rounding, 0, std).mean(1) for std in both)
        normalized = transformation_std / sample_std
        normalized[(transformation_std == 0) & (sample_std == 0)] = 1
        means[aggregation][layer] = normalized[torch.isfinite(normalized)].mean().item()
    return {aggregation: pd.Series(each) for aggregation, each in means.items()}


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """The peak of one sweep with everything, each in a process of its own: against N, and against units.

    Against units one image goes through the network at a time, so that the batch hardly counts.
    """
    dataset, name = options.memory_network.split("/")
    few = min(options.memory_images)
    against_images = [in_fresh_process(peak, options, dataset, name, count) for count in options.memory_images]
    against_units = [
        in_fresh_process(peak, options, dataset, name, few, width, options.angles) for width in options.memory_widths
    ]
    least, greatest = against_units[0], against_units[-1]
    growth = (greatest["sweep_mib"] - least["sweep_mib"]) * 2**20
    more = (greatest["activations_of_an_image"] - least["activations_of_an_image"]) * options.angles
    return {
        "network": options.memory_network,
        "against_images": against_images,
        "against_units": against_units,
        "bytes_per_angle_and_activation": growth / more if more else None,
    }


def peak(
    options: argparse.Namespace,
    dataset: str,
    name: str,
    images: int,
    width: int | None = None,
    batch_size: int | None = None,
) -> dict[str, Any]:
    """The peak of a sweep: of the whole process, and what the sweep added to it (on a GPU: to what is allocated)."""
    options.images, options.data = images, None  # random images, so that there can be any number of them
    subject = prepare(dataset, name, options, width=width)
    on_gpu = subject.device.type == "cuda"
    before = torch.cuda.memory_allocated() if on_gpu else resident()
    sweep(subject, EVERYTHING, batch_size, options.precision)
    after = torch.cuda.max_memory_allocated() if on_gpu else resident("VmHWM")
    return {
        "images": images,
        "width": width,
        "batch_size": batch_size,
        "activations_of_an_image": activations_of_an_image(subject),
        "images_mib": subject.images.numel() / 2**20,
        "peak_mib": after / 2**20,
        "sweep_mib": (after - before) / 2**20,
    }


def activations_of_an_image(subject: Subject) -> int:
    """How many numbers all layers give for one image: the units of `spatial`, before they are averaged."""
    return sum(output[0].numel() for output in outputs_of_an_image(subject))


@torch.inference_mode()
def outputs_of_an_image(subject: Subject) -> list[Tensor]:
    """The output of every layer for the first image; empty tensors, of which the shape matters."""
    outputs: list[Tensor] = []
    batch = next(presented(subject.first(1), 1))
    Recorder(subject.model).run(batch, lambda layer, output: outputs.append(output.to("meta")))
    return outputs


def resident(key: str = "VmRSS") -> int:
    """Bytes of this process in memory now, or at its peak ("VmHWM").

    Read from /proc where it is: the peak that getrusage gives begins, on Linux, with that of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# --- Networks and images ----------------------------------------------------------------------------------------------


def prepare(dataset: str, name: str, options: argparse.Namespace, *, width: int | None = None) -> Subject:
    """A network of config.yaml and images of a data set: real ones where --weights and --data hold them.

    Otherwise: random smooth images, and random weights after some passes in training mode, which give the batch
    normalizations the statistics of these images.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    info = DATASETS[dataset]
    test = pictures(dataset, "test", options.images, options.data)
    path = next(iter(sorted(Path(options.weights).glob(weights_of(dataset, name)))), None) if options.weights else None
    if path is not None:
        model, description = models.load(path)
        mean, std = description["mean"], description["std"]
    else:
        mean, std = packed.normalization(test.images)
        architecture = architecture_of(dataset, name) | ({} if width is None else {"width": width})
        model = common.build(dataset, name, **architecture)
        calibrate(model, test.images, torch.tensor(mean), torch.tensor(std))
    model = model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    angles = rotation.angles(options.angles)
    return Subject(model, test.images, test.labels, info.classes, torch.tensor(mean), torch.tensor(std), angles, device)


def weights_of(dataset: str, name: str) -> str:
    return f"dataset={dataset}/model={name}/training=*/seed=*/weights.safetensors"


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor, mean: Tensor, std: Tensor) -> None:
    """Give the batch normalizations running statistics: the average over four batches of 32 images."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None  # a cumulative average
    model.train()
    for start in range(0, min(len(images), 128), 32):
        batch = images[start : start + 32]
        degrees = ROTATION.draw(len(batch), torch.Generator().manual_seed(start)).flatten()
        model(rotation.present(batch, degrees, mean, std))


# --- The program ------------------------------------------------------------------------------------------------------


def markdown(record: dict[str, Any]) -> str:
    """The results as Markdown tables."""
    blocks = [common.heading(record)]
    speeds, gains, firsts, errors = [], [], [], []
    for network, found in record["networks"].items():
        if "ratios" in found or "tmeasures" in found:
            speeds.append({"network": network, **speed(found)})
        blocks += [f"{network}, {part}: {why}" for part, why in found.get("refused", {}).items()]
        if gained := found.get("compiled"):
            for label in ("mean_max_sum", "everything"):
                saved, worth = (gained[label][key] for key in ("nanoseconds_saved_an_activation", "worth_compiling"))
                least = "never" if worth is None else f"{worth:.1e}"
                gains.append([network, label, gained["images"], saved, gained["compiling_seconds"], least])
        for case, taken in found.get("first", {}).items():
            later = min(taken["later_seconds"])
            firsts.append([network, case.replace("_", " "), taken["images"], taken["first_seconds"], later])
        for name in devices.MEASURED_PRECISIONS:
            error = found.get("precision", {}).get(name, {})
            if isinstance(error, str):
                blocks.append(f"{network}, {name}: {error}")
            elif error:
                largest = [f"{each['largest_relative_difference']:.1e}" for each in error.values()]
                errors.append([network, name, *largest])
    if speeds:
        goals = {key: f"goal {'≥' if key == 'tmeasures' else '≤'} {goal}" for key, goal in record["goals"].items()}
        blocks.append(table([{"network": "", **speed({}), **goals}, *speeds]))
    if gains:
        columns = ["network", "aggregations", "images", "saved an activation, ns", "compiling, s", "pays from"]
        blocks.append("Compiled statistics against PyTorch's operations; compiling pays from so many activations on:")
        blocks.append(table(gains, columns))
    if firsts:
        columns = ["network", "fresh process", "images", "first sweep, s", "later sweeps, s"]
        blocks.append(table(firsts, columns))
    if errors:
        blocks.append("Largest relative error of a layer mean:")
        blocks.append(table(errors, ["network", "precision", "mean", "max", "spatial"]))
    if "memory" in record:
        found = record["memory"]
        columns = ["images", "width", "batch_size", "activations_of_an_image", "images_mib", "sweep_mib", "peak_mib"]
        rows = [[one[column] for column in columns] for one in [*found["against_images"], *found["against_units"]]]
        blocks.append(f"Memory, {found['network']}:")
        blocks.append(table(rows, [column.replace("_", " ").replace("mib", "MiB") for column in columns]))
        if found["bytes_per_angle_and_activation"] is not None:
            blocks.append(f"{found['bytes_per_angle_and_activation']:.1f} bytes for each angle and activation.")
    return "\n\n".join(blocks)


def speed(found: dict[str, Any]) -> dict[str, Any]:
    """The row of a network in the table of speeds; empty where nothing was measured."""
    ours, theirs = found.get("ratios", {}), found.get("tmeasures", {})
    return {
        "images": ours.get("images"),
        "mean_max_sum": ours["ratios"]["mean_max_sum"]["ratio"] if ours else None,
        "everything": ours["ratios"]["everything"]["ratio"] if ours else None,
        "everything, rotated images/s": round(ours["rotated_images_per_second"]["everything"]) if ours else None,
        "images for tmeasures": theirs.get("images"),
        "tmeasures": theirs.get("ratio"),
    }


def parser() -> argparse.ArgumentParser:
    p = common.parser(__doc__, PARTS, tuple(GOALS))

    def add(name: str, meaning: str, default: Any = None, **how: Any) -> None:
        p.add_argument(f"--{name}", help=meaning, default=default, **how)

    add("weights", "folder of trained networks, as results/models; without it weights are random")
    add("images", "at most so many, before rotation", 500, type=int)
    add("seconds", "fewer images where one bare run, or one of tmeasures, takes longer", 10.0, type=float)
    add("angles", "rotations of each image", 16, type=int)
    add("repeats", "runs of each side; the median counts", 5, type=int)
    precisions = devices.MEASURED_PRECISIONS
    add("precision", "of both sides of `ratios`, of `first` and of `memory`", "float32", choices=precisions)
    add("batch-sizes", f"to try, in rotated images; None: {BATCH_SIZES}", type=int, nargs="+")
    add("tmeasures-batch-sizes", f"to try; None: {TMEASURES_BATCH_SIZES}", type=int, nargs="+")
    add("tmeasures-images", "at most so many images against tmeasures", 200, type=int)
    add("first-images", "images of the sweeps of `first`", 40, type=int)
    add("precision-images", "images of `precision`", 100, type=int)
    add("memory-network", "data set and model of `memory`", "mnist/simple_conv")
    add("memory-images", "numbers of images of `memory`", [500, 2000, 10000], type=int, nargs="+")
    add("memory-widths", "widths of `memory`, each with the fewest of these images", [32, 64, 96], type=int, nargs="+")
    return p


def main() -> None:
    options = parser().parse_args()
    if common.tables_asked_for(options, markdown):
        return
    if "tmeasures" in options.parts and not installed("tmeasures"):
        sys.exit("tmeasures is not installed here: see benchmarks/README.md, or name other --parts")
    options.batch_sizes = options.batch_sizes or BATCH_SIZES[options.device]
    options.tmeasures_batch_sizes = options.tmeasures_batch_sizes or TMEASURES_BATCH_SIZES[options.device]
    torch.set_num_threads(options.threads)
    record = surroundings(options, GOALS[options.device])
    done = partial(measure_part, record, options)
    for dataset in options.datasets if {*options.parts} != {"memory"} else []:
        for name in options.models:
            print(f"{dataset}/{name}", file=sys.stderr, flush=True)
            subject = prepare(dataset, name, options)
            found: dict[str, Any] = {
                "architecture": architecture_of(dataset, name),
                "activations_of_an_image": activations_of_an_image(subject),
            }
            record["networks"][f"{dataset}/{name}"] = found
            done(found, "ratios", partial(ratios, subject, options))
            done(found, "compiled", partial(compiled, options, dataset, name))
            done(found, "first", partial(first, options, dataset, name))
            done(found, "tmeasures", partial(tmeasures, subject, options))
            done(found, "precision", partial(precision, subject, options))
    done(record, "memory", partial(memory, options))
    print(markdown(record))


if __name__ == "__main__":
    common.start(main)
