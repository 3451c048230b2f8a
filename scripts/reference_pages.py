"""The reference of operations, passes and settings, made from docstrings when mkdocs builds the documentation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from xdsl.irdl import IRDLOperation
from xdsl.passes import get_pass_option_infos

from xmlc.dialects import DIALECTS
from xmlc.options import OPTIONS
from xmlc.passes import PASSES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def fields(op: type[IRDLOperation]) -> str:
    """The operands, properties, attributes, results and regions of an op, as a list."""
    definition = op.get_irdl_definition()
    rows = {
        "operands": [name for name, _ in definition.operands],
        "properties": list(definition.properties),
        "attributes": list(definition.attributes),
        "regions": [name for name, _ in definition.regions],
        "results": [name for name, _ in definition.results],
    }
    return "\n".join(f"- {kind}: {', '.join(f'`{name}`' for name in names)}" for kind, names in rows.items() if names)


def dialect_page(name: str) -> str:
    """Every op of one dialect."""
    lines = [f"# Operations of `{name}`\n"]
    for op in sorted(DIALECTS[name]().operations, key=lambda op: op.name):
        lines += [f"## `{op.name}`\n", inspect.cleandoc(op.__doc__ or ""), ""]
        if issubclass(op, IRDLOperation):
            lines += [fields(op), ""]
    return "\n".join(lines)


def passes_page() -> str:
    """Every pass with its options."""
    lines = ["# Passes\n", "`xmlc opt -p 'NAME{option=value}'` runs them.\n"]
    for name, load in sorted(PASSES.items()):
        made = load()
        lines += [f"## `{name}`\n", inspect.cleandoc(made.__doc__ or ""), ""]
        for option in get_pass_option_infos(made):
            default = f", by default `{option.default_value}`" if option.default_value is not None else ""
            lines.append(f"- `{option.name.replace('_', '-')}`: `{option.expected_type}`{default}")
        lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """Every setting of the environment."""
    rows = [f"| `{option.name}` | {option.help} |" for option in OPTIONS.values()]
    return "\n".join(["# Settings\n", "| environment variable | meaning |", "|---|---|", *rows, ""])


def pages() -> dict[str, str]:
    """Path below docs/ -> text."""
    return {
        "reference/passes.md": passes_page(),
        "reference/settings.md": settings_page(),
        **{f"reference/{name}.md": dialect_page(name) for name in DIALECTS},
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """mkdocs calls this with the files it found."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
