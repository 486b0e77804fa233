"""Draw the figures of docs/measure.md from the two SimpleConvs of a finished study on MNIST.

snakemake --cores 4 --config 'datasets=[mnist]' 'models=[simple_conv]'
PYTHONPATH=workflow/scripts python docs/measure_figures.py results docs/measure
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from rotvar import models, rotation
from rotvar.activations import Recorder
from rotvar.data import packed
from rotvar.figures import theme

TRAININGS = ("unrotated", "rotated")
ANGLES = rotation.angles(16)
DIGITS = [3, 0, 1, 2, 4, 7, 8, 9]  # an image of each is shown
COUNTED = 500  # images that the standard deviations are taken over
UNIT = 3  # the score of digit 3


def activations(network: nn.Module, images: Tensor, normalization: list[Tensor], layer: str) -> np.ndarray:
    """What a layer makes of raw images (uint8, N x 1 x H x W) at every angle: N x angles x the layer's shape."""
    recorded: list[Tensor] = []
    recorder = Recorder(network, [layer])
    with torch.no_grad():
        for angle in ANGLES:
            batch = rotation.present(images, angle.expand(len(images)), *normalization)
            recorder.run(batch, lambda _, output: recorded.append(output))
    return torch.stack(recorded, dim=1).double().numpy()


@theme.themed
def recorded(image: Tensor, values: np.ndarray) -> Figure:
    """An image at all angles, above the activations of one unit for several images, their stds at the sides.

    `values`: images x angles, of which the first are shown.
    """
    across_angles, across_images = values.std(1, ddof=1), values.std(0, ddof=1)
    shown = len(DIGITS)
    figure = Figure(figsize=(8.2, 4.7))
    strip = figure.add_axes((0.15, 0.86, 0.66, 0.09))
    strip.imshow(torch.cat([rotation.present(image, angle.view(1))[0, 0] for angle in ANGLES], dim=1), cmap="gray")
    strip.set(xticks=[], yticks=[])
    table = figure.add_axes((0.15, 0.27, 0.66, 0.55))
    drawn = table.imshow(values[:shown], cmap="cividis", aspect="auto")
    table.set_yticks(range(shown), [f"a {digit}" for digit in DIGITS])
    table.set_xticks(range(len(ANGLES)), [f"{angle:g}°" for angle in ANGLES], rotation=90)
    table.tick_params(axis="x", pad=17, length=0)
    table.set_xlabel("angle of the rotation")
    bold = {"fontsize": 8, "fontweight": "bold"}
    table.text(15.7, -0.6, "std over\nangles", va="bottom", **bold)
    table.text(-0.7, shown - 0.3, "std over images", ha="right", va="top", **bold)
    for row, std in enumerate(across_angles[:shown]):
        table.text(15.7, row, f"{std:.1f}", va="center", fontsize=8)
    for column, std in enumerate(across_images):
        table.text(column, shown - 0.3, f"{std:.1f}", ha="center", va="top", fontsize=8)
    figure.colorbar(drawn, cax=figure.add_axes((0.9, 0.27, 0.015, 0.55)), label="activation")
    up, down = across_angles.mean(), across_images.mean()
    sentence = (
        f"transformation std {up:.2f} (mean of the right side)  /  sample std {down:.2f} (mean of the lower side)"
    )
    figure.text(0.5, 0.03, f"{sentence}  =  normalized variance {up / down:.2f}", ha="center", fontsize=8.5)
    return figure


@theme.themed
def units(by_training: dict[str, np.ndarray]) -> Figure:
    """The same unit of each network: its activation (images x angles) against the angle, a line an image."""
    figure = Figure(figsize=(7.6, 3.0), layout="constrained")
    for axes, (training, values) in zip(figure.subplots(1, 2, sharey=True), by_training.items(), strict=True):
        axes.plot(ANGLES, values[: len(DIGITS)].T, color=theme.TRAININGS[training], linewidth=1, alpha=0.8)
        ratio = values.std(1, ddof=1).mean() / values.std(0, ddof=1).mean()
        theme.name_training(axes, training, theme.TRAININGS[training])
        axes.text(0.5, 0.02, f"normalized variance {ratio:.2f}", ha="center", transform=axes.transAxes)
        axes.set(xlabel="angle of the rotation (degrees)", xticks=range(-180, 181, 90))
        axes.grid(axis="y")
    figure.axes[0].set_ylabel("activation of the unit")
    return figure


@theme.themed
def positions(maps: np.ndarray) -> Figure:
    """A channel's map of one image at every other angle (angles x H x W): it turns, its mean stays."""
    figure = Figure(figsize=(7.6, 1.5), layout="constrained")
    limit = np.abs(maps).max()
    for axes, angle, one in zip(figure.subplots(1, len(maps)), ANGLES[::2], maps, strict=True):
        axes.imshow(one, cmap="PuOr", vmin=-limit, vmax=limit)
        axes.set(xticks=[], yticks=[], title=f"{angle:g}°", xlabel=f"mean {one.mean():.3f}")
        axes.spines[:].set_visible(False)
    return figure


def main(results: Path, folder: Path) -> None:
    """Read the data and the networks, and draw."""
    test = packed.first(packed.read(results / "data/mnist.safetensors", "test"), COUNTED)
    first = [int(torch.nonzero(test.labels == digit)[0]) for digit in DIGITS]
    images = test.images[[*first, *sorted(set(range(len(test))) - set(first))]]
    scores, maps = {}, np.empty(0)
    for training in TRAININGS:
        path = results / f"models/dataset=mnist/model=simple_conv/training={training}/seed=0/weights.safetensors"
        network, facts = models.load(path)
        normalization = [torch.tensor(facts["mean"]), torch.tensor(facts["std"])]
        scores[training] = activations(network, images, normalization, "fc2")[:, :, UNIT]
        if training == "unrotated":
            maps = activations(network, images[:1], normalization, "conv1")[0, ::2]
    theme.save(recorded(images[:1], scores["unrotated"]), folder / "recorded.png")
    theme.save(units(scores), folder / "units.png")
    theme.save(positions(maps[:, maps.std((0, 2, 3)).argmax()]), folder / "positions.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
