"""How Sphinx builds these pages: ``python -m sphinx -W -b html docs site``."""

import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import equicon
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

HERE = Path(__file__).parent
project = "equicon"
author = "The equicon developers"
copyright = "The equicon developers. Apache-2.0"
version = release = equicon.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "results/*"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
nitpicky = True

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
napoleon_use_ivar = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"equicon {release}"
html_logo = "images/logo.svg"
html_favicon = "images/logo.svg"
html_static_path = ["static"]
html_css_files = ["equicon.css"]
html_sidebars = {"gallery": [], "changes": []}  # they have no neighbours
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": f"equicon {release}"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version", "theme-version"],
}

# Sphinx links names of other libraries by their inventories, which it would download. A build needs no network, so here
# are the names that these pages have, and private ones that annotations show for them.
ELSEWHERE = {
    "https://docs.pytorch.org/docs/stable/": {
        "torch.Tensor": "tensors.html#torch.Tensor",
        "torch._C.Generator": "generated/torch.Generator.html#torch.Generator",
        "torch.Generator": "generated/torch.Generator.html#torch.Generator",
        "torch.amp.grad_scaler.GradScaler": "amp.html#torch.amp.GradScaler",
        "torch.device": "tensor_attributes.html#torch.device",
        "torch.dtype": "tensor_attributes.html#torch.dtype",
        "torch.memory_format": "tensor_attributes.html#torch.memory_format",
        "torch.nn.Module": "generated/torch.nn.Module.html#torch.nn.Module",
        "torch.nn.modules.module.Module": "generated/torch.nn.Module.html#torch.nn.Module",
        "torch.nn.parameter.Parameter": "generated/torch.nn.parameter.Parameter.html#torch.nn.parameter.Parameter",
        "torch.optim.optimizer.Optimizer": "optim.html#torch.optim.Optimizer",
        "torch.utils.data.DataLoader": "data.html#torch.utils.data.DataLoader",
        "torch.utils.data.Dataset": "data.html#torch.utils.data.Dataset",
    },
    "https://docs.python.org/3/": {
        "argparse.ArgumentParser": "library/argparse.html#argparse.ArgumentParser",
        "argparse.Namespace": "library/argparse.html#argparse.Namespace",
        "contextlib.AbstractContextManager": "library/contextlib.html#contextlib.AbstractContextManager",
        "os.PathLike": "library/os.html#os.PathLike",
        "pathlib.Path": "library/pathlib.html#pathlib.Path",
        **{
            f"collections.abc.{name}": f"library/collections.abc.html#collections.abc.{name}"
            for name in [
                "Callable",
                "Collection",
                "Iterable",
                "Iterator",
                "Mapping",
                "Sequence",
            ]
        },
    },
}
nitpick_ignore_regex = [
    (r"py:.*", r"numpy\..*"),  # what numpy.typing.ArrayLike stands for
    ("py:.*", r"equicon\.[\w.]+\.(T|D|G|T_co|Reader)"),  # type variables
    ("py:exc", r"torch\..*"),
    # matplotlib's, which the core does not install, and the class in the annotation of a callback
    ("py:class", r"Figure|equicon\.training\._training\.Training"),
]


def inventory(address: str, names: dict[str, str]) -> tuple[str, str]:
    """Write an inventory of classes, as Sphinx reads it, and give what ``intersphinx_mapping`` takes."""
    head = b"# Sphinx inventory version 2\n# Project: x\n# Version: x\n# The rest is compressed with zlib.\n"
    lines = "".join(f"{name} py:class 1 {where} -\n" for name, where in names.items())
    # The same path every time: otherwise, Sphinx reads all pages again.
    path = HERE / "_build" / f"{address.split('.')[1]}.inv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(head + zlib.compress(lines.encode()))
    return address, str(path)


intersphinx_mapping = {
    address.split(".")[1]: inventory(address, names)
    for address, names in ELSEWHERE.items()
}

_address = ""
if shutil.which("git"):
    _command = ["git", "-C", HERE, "remote", "get-url", "origin"]
    _address = subprocess.run(_command, capture_output=True, text=True).stdout.strip()
_origin = re.fullmatch(
    r"(?:https://|git@)github\.com[:/](.+?)/(.+?)(?:\.git)?", _address
)
if _origin:  # a clone of GitHub's knows where its pages can be edited
    html_theme_options["use_edit_page_button"] = True
    html_theme_options["github_url"] = f"https://github.com/{_origin[1]}/{_origin[2]}"
    html_context = {
        "github_user": _origin[1],
        "github_repo": _origin[2],
        "github_version": "main",
        "doc_path": "docs",
    }


def find_public(app: Sphinx, env: Any, node: pending_xref, contnode: Any) -> Any:
    """Link a public class that an annotation names by the module that defines it."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    public = f"equicon.{name}"
    if not module.startswith("equicon._") or public not in env.domains["py"].objects:
        return None
    return env.domains["py"].resolve_xref(
        env, node["refdoc"], app.builder, "class", public, node, contnode
    )


def setup(app: Sphinx) -> None:
    """Let Sphinx ask for what it does not find."""
    app.connect("missing-reference", find_public)
