"""A training is told from others by all that defines it."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_training import bright_and_dark

from rotvar.data.packed import pack
from rotvar.jobs.assignment import Assignment


def test_what_it_makes_says_which_file_of_weights_it_began_with(tmp_path: Path) -> None:
    pack("noise", {"train": bright_and_dark(), "test": bright_and_dark()}, tmp_path / "data")
    for files, said in (([], {}), ([tmp_path / "mine.safetensors"], {"begin_with": "mine.safetensors"})):
        options, recipe = {"width": 2}, {"epochs": 0}
        network = Assignment(tmp_path / "data", "simple_conv", options, recipe, {}, 0, files, [], torch.device("cpu"))
        expected = {"architecture": options, "recipe": recipe, "augmentation": {}} | said
        assert network.facts()["configuration"] == expected


def test_a_training_does_not_go_on_from_the_state_of_another(tmp_path: Path) -> None:
    """Another recipe, seed, data set, program or module of an own network."""
    files = [tmp_path / name for name in ("data", "trainer.py", "layers.py", "weights")]
    pack("noise", {"train": bright_and_dark(), "test": bright_and_dark()}, files[0])
    for file in files[1:]:
        file.touch()

    def checkpoint(seed: int = 0, epochs: int = 1) -> str:
        given = SimpleNamespace(dataset=files[0], code=[files[1]], own_code=[files[2]], begin_with=[files[3]])
        params = SimpleNamespace(architecture={"width": 2}, recipe={"epochs": epochs}, augmentation={})
        wildcards = SimpleNamespace(model="simple_conv", seed=str(seed))
        job = SimpleNamespace(input=given, params=params, wildcards=wildcards)
        return Assignment.of(job, torch.device("cpu")).checkpoint(tmp_path).path.name

    names = [checkpoint(), checkpoint(seed=1), checkpoint(epochs=2)]
    for file in files[1:]:
        file.write_text("changed")
        names.append(checkpoint())
    pack("noise", {"train": bright_and_dark(34), "test": bright_and_dark()}, files[0])
    names.append(checkpoint())
    assert names[0].startswith(".checkpoint-") and len(set(names)) == 7


def test_nor_from_that_of_a_network_whose_factory_was_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is installed; what is made says which it was."""
    module = tmp_path / "rose_networks.py"
    module.write_text("def make(): pass")
    monkeypatch.syspath_prepend(tmp_path)
    pack("noise", {"train": bright_and_dark(), "test": bright_and_dark()}, tmp_path / "data")
    options = {"factory": "rose_networks:make"}
    network = Assignment(tmp_path / "data", "rose", options, {"epochs": 1}, {}, 0, [], [], torch.device("cpu"))
    before = network.checkpoint(tmp_path).path
    module.write_text("def make(): return 1")
    assert network.checkpoint(tmp_path).path != before
    assert network.facts()["factory_sha256"] == hashlib.sha256(module.read_bytes()).hexdigest()
