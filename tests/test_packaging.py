"""What a wheel and an sdist carry, and what they must never carry."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRIVATE = (
    "inventories/mine/hosts.yml",
    "inventories/mine.py",
    "inventories/local/.vault-password",
    "inventories/local/.inhouse/plan.json",
    "inventories/local/group_vars/all/secrets.yml",
    "inventories/local/group_vars/all/fleet-ca.crt",
)
NEEDED = (
    "templates/caddy/Caddyfile.j2",
    "roles/site.yml",
    "roles/container_engine/meta/argument_specs.yml",
    "roles/container_engine/files/look.sh",
    "roles/services/tasks/plan.yml",
    "inventories/local/hosts.yml",
    "inventories/fleet.py",
    "deploy.py",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, with files that are nobody else's business, built."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "deploy.py", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    for name in ("inhouse", "templates", "roles"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("local", "homelab", "fleet"):
        shutil.copytree(ROOT / "inventories" / name, copy / "inventories" / name)
        shutil.copy(ROOT / "inventories" / f"{name}.py", copy / "inventories")
    for private in PRIVATE:
        (copy / private).parent.mkdir(parents=True, exist_ok=True)
        (copy / private).write_text("secret\n")
    build = [sys.executable, "-m", "hatchling", "build", "-d", "dist"]
    subprocess.run(build, cwd=copy, check=True, capture_output=True, timeout=60)
    return copy / "dist"


def test_a_checkout_can_be_installed_editable(built: Path) -> None:
    build = "from hatchling.build import build_editable; print(build_editable('dist-editable'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=built.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "inhouse" in done.stdout


def wheel_names(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def sdist_names(built: Path) -> set[str]:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_both_carry_every_file_of_the_package(built: Path) -> None:
    package = {
        str(one.relative_to(ROOT))
        for one in (ROOT / "inhouse").rglob("*")
        if one.is_file() and "__pycache__" not in one.parts
    }
    assert "inhouse/facts/probe.sh" in package
    assert package <= wheel_names(built)
    assert package <= sdist_names(built)


def test_both_carry_what_lies_beside_the_package(built: Path) -> None:
    assert {f"inhouse/_assets/{name}" for name in NEEDED} <= wheel_names(built)
    assert set(NEEDED) <= sdist_names(built)


@pytest.mark.parametrize("private", PRIVATE)
def test_neither_carries_an_inventory_of_your_own_or_its_secrets(built: Path, private: str) -> None:
    assert f"inhouse/_assets/{private}" not in wheel_names(built)
    assert private not in sdist_names(built)


def test_an_unpacked_wheel_finds_its_own_assets(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    names = "deploy_file", "templates_folder", "roles_folder", "default_inventory"
    asked = f"from inhouse import paths as p; print({', '.join(f'p.{name}()' for name in names)})"
    said = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {asked}"],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    found = [Path(name) for name in said.stdout.split()]
    assert found == [
        tmp_path / "inhouse" / "_assets" / name for name in ("deploy.py", "templates", "roles", "inventories/local")
    ]
    assert all(one.exists() for one in found)
