"""Speed of a training step of `rotvar.training.trainer`, as JSON and Markdown tables. See benchmarks/README.md."""

import argparse
import copy
import itertools
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

import common
from common import alternate, architecture_of, in_fresh_process, measure_part, pictures, ratio, seconds, table
from rotvar import devices
from rotvar.catalogue import DATASETS
from rotvar.data import packed
from rotvar.rotation import present
from rotvar.training.trainer import Trainer, memory_format
from rotvar.transformations import Transformation

PARTS = ("speed", "precisions", "rotation", "loop", "compile")
# Rotation's share of a step: at most; how many times as fast as the plain loop: at least
GOALS = {"cpu": {"rotation": 0.03, "loop": 1.5}, "cuda": {"rotation": 0.05, "loop": 10}}
MODES = {"cpu": ["default"], "cuda": ["default", "reduce-overhead"]}
LIMIT = 180  # degrees: of the random rotations
WARM_UP = 3  # steps
BATCHES = 20  # prepared in a row


@dataclass(frozen=True)
class Subject:
    """A network to train, what it is trained on, and how."""

    model: nn.Module  # on its device
    train: packed.Dataset
    recipe: dict[str, Any]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def trainer(self) -> Trainer:
        """A training of a copy of the network, rotated."""
        return Trainer(copy.deepcopy(self.model), self.train, augmentation={"rotation": LIMIT}, **self.recipe)


def advance(trainer: Trainer, count: int) -> None:
    """Take steps as a training takes them, epoch after epoch."""
    with devices.reproducible(trainer.device, deterministic=False), devices.float32():
        for _ in range(count):
            if trainer.step == trainer.steps:
                trainer.begin_epoch()
            trainer.train_batch()


