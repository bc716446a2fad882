"""How Sphinx builds the handbook: offline, and a warning is an error (make docs)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mapcount

project = "mapcount"
release = mapcount.__version__
copyright = "the mapcount authors"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "handbook.extension"]
exclude_patterns = ["examples", "litmus"]
myst_enable_extensions = ["attrs_inline", "colon_fence"]
smartquotes = False  # two dashes are an option
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # shortened JSON and shell output

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"  # records: their fields are listed below
autodoc_typehints = "signature"
autodoc_default_options = {"exclude-members": "__new__, __init__"}
default_role = "code"

html_theme = "furo"
html_title = "mapcount"
html_static_path = ["static"]
html_css_files = ["handbook.css"]
html_show_sphinx = False
html_copy_source = False
