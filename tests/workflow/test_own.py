"""The study of docs/own.md: torchvision's ResNet-18 on a folder of images, from the page's own text."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from copies import ROOT, copy_workflow, edit, run_snakemake
from PIL import Image
from safetensors.torch import load_file, save_file

from rotvar import results

PAGE = (ROOT / "docs" / "own.md").read_text()
FEW = {
    "seeds": [0],
    "measurement": {"angles": 2, "aggregations": ["mean"]},
    "figures": {"aggregations": ["mean"], "feature_maps": {"images": []}, "convergence": {"images": 20}},
}


def block(language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the workflow with what the page describes: photographs of noise, and weights that nobody trained."""
    folder = copy_workflow(tmp_path_factory.mktemp("own") / "rotvar")
    noise = np.random.default_rng(0)
    for number, name in enumerate(("daisy", "rose", "tulip")):
        (folder / "flowers" / name).mkdir(parents=True)
        for image in range(36):
            pixels = noise.integers(0, 86, size=(24, 32, 3)) + 85 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "flowers" / name / f"{image}.jpg")
    study = yaml.safe_load(block("yaml").replace("image_size: 64", "image_size: 32"))
    (folder / "flowers.yaml").write_text(yaml.safe_dump(study | FEW))
    edit(folder / "config.yaml", "  unrotated: {}\n", "")  # two trainings are enough
    (folder / "weights.py").write_text(block("python").replace('weights="DEFAULT"', "weights=None"))
    subprocess.run([sys.executable, "weights.py"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    run = run_snakemake(folder, "--cores", "2", "--configfile", "flowers.yaml")
    assert run.returncode == 0, run.stderr
    return folder / "results" / "flowers"


def planned(folder, *arguments):
    """The rules that would run."""
    run = run_snakemake(folder, "--configfile", "flowers.yaml", "--dry-run", "--quiet", "rules", *arguments)
    assert run.returncode == 0, run.stderr
    return {line.split()[0] for line in run.stdout.splitlines() if re.fullmatch(r"\w+ +\d+", line)}


def test_everything_is_made(finished):
    report = (finished / "report.html").read_text()
    assert "flowers" in report
    assert "pretrained: the weights of resnet18.safetensors" in report
    accuracy = results.read(finished / "accuracy")
    assert set(accuracy["class"]) == {"daisy", "rose", "tulip"}
    assert set(accuracy["training"]) == {"rotated", "pretrained"}
    assert (accuracy[accuracy["angle"] == "0"].groupby("training")["n"].sum() == 21).all()
    heatmaps = sorted(file.name for file in (finished / "figures" / "flowers" / "resnet18").glob("heatmap_*.png"))
    strata = ("all", "class_0", "class_1", "class_2", "stratified")
    assert heatmaps == [f"heatmap_mean_{stratum}.png" for stratum in strata]


def test_layers_are_those_of_the_network(finished):
    layers = results.read(finished / "variance", training=["pretrained"])["layer"].unique().tolist()
    assert layers[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert layers[-1] == "fc"


def test_without_an_epoch_the_weights_are_those_of_the_file(finished, folder):
    network = "models/dataset=flowers/model=resnet18/training=pretrained/seed=0/weights.safetensors"
    given, kept = load_file(folder / "resnet18.safetensors"), load_file(finished / network)
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_what_changes_is_made_again(finished, folder):
    assert planned(folder) == set()
    image = folder / "flowers" / "rose" / "0.jpg"
    image.rename(image.with_name("first.jpg"))
    assert "download_dataset" in planned(folder)
    image.with_name("first.jpg").rename(image)
    weights = folder / "resnet18.safetensors"
    kept = weights.read_bytes()
    save_file({name: tensor + 1 for name, tensor in load_file(weights).items()}, weights)
    os.utime(weights, (0, 0))  # as old as mv and cp -p leave a file
    assert {"train_model", "measure_variance"} <= planned(folder) and "download_dataset" not in planned(folder)
    weights.write_bytes(kept)
    assert planned(folder) == set()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("folder: flowers", "folder: roses", "own_data.flowers.folder: roses is not a folder"),
        ("folder: flowers", "folder: flowers/rose", "own_data.flowers.folder: flowers/rose has 0 folder(s) of images"),
        ("datasets: [flowers]", "datasets: [flower]", "datasets[0] is 'flower' (did you mean 'flowers'?)"),
        ("models: [resnet18]", "models: [resnet19]", "models[0] is 'resnet19' (did you mean 'resnet18'?)"),
        ("models:resnet18", "models:resnet19", "own_models.resnet18: torchvision.models:resnet19 cannot be imported"),
    ],
)
def test_what_cannot_be_is_a_sentence_before_any_job(folder, old, new, sentence):
    (folder / "wrong.yaml").write_text(yaml.safe_dump(yaml.safe_load(block("yaml").replace(old, new))))
    run = run_snakemake(folder, "--configfile", "wrong.yaml", "--cores", "1")
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    assert sentence in run.stderr


def test_a_network_is_trained_again_when_a_module_that_it_imports_was_edited(folder):
    mine = folder / "mine"
    mine.mkdir()
    for name, text in {
        "net": "from mine import parts\nfrom .layers import flat as make\n",
        "parts": "",
        "layers": "from torch import nn\nfrom mine.sizes import BIAS\n\n\n"
        "def flat(channels, image_size, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, num_classes, BIAS))\n",
        "sizes": "BIAS = True\n",
        "other": "",
    }.items():
        (mine / f"{name}.py").write_text(text)
    network = {"own_models": {"flat": {"factory": "mine.net:make"}}, "models": ["flat"], "datasets": ["digits"]}
    (folder / "mine.yaml").write_text(yaml.safe_dump(FEW | network | {"trainings": {"rotated": {"epochs": 0}}}))
    asked = ("--configfile", "mine.yaml", "--quiet", "rules", "--", "train")
    run = run_snakemake(folder, "--cores", "2", *asked)
    assert run.returncode == 0, run.stderr
    for name, stale in {"other": False, "parts": True, "layers": True, "sizes": True}.items():
        file = mine / f"{name}.py"
        text = file.read_text()
        file.write_text(f"{text}# edited\n")
        assert ("train_model" in run_snakemake(folder, "--dry-run", *asked).stdout) == stale
        file.write_text(text)


def test_a_network_without_maps_is_planned_unless_maps_are_to_be_drawn(folder):
    (folder / "flat.py").write_text(
        "from torch import nn\n\n\n"
        "def flat(channels, image_size, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, classes))\n"
    )
    study = {"datasets": ["digits"], "models": ["flat"], "own_models": {"flat": {"factory": "flat:flat"}}}
    (folder / "flat.yaml").write_text(yaml.safe_dump(FEW | study))
    asked = ("--configfile", "flat.yaml", "--dry-run", "--quiet", "rules")
    run = run_snakemake(folder, *asked)
    assert run.returncode == 0, run.stderr
    edit(folder / "flat.yaml", "images: []", "images: [0]")
    run = run_snakemake(folder, *asked)
    assert run.returncode != 0 and "Traceback" not in run.stderr
    assert "the network has no layer with maps: set figures.feature_maps.images to []" in run.stderr
