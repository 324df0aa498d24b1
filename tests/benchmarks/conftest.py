"""Networks with few channels, for tests of what is trained, timed and written rather than of the networks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trained


@pytest.fixture(scope="module")
def narrow() -> Iterator[Mapping[str, Any]]:
    """AudioNet and AlexNet are narrow throughout a module, and so are its run folders."""
    with trained.narrow() as patches:
        yield patches


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, narrow: Any) -> Path:
    """As that of all tests, of a narrow AudioNet."""
    return trained.run(tmp_path_factory.mktemp("runs") / "audionet", "audionet")


@pytest.fixture(scope="module")
def spectrogram_run_folder(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, narrow: Any) -> Path:
    """The same of a narrow AlexNet."""
    return trained.run(tmp_path_factory.mktemp("runs") / "alexnet", "alexnet")
