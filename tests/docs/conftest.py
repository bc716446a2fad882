"""What tests of several pages share."""

from __future__ import annotations

import importlib.util

import pytest

from docs.pages import ROOT


@pytest.fixture
def generator():
    """docs/generate_tables.py as a module."""
    spec = importlib.util.spec_from_file_location("generate_tables", ROOT / "docs" / "generate_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
