"""The scripts in the pages of docs/."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def guide() -> list[tuple[dict[str, str], str]]:
    """Options and text of every script of docs/python.md, in order."""
    blocks = BLOCK.findall((DOCS / "python.md").read_text())
    return [(dict(option.split("=", 1) for option in options.split()), code) for options, code in blocks]


def recipes() -> dict[str, str]:
    """The script below each heading of docs/python-recipes.md; that of the page itself is the module `simulate`."""
    page = DOCS / "python-recipes.md"
    parts = re.split(r"^## (.*)$", page.read_text(), flags=re.MULTILINE) if page.exists() else [""]
    found = {"simulate": parts[0]}
    found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    scripts = {}
    for name, text in found.items():
        blocks = BLOCK.findall(text)
        assert len(blocks) == 1, f"{name} has {len(blocks)} scripts"
        scripts[name] = blocks[0][1]
    return scripts


def write(folder: Path) -> list[str]:
    """Writes all scripts as files that tools can check; returns their paths."""
    texts = {f"recipe_{re.sub('[^a-z0-9]', '_', name.lower())}": code for name, code in recipes().items()}
    texts["simulate"] = texts.pop("recipe_simulate")
    session = [code for options, code in guide() if "file" not in options]
    texts["guide"] = "\n".join(session)
    texts |= {"guide_" + options["file"].removesuffix(".py"): code for options, code in guide() if "file" in options}
    for name, code in texts.items():
        (folder / f"{name}.py").write_text(code)
    return [str(folder / f"{name}.py") for name in texts]
