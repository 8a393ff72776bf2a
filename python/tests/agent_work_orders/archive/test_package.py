"""A package is what was written, or it is not used at all."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from src.agent_work_orders.archive.package import (
    DamagedPackage,
    PackageWriter,
    check_package,
    new_package,
    read_package,
    write_member,
)


def a_package(folder: Path, size: int = 300_000) -> Path:
    source = folder / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "größe 🎉.txt").write_text("hello")
    (source / "big").write_bytes(os.urandom(size))
    (source / "run").mkdir()
    (source / "run" / "raw").write_text("raw")
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    path = folder / "one.tar.gz"
    with new_package(path, "archive", {"of": "a test"}) as package:
        package.add_json("order.json", {"a": 1})
        assert package.add_tree("files", source, without=frozenset({"run"})) == 2
    return path


def write_all(path: Path, target: Path) -> None:
    for member, data in read_package(path):
        write_member(member, data, target / member.name, root=target)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    path = a_package(tmp_path)
    assert check_package(path, "archive")["of"] == "a test"
    assert path.stat().st_mode & 0o777 == 0o600
    target = tmp_path / "out"
    target.mkdir()
    write_all(path, target)
    found = sorted(one.relative_to(target).as_posix() for one in target.rglob("*") if one.is_file())
    assert found == ["files/big", "files/deep/er/größe 🎉.txt", "order.json"]
    assert (target / "files" / "big").read_bytes() == (tmp_path / "source" / "big").read_bytes()


def test_a_package_that_was_cut_off_or_changed_is_not_used(tmp_path: Path) -> None:
    path = a_package(tmp_path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedPackage):
            check_package(path, "archive")
    for place in range(20, len(whole), len(whole) // 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedPackage):
            check_package(path, "archive")


@pytest.mark.parametrize("change", ["another byte", "one more", "one less"])
def test_a_package_that_was_written_anew_by_somebody_is_not_used(tmp_path: Path, change: str) -> None:
    path = a_package(tmp_path)
    with tarfile.open(path) as tar:
        members = [(one, (tar.extractfile(one) or io.BytesIO()).read()) for one in tar]
    with gzip.open(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for member, data in members:
            if member.name == "order.json":
                if change == "one less":
                    continue
                if change == "another byte":
                    data = data.replace(b"1", b"2")
                else:
                    tar.addfile(tarfile.TarInfo("files/more"), io.BytesIO())
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(DamagedPackage, match="not as it was written"):
        check_package(path, "archive")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "link"])
def test_members_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member, io.BytesIO())
    with pytest.raises(DamagedPackage):
        check_package(path, "archive")


def test_a_link_on_the_volume_is_not_written_through(tmp_path: Path) -> None:
    path = a_package(tmp_path)
    target, outside = tmp_path / "out", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "files").symlink_to(outside)
    with pytest.raises(DamagedPackage):
        write_all(path, target)
    assert list(outside.iterdir()) == []


def test_a_package_of_another_kind_or_version_is_named(tmp_path: Path) -> None:
    path = a_package(tmp_path)
    with pytest.raises(DamagedPackage, match="not a backup"):
        check_package(path, "backup")


def test_nothing_is_left_of_one_that_was_not_finished(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(package: PackageWriter) -> None:
        package.add_bytes("a", b"1")
        raise Stop

    with pytest.raises(Stop), new_package(tmp_path / "half.tar.gz", "archive", {}) as package:
        stop(package)
    assert list(tmp_path.iterdir()) == []
