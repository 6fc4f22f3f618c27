"""The public face: cheap to import, self-contained, and every name of it is there."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import everline

IMPORT_SECONDS_MAX = 0.15
HEAVY = ("httpx2", "msgspec", "pandas", "numpy", "sklearn", "fsspec", "tenacity", "platformdirs")


def test_every_public_name_is_there() -> None:
    for name in everline.__all__:
        assert getattr(everline, name) is not None
    assert (Path(everline.__file__).parent / "py.typed").exists()


def test_the_decorators_win_over_the_modules_of_the_same_name() -> None:
    code = (
        "import everline.execution.engine; from everline import step, pipeline; assert callable(step);"
        "assert callable(pipeline)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_is_cheap() -> None:
    code = (
        "import sys, time; began = time.process_time(); import everline; print(time.process_time() - began);"
        f"heavy = set({HEAVY!r}) & set(sys.modules); assert not heavy, heavy"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(5)
    ]
    assert statistics.median(seconds) <= IMPORT_SECONDS_MAX


def test_a_persons_own_packages_keep_their_names(tmp_path: Path) -> None:
    """Nothing of the server is imported, whatever a person's folders are called."""
    for name in ("commands", "ledger", "projections", "gateway", "runners"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a folder of the person was imported')")
    modules = [
        ".".join(("everline", *path.relative_to(Path(everline.__file__).parent).with_suffix("").parts))
        for path in Path(everline.__file__).parent.rglob("*.py")
        if not {"cli", "demo"} & set(path.parts) and path.name != "__init__.py"
    ]
    root = Path(everline.__file__).parent.parent
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.path.append({str(root)!r})\nimport {', '.join(modules)}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
