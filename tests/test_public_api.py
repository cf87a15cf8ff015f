"""What users import stays importable, and importing does nothing."""

from __future__ import annotations

import subprocess
import sys

import crisis_filter


def test_all_names_what_is_there():
    """`__all__` is sorted and complete, submodules aside."""
    import types

    public = {
        n for n, v in vars(crisis_filter).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)
    }
    assert crisis_filter.__all__ == sorted(public, key=lambda n: (not n[0].isupper(), n))


def test_importing_loads_no_heavy_library_and_configures_nothing():
    """No client, runtime or log handler until it is used."""
    code = (
        "import logging, sys; before = list(logging.root.handlers); import crisis_filter;"
        "heavy = {'openai', 'instructor', 'langchain', 'langchain_core', 'onnxruntime', 'pyarrow', 'torch', 'typer', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy; assert logging.root.handlers == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_ten_lines_of_the_readme_run():
    """The Python of the README does what it says."""
    from pathlib import Path

    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n", 1)[1].split("```", 1)[0]
    out = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert "crisis" in out.stdout