# --- The plain loop ---------------------------------------------------------------------------------------------------


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets give them: each made a PIL image, then transformed."""

    def __init__(self, data: packed.Dataset, transform: Callable[[Image.Image], Tensor]) -> None:
        images = data.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.images = images[..., 0] if images.shape[-1] == 1 else images
        self.labels = data.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def plain_loop(subject: Subject, workers: int, *, as_ours: bool) -> Iterator[None]:
    """A training loop as a user of PyTorch and torchvision writes it; each `next` is a step.

    as_ours: in our precision and memory format; otherwise float32 and what PyTorch does by default.
    """
    mean, std = packed.normalization(subject.train.images)
    transform = transforms.Compose(
        [
            transforms.RandomRotation(LIMIT, transforms.InterpolationMode.BILINEAR),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    loader = DataLoader(
        Pictures(subject.train, transform),
        subject.recipe["batch_size"],
        shuffle=True,
        num_workers=workers,
        pin_memory=subject.device.type == "cuda",
        persistent_workers=workers > 0,
    )
    device, recipe = subject.device, subject.recipe
    model = copy.deepcopy(subject.model).train()
    layout = memory_format(model, device) if as_ours else torch.contiguous_format
    model.to(memory_format=layout)  # type: ignore[call-overload]
    autocast = devices.autocast(device, recipe["precision"]) if as_ours else nullcontext()
    optimizer = torch.optim.AdamW(model.parameters(), recipe["learning_rate"], weight_decay=recipe["weight_decay"])
    while True:
        for images, labels in loader:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            with autocast:
                output = model(images.contiguous(memory_format=layout))
            loss = nn.functional.nll_loss(output.float(), labels)  # the networks end with a log-softmax
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


def take(loop: Iterator[None], count: int) -> None:
    for _ in itertools.islice(loop, count):
        pass


# --- Timing -----------------------------------------------------------------------------------------------------------


def steps_of_a_turn(step: Callable[[int], None], device: torch.device, options: argparse.Namespace) -> int:
    """How many steps last `--seconds`; warms up."""
    step(1)
    taken = seconds(partial(step, 1), device)
    if taken < options.seconds:
        step(WARM_UP)
        taken = seconds(partial(step, 1), device)
    return max(1, min(round(options.seconds / taken), options.steps))


def in_turns(sides: dict[str, Callable[[], float]], count: int, options: argparse.Namespace) -> dict[str, Any]:
    """The sides in turns of `count` steps; five turns of each at most where a step lasts about as long as one."""
    repeats = min(options.repeats, 5) if count == 1 else options.repeats
    found = alternate(sides, repeats)
    per_step = {name: median / count for name, median in found["median_seconds"].items()}
    return {"steps_of_a_turn": count, **found, "seconds_of_a_step": per_step}


# --- The parts --------------------------------------------------------------------------------------------------------


def speed(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """Images per second of a training that rotates."""
    trainer = subject.trainer()
    step = partial(advance, trainer)
    count = steps_of_a_turn(step, subject.device, options)
    found = in_turns({"rotated": lambda: seconds(partial(step, count), subject.device, alone=True)}, count, options)
    images_of_a_step = len(subject.train) / trainer.steps
    return found | {"images_per_second": images_of_a_step / found["seconds_of_a_step"]["rotated"]}


def precisions(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """A step in float32 against one in bfloat16, of which `precision: auto` should choose the faster."""
    recipes = {name: subject.recipe | {"precision": name} for name in ("float32", "bfloat16")}
    steps = {name: partial(advance, replace(subject, recipe=recipe).trainer()) for name, recipe in recipes.items()}
    count = min(steps_of_a_turn(step, subject.device, options) for step in steps.values())
    sides: dict[str, Callable[[], float]] = {
        name: partial(seconds, partial(step, count), subject.device, alone=True) for name, step in steps.items()
    }
    found = in_turns(sides, count, options)
    return found | {"ratio": ratio(found, "float32", "bfloat16")}


def rotation(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """What rotation takes of a step, in two ways: `share`, the median over the rounds of the difference between two
    turns next to each other; and `share_alone`, from the preparation of a batch (`rotation.present`) outside of
    training. The first has in it what rotation does to the caches, the second hardly any noise."""
    trainer = subject.trainer()
    step = partial(advance, trainer)
    count = steps_of_a_turn(step, subject.device, options)

    def turn(limit: float) -> float:
        trainer.augmentation = Transformation({"rotation": limit})
        return seconds(partial(step, count), subject.device, alone=True)

    found = in_turns({"rotated": partial(turn, LIMIT), "unrotated": partial(turn, 0)}, count, options)
    pairs = zip(found["seconds"]["rotated"], found["seconds"]["unrotated"], strict=True)
    shares = [(with_rotation - without) / with_rotation for with_rotation, without in pairs]
    images = trainer.images[: len(trainer.order) // trainer.steps]
    degrees = Transformation({"rotation": LIMIT}).draw(len(images), trainer.generator).flatten()

    def batches(angles: Tensor | None) -> float:
        prepare = partial(present, images, angles, trainer.mean, trainer.std)
        return seconds(lambda: [prepare() for _ in range(BATCHES)], subject.device, alone=True) / BATCHES

    alone = alternate({"rotated": partial(batches, degrees), "unrotated": partial(batches, None)}, options.repeats)
    of_a_batch = alone["median_seconds"]["rotated"] - alone["median_seconds"]["unrotated"]
    return found | {
        "share": statistics.median(shares),
        "by_round": shares,
        "seconds_of_a_batch_alone": alone["median_seconds"],
        "share_alone": of_a_batch / found["seconds_of_a_step"]["rotated"],
    }


def loop(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """Our step against that of a plain loop, which gets the number of workers that it is fastest with."""
    device = subject.device
    step = partial(advance, subject.trainer())
    count = steps_of_a_turn(step, device, options)
    tried: dict[str, dict[int, float]] = {}
    sides: dict[str, Callable[[], float]] = {"ours": lambda: seconds(partial(step, count), device)}
    for name, as_ours in (("plain", False), ("plain_as_ours", True)):
        tried[name] = {}
        for workers in options.workers:
            candidate = plain_loop(subject, workers, as_ours=as_ours)
            take(candidate, WARM_UP)
            tried[name][workers] = min(plain_turn(candidate, workers, count, device) for _ in range(2)) / count
            candidate.close()  # type: ignore[attr-defined]
        best = min(tried[name], key=tried[name].__getitem__)
        chosen = plain_loop(subject, best, as_ours=as_ours)
        take(chosen, WARM_UP)
        sides[name] = partial(plain_turn, chosen, best, count, device)
    found = in_turns(sides, count, options)
    return found | {
        "seconds_of_a_step_by_workers": tried,
        "ratios": {name: ratio(found, name, "ours") for name in tried},
    }


def plain_turn(loop: Iterator[None], workers: int, count: int, device: torch.device) -> float:
    """Seconds of a turn of the plain loop, after it has used up, untimed, what its workers prepared between turns."""
    take(loop, 2 * workers)
    return seconds(partial(take, loop, count), device)


def compilation(options: argparse.Namespace, dataset: str, name: str) -> dict[str, Any]:
    """Whether it pays to compile the network for its training, each mode in a fresh process with nothing compiled."""
    found = {}
    for mode in options.compile_modes:
        with tempfile.TemporaryDirectory() as empty:
            caches = dict.fromkeys(("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"), empty)
            found[mode] = in_fresh_process(compiled, options, dataset, name, mode, environment=caches)
    return found


def compiled(options: argparse.Namespace, dataset: str, name: str, mode: str) -> dict[str, Any]:
    """A compiled training step against an eager one; compiling counts for both sizes that the batches have."""
    subject = prepare(dataset, name, options)
    device = subject.device
    eager, fast = subject.trainer(), subject.trainer()
    fast.model = torch.compile(fast.model, mode=mode, dynamic=False)  # type: ignore[assignment]
    count = steps_of_a_turn(partial(advance, eager), device, options)

    def compile_all() -> None:
        advance(fast, 1)
        fast.step = fast.steps - 1  # the last batch of an epoch may be smaller by an image
        advance(fast, 1)

    try:
        first = seconds(compile_all, device)
    except RuntimeError as error:  # no C++ compiler, for one
        return {"refused": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    advance(fast, WARM_UP)
    sides = {
        "eager": lambda: seconds(partial(advance, eager, count), device),
        "compiled": lambda: seconds(partial(advance, fast, count), device),
    }
    found = in_turns(sides, count, options)
    per_step = found["seconds_of_a_step"]
    gain = per_step["eager"] - per_step["compiled"]
    extra = first - 2 * per_step["compiled"]
    steps = eager.steps * eager.epochs
    return found | {
        "compile_seconds": extra,
        "break_even_steps": extra / gain if gain > 0 else None,
        "steps_of_the_training": steps,
        "training_seconds_extrapolated": {
            "eager": steps * per_step["eager"],
            "compiled": extra + steps * per_step["compiled"],
        },
        "ratio": ratio(found, "eager", "compiled"),
    }


def study(networks: dict[str, Any]) -> dict[str, Any]:
    """How long the training steps of each training of config.yaml take at the measured speed; nothing else of them."""
    config = common.configuration()
    trainings = {}
    for network, found in networks.items():
        if "speed" in found:
            images = found["recipe"]["epochs"] * DATASETS[network.split("/")[0]].train
            trainings[network] = images / found["speed"]["images_per_second"]
    names = {f"{dataset}/{name}" for dataset in config["datasets"] for name in config["models"]}
    of_study = [trainings[network] for network in names & trainings.keys()]
    times = len(config["trainings"]) * len(config["seeds"])
    return {"each_training": trainings, "trainings_of_a_network": times, "of_the_study": times * sum(of_study)}


# --- Networks and images ----------------------------------------------------------------------------------------------


def prepare(dataset: str, name: str, options: argparse.Namespace) -> Subject:
    """A network of config.yaml with random weights, and its training set, real with --data and else random."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    train = pictures(dataset, "train", options.images, options.data)
    model = common.build(dataset, name, **architecture_of(dataset, name)).to(options.device)
    return Subject(model, train, recipe_of(dataset, name))


