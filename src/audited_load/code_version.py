"""The code that decides values → a name for it: a file under another name is another load.

What counts is found from the sources, not from a list: the module that holds a feed's rules, the engine's cleaning,
and every module of theirs that these import. Comments and docstrings don't count. Nothing is imported for it, and
the same sources give the same name wherever they lie.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from audited_load import __version__
from audited_load.form import Form

LIBRARIES = ("PyYAML", "num2words", "numpy", "polars", "text2num", "zstandard")
"""Distributions that decide values; a test compares them with what the modules import."""
ENGINE = "audited_load"
CLEANING = (f"{ENGINE}.cleaning.clean_file", f"{ENGINE}.sharding.gather")
"""Where cleaning begins, of a file in one piece and in shards."""
UNRELATED = frozenset(f"{ENGINE}.{name}" for name in ("errors", "cleaning.outputs", "progress"))
"""Modules that cleaning imports, and that decide no value."""


def code_version(form: Form, rules: Path, contract: str) -> str:
    """Name the code and the rules that decide values, in a form of a file.

    Args:
        form: How the file is written.
        rules: The module that holds the feed's rules, in its package.
        contract: The sha256 of what the feed's contract declares.

    Returns:
        The release, a plus sign, and twelve hexadecimal characters.
    """
    parts = (repr(form), contract, hash_code(Path(__file__).parent, rules), *library_versions())
    return f"{__version__}+{_digest(chr(10).join(parts))[:12]}"


@lru_cache
def library_versions() -> tuple[str, ...]:
    """Return the installed version of each of `LIBRARIES`."""
    return tuple(f"{name} {version(name)}" for name in LIBRARIES)


@lru_cache
def hash_code(engine: Path, rules: Path) -> str:
    """Sum up the modules that decide values; once per process, for the same places.

    Args:
        engine: Folder of the engine's package.
        rules: The module that holds the feed's rules, in its package.

    Returns:
        64 hexadecimal characters.
    """
    modules = find_modules(engine, rules)
    return _digest("\n".join(f"{name} {hash_module(modules[name])}" for name in sorted(modules)))


def hash_module(tree: ast.Module) -> str:
    """Sum up one module, without its comments and docstrings."""
    return _digest(_shape(tree))


def find_modules(engine: Path, rules: Path) -> dict[str, ast.Module]:
    """Find the modules that decide values, by following imports from the rules and from the engine's cleaning.

    Args:
        engine: Folder of the engine's package.
        rules: The module that holds the feed's rules, in its package.

    Returns:
        The syntax tree of each module, by the module's full name.
    """
    packages = {ENGINE: engine, rules.parent.name: rules.parent}
    found: dict[str, ast.Module] = {}
    names = [*CLEANING, f"{rules.parent.name}.{rules.stem}"]
    while names:
        name = names.pop()
        path = None if name in found or name in UNRELATED else _locate(name, packages)
        if path:
            found[name] = ast.parse(path.read_bytes())
            names.extend(imported(found[name]))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Return the names that a module imports from, and of what it imports from there: that may be a module, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _locate(name: str, packages: Mapping[str, Path]) -> Path | None:
    package, *rest = name.split(".")
    if package not in packages:
        return None
    place = packages[package].joinpath(*rest)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _shape(node: ast.AST) -> str:
    """Write a syntax tree as text. Not `ast.dump`, which differs from Python to Python."""
    fields = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            if not isinstance(value, ast.expr_context):
                fields.append(f"{name}={_shape(value)}")
        elif isinstance(value, list):
            if value:
                fields.append(f"{name}=[{_shapes(value)}]")
        elif value is not None or isinstance(node, ast.Constant):
            fields.append(f"{name}={value!r}")
    return f"{type(node).__name__}({','.join(fields)})"


def _shapes(nodes: Iterable[object]) -> str:
    texts = (_shape(node) if isinstance(node, ast.AST) else repr(node) for node in nodes if not _is_docstring(node))
    return ",".join(texts)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
