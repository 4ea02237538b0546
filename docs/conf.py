"""The site: `python -m sphinx -W docs docs/_build`. It asks the network for nothing."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from landscape.base.distribution import VERSION

project = "landscape"
author = copyright = "The landscape developers"
version = release = VERSION

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "gallery",
    "written",
]
exclude_patterns = ["_build", "_extensions", ".jupyter_cache", "jupyter_execute"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"  # executed again only where the page changed
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress, which is over

default_role = "code"
autosummary_generate = True
autosummary_imported_members = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
napoleon_use_rtype = False
copybutton_prompt_text = ">>> |\\.\\.\\. |\\$ "
copybutton_prompt_is_regexp = True
python_maximum_signature_line_length = 80

html_theme = "pydata_sphinx_theme"
html_title = "landscape"
html_show_sourcelink = False
html_sidebars = {"index": [], "citing": [], "formats": []}
html_theme_options = {
    "logo": {"text": "landscape"},
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}