def recipe_of(dataset: str, name: str) -> dict[str, Any]:
    """How config.yaml trains a network, the most specific entry last."""
    training = common.configuration()["training"]
    recipe: dict[str, Any] = {}
    for key in ("default", dataset, name, f"{dataset}/{name}"):
        recipe |= training.get(key, {})
    del recipe["deterministic"]  # a setting around the training, not of its steps
    return recipe


# --- The program ------------------------------------------------------------------------------------------------------


def markdown(record: dict[str, Any]) -> str:
    """The results as Markdown tables."""
    goals = record["goals"]
    blocks = [common.heading(record)]
    extrapolated = record["seconds_per_study_extrapolated"]
    speeds, in_both, shares, loops, compilations = [], [], [], [], []
    for network, found in record["networks"].items():
        blocks += [f"{network}, {part}: {why}" for part, why in found.get("refused", {}).items()]
        if each := found.get("speed"):
            minutes = extrapolated["each_training"][network] / 60
            speeds.append([network, found["precision"], round(each["images_per_second"]), minutes])
        if each := found.get("precisions"):
            step = {name: taken * 1000 for name, taken in each["seconds_of_a_step"].items()}
            in_both.append([network, *step.values(), each["ratio"]["ratio"], found["precision"]])
        if each := found.get("rotation"):
            step = each["seconds_of_a_step"]["rotated"] * 1000
            quartiles = statistics.quantiles(each["by_round"], n=4) if len(each["by_round"]) > 1 else [math.nan] * 3
            spread = f"{100 * quartiles[0]:.1f} to {100 * quartiles[2]:.1f} %"
            batch = {name: taken * 1000 for name, taken in each["seconds_of_a_batch_alone"].items()}
            alone = f"{100 * each['share_alone']:.1f} %"
            shares.append([network, step, f"{100 * each['share']:.1f} %", spread, *batch.values(), alone])
        if each := found.get("loop"):
            workers = [min(tried, key=tried.__getitem__) for tried in each["seconds_of_a_step_by_workers"].values()]
            step = {name: taken * 1000 for name, taken in each["seconds_of_a_step"].items()}
            ratios = [of["ratio"] for of in each["ratios"].values()]
            loops.append([network, *step.values(), ", ".join(map(str, workers)), *ratios])
        for mode, each in found.get("compile", {}).items():
            if "refused" in each:
                blocks.append(f"{network}, compile, {mode}: {each['refused']}")
                continue
            step = {name: taken * 1000 for name, taken in each["seconds_of_a_step"].items()}
            even = "never" if each["break_even_steps"] is None else round(each["break_even_steps"])
            whole = each["training_seconds_extrapolated"]
            saved = f"{100 * (1 - whole['compiled'] / whole['eager']):.0f} %"
            steps = each["steps_of_the_training"]
            compilations.append([network, mode, each["compile_seconds"], *step.values(), even, steps, saved])
    if speeds:
        blocks.append(table(speeds, ["network", "precision", "images/s", "minutes of a training, extrapolated"]))
        hours = extrapolated["of_the_study"] / 3600
        blocks.append(f"All trainings of these that config.yaml asks for, one by one, extrapolated: {hours:.1f} hours.")
    if in_both:
        columns = ["network", "float32 step, ms", "bfloat16 step, ms", "float32 / bfloat16", "auto"]
        blocks.append(table(in_both, columns))
    if shares:
        goal = f"rotation's share (goal ≤ {100 * goals['rotation']:g} %)"
        columns = ["network", "step, ms", goal, "its quartiles", "a batch alone, ms", "not rotated, ms", "share alone"]
        blocks.append(table(shares, columns))
    if loops:
        columns = ["network", "our step, ms", "plain, ms", "plain as ours, ms", "workers", "plain / ours"]
        columns[-1] += f" (goal ≥ {goals['loop']:g})"
        blocks.append(table(loops, [*columns, "plain as ours / ours"]))
    if compilations:
        columns = ["network", "mode", "compiling, s", "eager step, ms", "compiled step, ms", "even after steps"]
        blocks.append(table(compilations, [*columns, "steps of a training", "saved of a training"]))
    return "\n\n".join(blocks)


