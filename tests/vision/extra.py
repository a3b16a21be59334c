"""For the tests of families that need requirements-models.txt: `pytestmark = needs_extra()` before their imports."""

from importlib.util import find_spec

import pytest


def needs_extra() -> pytest.MarkDecorator:
    """Skip the whole file where the extra set is not installed, with the way to run it."""
    if find_spec("torchvision") is None or find_spec("timm") is None:
        pytest.skip("needs requirements-models.txt (script/test --models runs it)", allow_module_level=True)
    return pytest.mark.models
