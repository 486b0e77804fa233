"""Conda channels on disk, of what this environment holds: `python make_channel.py FOLDER`.

FOLDER/conda-forge gets a package for Python and one for each installed distribution, under the name that it has there,
with the dependencies that it declares; FOLDER/bioconda gets Snakemake. A package holds no file of its distribution but
a .pth file, which names a folder of links to them: an environment sees exactly the packages that were solved into it,
and is made in a second. It shows what conda makes of the names, versions and builds that the workflow asks for, and not
whether the real channels have them.
"""

import hashlib
import io
import json
import sys
import tarfile
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Where the name in conda-forge or Bioconda is not that of PyPI
NAMES = {
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "snakemake": "snakemake-minimal",
    "torch": "pytorch",
    "typing-extensions": "typing_extensions",
    "tzdata": "python-tzdata",
}
BIOCONDA = {"snakemake-minimal"}
CUDA = "12.9"
MINOR = "{}.{}".format(*sys.version_info)


def add(channel: Path, index: dict[str, Any], files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    """Write a package with `files` and symbolic `links` by their paths in an environment, and its record beside it.

    `index`: name, version, build, depends, and noarch: "python" for a package that is not bound to a system.
    """
    index = {"build_number": 0, "subdir": "noarch" if "noarch" in index else "linux-64", **index}
    paths = [{"_path": path, "path_type": "softlink"} for path in links or {}]
    for path, content in files.items():
        size = {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
        paths.append({"_path": path, "path_type": "hardlink"} | size)
    entry_points = index.pop("entry_points", [])
    described: dict[str, Any] = {"index": index, "paths": {"paths": paths, "paths_version": 1}}
    if "noarch" in index:
        noarch = {"type": "python", "entry_points": entry_points}
        described["link"] = {"noarch": noarch, "package_metadata_version": 1}
    info = {f"info/{name}.json": json.dumps(content).encode() for name, content in described.items()}
    info["info/files"] = "".join(f"{path['_path']}\n" for path in paths).encode()

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as archive:
        for path, target in (links or {}).items():
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for path, content in (files | info).items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(content))

    data = packed.getvalue()
    sums = {name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha256")}
    file = channel / index["subdir"] / f"{index['name']}-{index['version']}-{index['build']}.tar.bz2"
    file.write_bytes(data)
    repodata = file.with_name("repodata.json")
    records = json.loads(repodata.read_text())
    records["packages"][file.name] = index | sums | {"size": len(data)}
    repodata.write_text(json.dumps(records))


def add_python(channel: Path) -> None:
    """The interpreter alone, in the way of a virtual environment: the standard library stays where it is."""
    original = Path(sys.base_prefix) / "bin" / f"python{MINOR}"
    home = f"home = {original.parent}\ninclude-system-site-packages = false\n"
    version = "{}.{}.{}".format(*sys.version_info)
    files = {f"bin/{original.name}": original.read_bytes(), "pyvenv.cfg": home.encode()}
    links = {"bin/python": original.name, "bin/python3": original.name}
    add(channel, {"name": "python", "version": version, "build": "0", "depends": []}, files, links)


def conda_name(distribution: str) -> str:
    name = canonicalize_name(distribution)
    return NAMES.get(name, name)


def depends(distribution: Distribution) -> list[str]:
    """What a distribution requires here, as conda writes it."""
    required = map(Requirement, distribution.requires or ())
    here = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return ["python", *sorted({f"{conda_name(one.name)} {one.specifier}".strip() for one in here})]


def add_distribution(channel: Path, distribution: Distribution) -> None:
    name, version = conda_name(distribution.name), distribution.version.split("+")[0]
    view = channel / "views" / f"{name}-{version}"
    view.mkdir(parents=True, exist_ok=True)
    for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        (view / top).symlink_to(distribution.locate_file(top))
    files = {f"site-packages/_conda_{name}.pth": f"{view}\n".encode()}
    scripts = [one for one in distribution.entry_points if one.group == "console_scripts"]
    index = {"name": name, "version": version, "depends": depends(distribution)}
    if name == "pytorch":
        add_pytorch(channel, index, files)
    else:
        called = [f"{one.name} = {one.value}" for one in scripts]
        add(channel, index | {"build": "0", "noarch": "python", "entry_points": called}, files)


def add_pytorch(channel: Path, index: dict[str, Any], files: dict[str, bytes]) -> None:
    """As in conda-forge: a build for CPUs, one that asks for a machine with CUDA, both named so, and pytorch-gpu, which
    asks for the latter."""
    gpu = ["__cuda", f"cuda-version >={CUDA},<13"]
    cpu_build, cuda_build = "cpu_generic_0", "cuda129_generic_0"
    files = {f"lib/python{MINOR}/{path}": content for path, content in files.items()}
    add(channel, index | {"build": cpu_build}, files)
    add(channel, index | {"build": cuda_build, "depends": [*index["depends"], *gpu]}, files)
    same = f"pytorch {index['version']} {cuda_build}"
    add(channel, {**index, "name": "pytorch-gpu", "build": cuda_build, "depends": [same]}, {})
    add(channel, {"name": "cuda-version", "version": CUDA, "build": "0", "depends": []}, {})


def main(folder: Path) -> None:
    channels = {name: folder.resolve() / name for name in ("conda-forge", "bioconda")}
    for channel in channels.values():
        for subdir in ("linux-64", "noarch"):
            (channel / subdir).mkdir(parents=True)
            empty = {"info": {"subdir": subdir}, "packages": {}, "repodata_version": 1}
            (channel / subdir / "repodata.json").write_text(json.dumps(empty))
    add_python(channels["conda-forge"])
    for distribution in distributions(path=[path for path in sys.path if path.endswith("site-packages")]):
        name = conda_name(distribution.name)
        add_distribution(channels["bioconda" if name in BIOCONDA else "conda-forge"], distribution)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
