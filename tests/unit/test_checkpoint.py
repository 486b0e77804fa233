"""A checkpoint is found by what defines the training, is whole or not there, and goes when it is not needed."""

import errno
import hashlib
import io
import logging
from pathlib import Path

import pytest
import torch

from rotvar.errors import InputError
from rotvar.training.checkpoint import Checkpoint

STATE = {"weights": torch.arange(1000.0), "step": 3, "history": [(1, "train", 0.5)], "none": None}


def place(folder, files=(), **definition) -> Checkpoint:
    return Checkpoint(folder, {"seed": 0, "recipe": {"epochs": 2, "batch_size": 8}} | definition, files)


def test_a_state_comes_back_as_it_was(tmp_path):
    place(tmp_path / "new").save(STATE)
    state = place(tmp_path / "new").load()
    assert torch.equal(state.pop("weights"), STATE["weights"])
    assert state == {name: value for name, value in STATE.items() if name != "weights"}


def test_where_nothing_was_saved_there_is_none(tmp_path):
    assert place(tmp_path).load() is None


def test_another_definition_has_another_checkpoint(tmp_path):
    place(tmp_path).save(STATE)
    assert place(tmp_path, recipe={"batch_size": 8, "epochs": 2}).load() is not None  # the order of keys is no matter
    assert place(tmp_path, recipe={"epochs": 3, "batch_size": 8}).load() is None
    assert place(tmp_path, seed=1).load() is None


def test_other_contents_of_a_file_have_another_checkpoint(tmp_path):
    data, same, other = (tmp_path / name for name in ("data", "same", "other"))
    for file, text in ((data, "a"), (same, "a"), (other, "b")):
        file.write_text(text)
    place(tmp_path, [data]).save(STATE)
    assert place(tmp_path, [same]).load() is not None
    assert place(tmp_path, [other]).load() is None


def test_readers_of_folders_do_not_see_it(tmp_path):
    assert place(tmp_path).path.name.startswith(".")
    assert place(tmp_path).path.parent == tmp_path


@pytest.mark.parametrize("fault", ["flipped", "cut", "empty", "other"])
def test_a_damaged_one_is_said_and_not_gone_on_from(fault, tmp_path, caplog):
    checkpoint = place(tmp_path)
    checkpoint.save(STATE)
    whole = checkpoint.path.read_bytes()
    middle = whole.index(STATE["weights"].numpy().tobytes()) + 1500
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    checkpoint.path.write_bytes({"flipped": flipped, "cut": whole[:-100], "empty": b"", "other": b"text"}[fault])
    with caplog.at_level(logging.WARNING, logger="rotvar"):
        assert checkpoint.load() is None
    assert f"{checkpoint.path} is damaged" in caplog.text


def test_what_it_replaces_stays_until_it_is_whole(tmp_path, monkeypatch):
    checkpoint = place(tmp_path)
    checkpoint.save(STATE)

    def full_disk(path, content):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(InputError, match="No space left on device: 4 bytes of the file were written, [0-9,]+ are free"):
        checkpoint.save(STATE | {"step": 4})
    monkeypatch.undo()
    assert checkpoint.load()["step"] == 3
    assert list(tmp_path.iterdir()) == [checkpoint.path]


def test_removing_it_takes_those_of_former_recipes_along(tmp_path):
    (tmp_path / "weights.safetensors").write_text("")
    place(tmp_path, seed=1).save(STATE)
    (tmp_path / ".checkpoint-0123.89ab.pt").write_text("what a killed process left of one")
    checkpoint = place(tmp_path)
    checkpoint.save(STATE)
    checkpoint.remove()
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_part_has_a_place_of_its_own_which_goes_with_the_whole(tmp_path):
    whole = place(tmp_path)
    whole.part(3).save(STATE | {"step": 7})
    assert whole.load() is None
    assert whole.part(2).load() is None
    assert place(tmp_path).part(3).load()["step"] == 7
    assert place(tmp_path, seed=1).part(3).load() is None
    whole.remove()
    assert list(tmp_path.iterdir()) == []


def test_nothing_in_it_is_executed(tmp_path, caplog):
    """A checkpoint that somebody else put there is read as data alone."""
    ran = tmp_path / "ran"

    class Malicious:
        def __reduce__(self):
            return ran.touch, ()

    checkpoint = place(tmp_path)
    torch.save({"weights": Malicious()}, saved := io.BytesIO())
    checkpoint.path.write_bytes(hashlib.sha256(saved.getvalue()).digest() + saved.getvalue())
    with caplog.at_level(logging.WARNING, logger="rotvar"):
        assert checkpoint.load() is None
    assert "Weights only load failed" in caplog.text
    assert not ran.exists()
