"""Record when, where and with which versions a study ran."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch
import torchvision

import equicon as eq
from equicon.training import fast_precision


def describe_session(device: str) -> dict[str, str]:
    """Describe the machine, the versions and the command.

    Args:
        device: The device to train on.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": command(),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else cpu_name(),
        "precision": fast_precision(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "equicon": eq.__version__,
        "commit": commit(),
    }


def command() -> str:
    """Give the command as it was typed, without the folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return shlex.join(["python", "examples/real_images/reproduce.py", *words])


def commit() -> str:
    """Give the commit of the code, with a star if the code has changed since."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=*", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_name() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {named[0] if named else platform.processor()}"
