"""Crowds need more open files than some systems give without being asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.limits import descriptors


@pytest.fixture(autouse=True)
def _enough_descriptors() -> Iterator[None]:
    """Let every test here open more files than some systems do without being asked."""
    with descriptors(2_200):
        yield
