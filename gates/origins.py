"""Where the modules of a measured process came from: they must be the checkout's, or base and head were the same code.

Knows module files and what is installed beside an interpreter; no process, no clock.
"""

import configparser
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from caodiem.errors import InvalidRun

# A project may be at the top of a repository, or one of several in folders.
_DEPTHS = ("", "*/", "*/*/")
_INSTALLED = ("site-packages", "dist-packages")


def check(name: str, checkout: Path, prefix: Path, repository: Path, modules: dict[str, str]) -> None:
    """InvalidRun when a module that the checkout of this `name` holds was imported from somewhere else: from the
    repository, as editable installs may have it, or from an installed copy. `modules` are files by module, `prefix` is
    where the interpreter's packages are.
    """
    own, prefix = checkout.resolve(), prefix.resolve()
    projects = _projects(own)
    copies: dict[Path, set[Path]] = {}
    for module, file in modules.items():
        path = Path(file).resolve()
        if path.is_relative_to(own):
            continue
        top = module.split(".")[0]
        if site := next((each for each in path.parents if each.name in _INSTALLED), None):
            if site not in copies:
                copies[site] = _installed(site, own, projects)
            if path in copies[site]:
                raise InvalidRun(f"{name}: module {module} is an installed copy, {path}; expected {own} only")
        is_ours = any((root / top / "__init__.py").is_file() or (root / f"{top}.py").is_file() for root in roots(own))
        is_astray = path.is_relative_to(repository) and not path.is_relative_to(prefix)
        if is_ours or is_astray:
            raise InvalidRun(f"{name}: module {module} was imported from {path}; expected {own} only")


def roots(checkout: Path) -> list[Path]:
    """The folders of a checkout that its packages are imported from."""
    return [each for each in (checkout, checkout / "src") if each.is_dir()]


def _projects(checkout: Path) -> dict[str, Path]:
    """The folders of the checkout's own projects, by the names that these are installed under."""
    found = {}
    for depth in _DEPTHS:
        for file, names in (("pyproject.toml", _of_tables), ("setup.cfg", _of_settings)):
            for path in checkout.glob(depth + file):
                found |= {canonicalize_name(name): path.parent for name in names(path) if name}
    return found


def _of_tables(path: Path) -> list[str | None]:
    """None of a file that cannot be read, as a project's tests of such files may hold."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return []
    return [tables.get("project", {}).get("name"), tables.get("tool", {}).get("poetry", {}).get("name")]


def _of_settings(path: Path) -> list[str | None]:
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read(path, encoding="utf-8")
    except (ValueError, configparser.Error):
        return []
    return [settings.get("metadata", "name", fallback=None)]


def _installed(site: Path, checkout: Path, projects: dict[str, Path]) -> set[Path]:
    """The files that these projects have put into a folder of installed packages, but for the finder by which an
    editable install leads elsewhere. A project below the top counts if it holds what was installed: it might be called
    like a library that it only uses.
    """
    found = set()
    for each in distributions(path=[str(site)]):
        if folder := projects.get(canonicalize_name(each.name)):
            files = [file for file in each.files or () if not file.parts[0].startswith("__editable__")]
            tops = {file.parts[0] for file in files}
            if folder == checkout or any(next(folder.rglob(f"{top}/__init__.py"), None) for top in tops):
                found |= {Path(str(each.locate_file(file))).resolve() for file in files}
    return found
