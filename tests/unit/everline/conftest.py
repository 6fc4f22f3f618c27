"""Every test has a home of its own and no server in reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everline import sending
from runners.embedded import free_port


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EVERLINE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("EVERLINE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("EVERLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("EVERLINE_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("EVERLINE_WORKSPACE", "EVERLINE_CONTEXT", "EVERLINE_STACK"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    sending.forget()
