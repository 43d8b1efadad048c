# SPDX-License-Identifier: Apache-2.0
"""The structs that the binding mirrors are those of the headers."""

import ctypes
import shutil
import subprocess

import pytest
from conftest import TREE

from cosmos import _library

MIRRORED = {
    "cosmos_diag": _library.Diag,
    "cosmos_log": _library.Log,
    "cosmos_replay_options": _library.ReplayOptions,
    "cosmos_resolver_options": _library.ResolverOptions,
    "cosmos_corpus_options": _library.CorpusOptions,
    "cosmos_token": _library.Token,
    "cosmos_token_scheme": _library.TokenScheme,
    "cosmos_corpus_trace": _library.CorpusTrace,
    "cosmos_detector_options": _library.DetectorOptions,
    "cosmos_model_options": _library.ModelOptions,
    "cosmos_model_info": _library.ModelInfo,
    "cosmos_threshold_fit": _library.ThresholdFit,
    "cosmos_adaptive_options": _library.AdaptiveOptions,
    "cosmos_threshold_info": _library.ThresholdInfo,
    "cosmos_trainer_options": _library.TrainerOptions,
    "cosmos_trainer_progress": _library.TrainerProgress,
    "cosmos_trainer_moment": _library.TrainerMoment,
    "cosmos_trainer_report": _library.TrainerReport,
}


def test_structs(tmp_path):
    cc = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not cc:
        pytest.skip("no C compiler")
    lines, expected = [], []
    for name, mirror in MIRRORED.items():
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        expected.append(f"{name} {ctypes.sizeof(mirror)}")
        for field, *_ in mirror._fields_:
            place = f"offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field})"
            lines.append(f'printf("{name}.{field} %zu %zu\\n", {place});')
            at = getattr(mirror, field)
            expected.append(f"{name}.{field} {at.offset} {at.size}")
    source = tmp_path / "abi.c"
    head = "#include <cosmos/cosmos.h>\n#include <stdio.h>\nint main(void)\n{\n"
    source.write_text(head + "\n".join(lines) + "\n}\n")
    subprocess.run([cc, "-I", TREE / "include", "-o", tmp_path / "abi", source], check=True)
    run = subprocess.run([tmp_path / "abi"], check=True, capture_output=True, text=True)
    assert run.stdout.splitlines() == expected
