"""The name of the code that decides values: what changes it, and what doesn't."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import audited_load
from audited_load import code_version as sources
from audited_load.form import Form
from steps import data_cleaners

ENGINE, RULES = Path(audited_load.__file__).parent, Path(data_cleaners.__file__)
MODULES = sources.find_modules(ENGINE, RULES)
CLEANING = sorted(
    f"audited_load.{'.'.join(path.relative_to(ENGINE).with_suffix('').parts)}"
    for path in [
        *ENGINE.glob("reading/*.py"),
        *ENGINE.glob("rules/*_rules.py"),
        *(ENGINE / "cleaning" / f"{name}.py" for name in ("values", "blocks", "duplicates")),
    ]
    if path.stem != "__init__"
)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the engine and the rules in a place of their own."""
    place = tmp_path_factory.mktemp("sources")
    for folder in (ENGINE, RULES.parent):
        shutil.copytree(folder, place / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    return place / ENGINE.name, place / RULES.parent.name / RULES.name


def hash_anew(copies: tuple[Path, Path]) -> str:
    return sources.hash_code.__wrapped__(*copies)


def file_of(module: str, copies: tuple[Path, Path]) -> Path:
    return copies[0].parent.joinpath(*module.split(".")).with_suffix(".py")


@pytest.mark.parametrize("name", CLEANING)
def test_every_module_that_reads_or_cleans_counts(name: str) -> None:
    assert name in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_change_of_any_of_them_is_noticed(name: str) -> None:
    places = {"audited_load": ENGINE, "steps": RULES.parent}
    package, *rest = name.split(".")
    text = places[package].joinpath(*rest).with_suffix(".py").read_text()
    one, two = (ast.parse(f"{text}\n\ndef helper() -> int:\n    return {number}\n") for number in (1, 2))
    assert len({sources.hash_module(tree) for tree in (MODULES[name], one, two)}) == 3


@pytest.mark.parametrize(
    "name", ["audited_load.cleaning.values", "audited_load.reading.records", "audited_load.rules.date_rules"]
)
def test_a_changed_module_makes_another_code(name: str, copies: tuple[Path, Path]) -> None:
    path = file_of(name, copies)
    text = path.read_text()
    path.write_text(f"{text}\n\ndef helper() -> int:\n    return 1\n")
    after = hash_anew(copies)
    path.write_text(text)
    assert after != sources.hash_code(ENGINE, RULES)


def test_a_changed_helper_makes_another_code(copies: tuple[Path, Path]) -> None:
    path = copies[0] / "rules" / "value_rules.py"
    text = path.read_text()
    changed = text.replace(".replace('\"\"', '\"')", ".replace('\"\"', '')")
    assert changed != text
    path.write_text(changed)
    after = hash_anew(copies)
    path.write_text(text)
    assert after != sources.hash_code(ENGINE, RULES)


def test_comments_and_docstrings_make_no_other_code(copies: tuple[Path, Path]) -> None:
    before, path = hash_anew(copies), copies[0] / "rules" / "value_rules.py"
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    told = (
        text.replace('"""What goes', '"""Other words: what goes')
        .replace("# en dash", "# a dash")
        .replace('"""Take a text out', '"""Get a text out')
    )
    assert told != text
    path.write_text(f"{told}\n\n# The end.\n")
    after = hash_anew(copies)
    path.write_text(text)
    assert after == before


def test_what_decides_no_value_makes_no_other_code(copies: tuple[Path, Path]) -> None:
    before, paths = (
        hash_anew(copies),
        [copies[0] / "errors.py", copies[0] / "cleaning" / "limits.py", copies[0] / "cleaning" / "outputs.py"],
    )
    texts = [path.read_text() for path in paths]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(f"{text}\nX = 1\n")
    after = hash_anew(copies)
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    assert after == before


def test_the_same_sources_have_the_same_name_wherever_they_lie(copies: tuple[Path, Path]) -> None:
    assert hash_anew(copies) == sources.hash_code(ENGINE, RULES)


def test_another_version_of_a_library_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources.code_version(Form(), RULES, "")
    monkeypatch.setattr(sources, "library_versions", lambda: ("polars 0",))
    assert sources.code_version(Form(), RULES, "") != before


def test_another_form_gives_another_name() -> None:
    forms = [Form(), Form(decimal="comma"), Form(date_order="day_first"), Form(encoding="cp1252")]
    assert len({sources.code_version(form, RULES, "") for form in forms}) == len(forms)


def test_another_contract_gives_another_name() -> None:
    assert sources.code_version(Form(), RULES, "a" * 64) != sources.code_version(Form(), RULES, "b" * 64)


def test_every_library_that_decides_values_counts() -> None:
    named = {name.partition(".")[0] for tree in MODULES.values() for name in sources.imported(tree)}
    foreign = named - sys.stdlib_module_names - {"audited_load", "steps"}
    found = packages_distributions()
    assert {distribution for name in foreign for distribution in found[name]} == set(sources.LIBRARIES)


def test_naming_the_code_imports_nothing_that_the_dag_processor_would_wait_for() -> None:
    program = (
        "import sys; from pathlib import Path; from audited_load.form import Form;"
        " from audited_load.code_version import code_version;"
        f" code_version(Form(), Path({str(RULES)!r}), ''); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"polars", "numpy", "num2words", "airflow", "audited_load.cleaning.clean_file"} & set(
        done.stdout.split()
    )
