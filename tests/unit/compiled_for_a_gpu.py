"""Compile all that is in gpu_kernels for GPUs of one compute capability, and print of each kernel how long its code is
and how many bytes a thread needs because the registers do not hold all.

Run by test_gpu_kernels.py in a process of its own, because Triton compiles there, and nowhere else in the tests.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import JITFunction, driver

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))
from rotvar.statistics import gpu_kernels


class Driver:
    """Of a GPU that is not there: all that compiling asks for."""

    get_current_device = get_current_stream = staticmethod(lambda *_: 0)
    get_current_target = staticmethod(lambda: GPUTarget("cuda", int(sys.argv[1]), 32))


CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
compile_and_launch = JITFunction.run


def compile_only(kernel, *arguments, **options):
    code = compile_and_launch(kernel, *arguments, **options | {"warmup": True}).asm["cubin"]
    with NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        used = subprocess.run([CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    print(kernel.fn.__name__, len(code), *re.findall(r"STACK:(\d+)", used))


JITFunction.run = compile_only
driver.set_active(Driver())
gpu_kernels._trial(gpu_kernels, torch.device("cpu"))
for dtype in (torch.float32, torch.float64):
    for rotations, units in ((4, 1), (gpu_kernels.ROTATIONS, 70)):
        of_rotations, of_units = torch.zeros(2, rotations, units).double(), torch.zeros(2, units).double()
        gpu_kernels.accumulate(torch.zeros(2, rotations, units, dtype=dtype), 0, *of_rotations, *of_units)
    gpu_kernels.mean_and_max(torch.zeros(4, 20, 49, dtype=dtype))
for channels in (1, 20, 64):
    maps = torch.zeros(4, channels, 7, 7).to(memory_format=torch.channels_last)
    factors = torch.ones(2, channels)
    gpu_kernels.fuse(maps, (factors[0], factors[1]), 0.0, maps)
for normalization in (None, (factors[0], factors[1])):
    for alpha in (None, 0.0, 1.0):
        gpu_kernels.fuse(maps, normalization, alpha, None)
