"""What the lab builds once."""

import os
import time
from pathlib import Path

import pytest

from inhouse.lab import cached


def test_a_folder_is_made_once_and_again_when_its_definition_changes(tmp_path: Path) -> None:
    made: list[str] = []

    def build(definition: str) -> Path:
        return cached.built(tmp_path, "thing", cached.key([definition]), lambda folder: made.append(folder.name))

    assert build("one") == build("one") != build("two")
    assert len(made) == 2


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached.built(tmp_path, "thing", "aaaaaaaaaaaa", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]
    assert cached.built(tmp_path, "thing", "aaaaaaaaaaaa", lambda folder: (folder / "whole").touch()).is_dir()


def test_only_what_nobody_used_for_long_is_removed(tmp_path: Path) -> None:
    young = cached.built(tmp_path, "thing", "aaaaaaaaaaaa", lambda _: None)
    old = cached.built(tmp_path, "thing", "bbbbbbbbbbbb", lambda _: None)
    other = cached.built(tmp_path, "thing-else", "bbbbbbbbbbbb", lambda _: None)
    long_ago = time.time() - cached.UNUSED_S - 60
    for folder in (old, other):
        os.utime(folder, (long_ago, long_ago))
    cached.built(tmp_path, "thing", "cccccccccccc", lambda _: None)
    assert (young.exists(), old.exists(), other.exists()) == (True, False, True)
