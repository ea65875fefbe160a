"""The locks: every package by hash, in agreement with the catalogue and the pinned lists."""

import re
from pathlib import Path

import pytest

from inhouse.catalogue.releases import releases
from inhouse.deploys.open_webui_lock import INSTALLER, REQUIREMENTS, TARGETS, Target, lock_body, locked, template_body


def pinned(name: str) -> dict[str, str]:
    lines = template_body(name.replace(".txt", ".in")).splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))


def normal(packages: dict[str, str]) -> dict[str, str]:
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in packages.items()}


def test_the_lock_holds_the_pinned_list_and_open_webui_of_the_catalogue() -> None:
    wanted = normal(pinned(REQUIREMENTS)) | {"open-webui": releases().open_webui.default}
    assert normal(locked(REQUIREMENTS)) == wanted


def test_the_installer_is_locked_as_pinned() -> None:
    assert normal(locked(INSTALLER)) == normal(pinned(INSTALLER))


@pytest.mark.parametrize("name", [REQUIREMENTS, INSTALLER])
def test_every_line_is_a_package_or_a_hash(name: str) -> None:
    package, sha256 = r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", r" \\\n    --hash=sha256:[0-9a-f]{64}"
    assert re.fullmatch(f"({package}({sha256})+\n)+", template_body(name))


def report(name: str, sha256: str, url: str = "https://files.example.internal/a.whl") -> dict[str, object]:
    info = {"url": url, "archive_info": {"hashes": {"sha256": sha256}}}
    return {"install": [{"metadata": {"name": name, "version": "1.0"}, "download_info": info}]}


def test_a_lock_allows_what_any_target_would_install_once() -> None:
    reports = [report("b", "2" * 64), report("b", "1" * 64), report("b", "1" * 64), report("A", "3" * 64)]
    assert lock_body(reports) == (
        f"A==1.0 \\\n    --hash=sha256:{'3' * 64}\n"
        f"b==1.0 \\\n    --hash=sha256:{'1' * 64} \\\n    --hash=sha256:{'2' * 64}\n"
    )


def test_a_file_of_this_machine_is_refused() -> None:
    with pytest.raises(ValueError, match=r"b==1\.0 would come from this machine"):
        lock_body([report("b", "1" * 64, url=Path("/srv/b.whl").as_uri())])


def test_targets_are_the_supported_hosts() -> None:
    assert [(target.python, target.architecture) for target in TARGETS] == [
        ("3.11", "x86_64"),
        ("3.11", "aarch64"),
        ("3.12", "x86_64"),
        ("3.12", "aarch64"),
    ]


def test_the_newest_glibc_of_the_oldest_distribution_comes_first() -> None:
    assert Target("3.11", "aarch64").platforms[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_37_aarch64" not in Target("3.11", "aarch64").platforms
