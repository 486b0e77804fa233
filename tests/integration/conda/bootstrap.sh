#!/usr/bin/env bash
# bootstrap.sh FOLDER: a real conda in FOLDER, from PyPI alone: the copy of conda 24.7.1 that conda-lock carries, the oldest
# that Snakemake accepts. PyPI's own package "conda" is 4.3 of 2017, and Debian has none.
set -euo pipefail
folder=$(realpath -m "${1:?the folder}")

python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$(dirname "$0")/requirements.txt"
"$folder/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$folder/wheels" conda-lock==4.0.3
packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$folder/bin/python" -m zipfile -e "$folder"/wheels/conda_lock-*.whl "$folder/wheels/unpacked"
mv "$folder/wheels/unpacked/conda_lock/_vendor/conda" "$packages/conda"
rm -r "$folder/wheels"
grep --recursive --files-with-matches --include='*.py' 'conda_lock\._vendor\.conda' "$packages/conda" |
  xargs sed --in-place 's/conda_lock\._vendor\.conda/conda/g'

# What an installer of conda adds: a base environment, the program, its shell function and "activate"
mkdir -p "$folder/conda-meta" "$packages/conda/shell/etc/profile.d"
: >"$folder/conda-meta/history"
cat >"$folder/bin/conda" <<END
#!$folder/bin/python
import sys

from conda.cli import main

if __name__ == "__main__":  # it looks for a GPU in a process of its own, which imports this file
    sys.exit(main())
END
chmod +x "$folder/bin/conda"
cat >"$packages/conda/shell/etc/profile.d/conda.sh" <<'END'
conda() {
  case "$1" in
    activate | deactivate) eval "$("$CONDA_EXE" shell.posix "$@" || echo false)" ;;
    *) "$CONDA_EXE" "$@" ;;
  esac
}
END
echo "eval \"\$('$folder/bin/conda' shell.posix activate \"\$@\" || echo false)\"" >"$folder/bin/activate"
cat >"$folder/.condarc" <<'END'
solver: classic
sat_solver: pysat
add_pip_as_python_dependency: false
channel_priority: strict
auto_update_conda: false
notify_outdated_conda: false
END
