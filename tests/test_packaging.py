"""The wheel carries all it needs: built here, installed elsewhere, it classifies offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_MEGABYTES = 50


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree without a network."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        timeout=120,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_carries_prompts_categories_policies_and_the_engine(wheel):
    """And no test, bench, data set or lock file."""
    files = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "crisis_filter/py.typed",
        "crisis_filter/_assets/prompts/screen/reasoned-v1.md",
        "crisis_filter/_assets/prompts/screen/reasoned-v1.examples.yaml",
        "crisis_filter/_assets/categories/clinical-v1/suicide.yaml",
        "crisis_filter/_assets/categories/maps/llama-guard-3.yaml",
        "crisis_filter/_assets/prompts/baselines/nemoguard-8b-v1.txt",
        "crisis_filter/_assets/policies/default.toml",
        "crisis_filter/_assets/policies/resources-v1.toml",
        "crisis_filter/local/engines/starter-v1/engine.json",
        "crisis_filter/local/engines/starter-v1/model.onnx",
        "crisis_filter/local/engines/standard-v1/engine.json",
        "crisis_filter/local/engines/standard-v1/model.onnx",
        "crisis_filter/evaluation/published/vbhsf.json",
        "crisis_filter/evaluation/report/page.css",
        "crisis_filter/evaluation/report/templates/page.html.j2",
    ):
        assert wanted in files
    assert not [f for f in files if f.startswith(("tests/", "bench/", "data/"))]
    assert wheel.stat().st_size < MOST_MEGABYTES * 1_000_000


def test_the_installed_wheel_classifies_elsewhere(wheel, tmp_path):
    """In another folder, with nothing of this tree on the path, the command line gives an assessment."""
    target = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(install, check=True, timeout=120, capture_output=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRISIS_FILTER_", "OPENAI_", "PYTHON", "COVERAGE"))}
    check = (
        "import crisis_filter, pathlib, sys; assert pathlib.Path(crisis_filter.__file__).is_relative_to(sys.argv[1])"
    )
    env["PYTHONPATH"] = str(target)
    subprocess.run([sys.executable, "-c", check, str(target)], cwd=tmp_path, env=env, check=True, timeout=60)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "crisis_filter",
            "classify",
            "--json",
            "i want to end my life tonight, i wrote the letters",
        ],
        cwd=tmp_path,
        env=env,
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    line = json.loads(done.stdout)
    assert line["outcome"] == "crisis"
    assert line["disposition"]["queue"]
    assert line["provenance"]["detector"] == "local:standard-v1"
