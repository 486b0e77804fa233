"""Folders of every kind: the study is made in them, or one sentence says what is wrong with them."""

import os
import shlex
import subprocess
import sys

import pytest
from amounts import times
from processes import Study, nothing_left
from watcher import read

from rotvar import results

FEW = ("tables",)
# As an ordinary user, whom permissions bind: root without the capability to pass over them
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
PREFIX = ORDINARY if os.geteuid() == 0 else ()


def refused(study: Study, said: str) -> None:
    """The study is refused in one sentence; nothing appears."""
    before = sorted(study.results.rglob("*")) if study.results.is_dir() else None
    assert study.run(*PREFIX) != 0
    (sentence,) = set(study.errors())
    assert said in sentence
    assert "Traceback" not in study.log
    assert before == (sorted(study.results.rglob("*")) if study.results.is_dir() else None)


def test_spaces_quotes_letters_of_all_kinds_and_a_link_that_leads_back(tmp_path):
    study = Study(tmp_path / "a 'b' \"c\" é ñ 猫 $x;&", results="d 'e' \"f\" ü 犬 $(touch g) *?", targets=FEW)
    study.results.mkdir()
    (study.results / "again").symlink_to(study.results)
    with nothing_left(study):
        assert study.run() == 0, study.log
    found = {file.name for file in study.results.rglob("*") if file.is_file()}
    assert {"accuracy.csv", "layers.tex", "weights.safetensors", "variance.parquet", "digits.safetensors"} <= found
    assert not list(tmp_path.rglob("g"))
    assert len(results.read(study.results / "accuracy")) == 5 * 10  # angles, classes: every file once


DAMAGED = ["weights.safetensors", *times(short=(), long=("variance.parquet", "digits.safetensors"))]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DAMAGED)
def test_the_sentence_has_the_command_that_makes_a_damaged_file_again(name, tmp_path):
    """As a shell reads it, for a path with spaces and quotes."""
    study = Study(tmp_path / "rotvar", results="my 'results'", targets=FEW)
    assert study.run() == 0, study.log
    (file,) = study.results.rglob(name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    for dependent in [*study.results.glob("tables/*.csv"), *study.results.glob("accuracy/**/*.parquet")]:
        dependent.unlink()
    assert study.run() != 0
    sentence = next(line for line in study.errors() if name in line)
    command = sentence.split("`")[1]
    assert command.startswith("snakemake --cores 1 --force ")
    again = shlex.split(f"{sys.executable} -m {command} --configfile study.yaml")
    run = subprocess.run(again, cwd=study.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    read(file)
    assert study.run() == 0, study.log


def test_a_folder_that_is_a_loop(tmp_path):
    study = Study(tmp_path / "rotvar", targets=FEW)
    study.results.symlink_to(study.results)
    refused(study, "results is 'results', where files cannot be (Too many levels of symbolic links")


def test_a_folder_that_is_a_file(tmp_path):
    study = Study(tmp_path / "rotvar", targets=FEW)
    study.results.write_text("mine")
    refused(study, f"results is 'results', but {study.results} is a file: name a folder of its own")
    assert study.results.read_text() == "mine"


def test_a_folder_without_permission(tmp_path):
    study = Study(tmp_path / "rotvar", targets=FEW)
    study.results.mkdir(mode=0o555)
    refused(study, "results/.lock cannot be written (Permission denied): name another folder as `results`")


def test_a_folder_in_it_without_permission(tmp_path):
    """What is made stays; the next job says in one sentence what it cannot write."""
    study = Study(tmp_path / "rotvar", targets=("results/data/digits.safetensors",))
    assert study.run() == 0, study.log
    study.targets = ["train"]
    folder = study.results / "models" / study.network
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    before = (study.results / "data" / "digits.safetensors").read_bytes()
    assert study.run(*PREFIX) != 0
    if folder.exists():  # else Snakemake has removed it, as it does with empty ones
        folder.chmod(0o755)
    (sentence,) = study.errors()
    assert "cannot be written (Permission denied): name another folder as `results`" in sentence
    assert str(folder.relative_to(study.folder)) in sentence
    assert (study.results / "data" / "digits.safetensors").read_bytes() == before
    assert study.run() == 0, study.log
