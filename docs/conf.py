"""How Sphinx builds these pages: ``python -m sphinx -W -b html docs site``."""

import re
import subprocess
import zlib
from pathlib import Path

import equicon

HERE = Path(__file__).parent
project = "equicon"
author = "The equicon developers"
copyright = "The equicon developers. Apache-2.0"  # noqa: A001 — Sphinx's own name
version = release = equicon.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["results/*"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
nitpicky = True
suppress_warnings = ["config.cache"]

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "private-members": "_draw,_act,_canonicalize,_check_shape",  # the hooks are for users
}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"equicon {release}"
html_logo = "images/logo.svg"
html_favicon = "images/logo.svg"
html_static_path = ["static"]
html_css_files = ["equicon.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "equicon"},
    "navbar_align": "left",
    "navbar_end": ["version", "theme-switcher", "navbar-icon-links"],
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version", "theme-version"],
}