def parser() -> argparse.ArgumentParser:
    p = common.parser(__doc__, PARTS, tuple(GOALS))

    def add(name: str, meaning: str, default: Any = None, **how: Any) -> None:
        p.add_argument(f"--{name}", help=meaning, default=default, **how)

    workers = sorted({0, *(2**k for k in range(10) if 2**k < common.cores()), common.cores()})
    add("images", "of the training set; None: all", type=int)
    add("seconds", "of a turn", 1.0, type=float)
    add("steps", "of a turn, at most", 200, type=int)
    add("repeats", "turns of each side; the median counts", 9, type=int)
    add("workers", "of the plain loop, to try", workers, type=int, nargs="+")
    add("loop-models", "of --models, those to compare with the plain loop", ["simple_conv"], nargs="+")
    few = ["simple_conv", "all_convolutional"]
    add("compile-models", "of --models, those to compile", few, nargs="+")
    add("compile-modes", f"of torch.compile; None: {MODES}", nargs="+")
    return p


def main() -> None:
    options = parser().parse_args()
    if common.tables_asked_for(options, markdown):
        return
    options.compile_modes = options.compile_modes or MODES[options.device]
    torch.set_num_threads(options.threads)
    record = common.surroundings(options, GOALS[options.device])
    done = partial(measure_part, record, options)
    for dataset in options.datasets:
        for name in options.models:
            print(f"{dataset}/{name}", file=sys.stderr, flush=True)
            subject = prepare(dataset, name, options)
            autocast = devices.autocast(subject.device, subject.recipe["precision"])
            found: dict[str, Any] = {
                "architecture": architecture_of(dataset, name),
                "recipe": subject.recipe,
                "precision": "bfloat16" if autocast._enabled else "float32",
            }
            record["networks"][f"{dataset}/{name}"] = found
            done(found, "speed", partial(speed, subject, options))
            record["seconds_per_study_extrapolated"] = study(record["networks"])
            done(found, "precisions", partial(precisions, subject, options))
            done(found, "rotation", partial(rotation, subject, options))
            if name in options.loop_models:
                done(found, "loop", partial(loop, subject, options))
            if name in options.compile_models:
                done(found, "compile", partial(compilation, options, dataset, name))
    common.write(record, options)
    print(markdown(record))


if __name__ == "__main__":
    common.start(main)
