"""headrace.data.files: which record files there are."""

import gzip
import os

import pytest

from headrace import programs
from headrace.data import files
from headrace.errors import DataError, ProgramMissingError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "b.txt").write_text("1\n2\n")
    (tmp_path / "a.csv").write_text('1,"x\ny"\n2,z\n')
    (tmp_path / "sub" / "deeper" / "c").write_text("1\n")
    (tmp_path / ".hidden" / "d.txt").write_text("1\n")
    (tmp_path / ".e.txt").write_text("1\n")
    (tmp_path / "f.txt.123-0.hrpart").write_text("unfinished\n")
    with gzip.open(tmp_path / "g.txt.gz", "wt") as file:
        file.write("1\n2\n3\n")
    return tmp_path


def names(specs, folder):
    return [os.path.relpath(spec.path, folder) for spec in specs]


def test_a_folder_with_all_below(folder):
    specs = files.resolve([str(folder)])
    assert names(specs, folder) == ["a.csv", "b.txt", "g.txt.gz", "sub/deeper/c"]
    assert [spec.records for spec in specs] == [2, 2, 3, 1]
    assert [spec.format for spec in specs] == ["csv", "text", "text", "text"]
    assert [spec.gzip for spec in specs] == [False, False, True, False]
    assert all(os.path.isabs(spec.path) and os.path.getsize(spec.path) == spec.bytes for spec in specs)
    assert os.path.exists(folder / "b.txt.hridx")
    assert files.resolve([str(folder)]) == specs  # the indexes are no data


def test_patterns_and_order(folder, monkeypatch):
    monkeypatch.chdir(folder)
    specs = files.resolve(["sub", "?.*", "g.txt.gz"][:2], index="memory")
    assert names(specs, folder) == ["sub/deeper/c", "a.csv", "b.txt", "g.txt.gz"]
    assert not os.path.exists("b.txt.hridx")
    assert names(files.resolve(["./sub/../b.txt"]), folder) == ["b.txt"]


def test_a_name_that_looks_like_a_pattern_or_an_option(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name in ("[x].txt", "-n"):
        (folder / name).write_text("1\n")
        assert files.resolve([name], index="memory")[0].records == 1


def test_indexes_are_told_of_once(folder):
    def said(name):
        lines = []
        files.resolve([str(folder / name)], say=lines.append)
        return lines

    assert said("b.txt") == [f"made an index of where records begin: {folder}/b.txt.hridx"]
    assert said("b.txt") == []
    (folder / "sub" / "deeper" / "e").write_text("1\n")
    made = f"made an index of where records begin: {folder}/sub/deeper/c.hridx, and 1 more"
    assert said("sub") == [made]
    (folder / "a.csv.hridx").mkdir()  # as where nothing can be written
    (none,) = said("a.csv")
    assert none.startswith("no index is kept: ") and f"{folder}/a.csv.hridx" in none
    assert none.endswith("; each process that reads the file makes its own, in memory")


def test_an_index_folder_is_made(folder):
    where = folder / "indexes"
    files.resolve([str(folder / "b.txt")], index_dir=str(where))
    (made,) = os.listdir(where)
    assert made.startswith("b.txt.") and made.endswith(".hridx")
    assert not os.path.exists(folder / "b.txt.hridx")


def test_read_as(folder):
    (spec,) = files.resolve([str(folder / "a.csv")], read_as="text", index="memory")
    assert (spec.records, spec.format) == (3, "text")


def test_links(folder):
    (folder / "sub" / "link.txt").symlink_to(folder / "b.txt")
    assert "sub/link.txt" in names(files.resolve([str(folder)]), folder)
    (folder / "sub" / "loop").symlink_to(folder)
    with pytest.raises(DataError, match="loop: is a link to a folder"):
        files.resolve([str(folder)])


@pytest.mark.parametrize(
    "path, said",
    [
        ("s3://bucket/x", "s3://bucket/x: this TensorFlow has no file system for it .*copy it to"),
        ("file:///none.txt", "file:///none.txt: there is no such file or folder"),
        ("none.txt", "none.txt: there is no such file"),
        ("none*", "none\\*: matches no record file"),
        ("b.txt.hridx", "is an index"),
        ("empty", "there are no record files in this folder"),
        ("empty.txt", r"has no records; leave it out \["),
        ("cut.tfrecord", "cut.tfrecord: byte 0"),
        ("binary", "begins neither as RecordIO nor as TFRecord"),
        ("pipe", "is neither a file nor a folder"),
    ],
)
def test_what_cannot_be_used(folder, monkeypatch, path, said):
    monkeypatch.chdir(folder)
    files.resolve(["b.txt"])
    os.mkdir("empty")
    os.mkfifo("pipe")
    (folder / "empty.txt").write_text("")
    (folder / "cut.tfrecord").write_bytes(b"\5\0\0")
    (folder / "binary").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=said):
        files.resolve(["a.csv", path])


def test_all_that_is_wrong_is_said(folder):
    with pytest.raises(DataError) as error:
        files.resolve([str(folder / "x"), "s3://y/z", str(folder)])
    assert f"{folder}/x: there is no such" in str(error.value) and "s3" in str(error.value)


def test_a_file_named_twice(folder):
    with pytest.raises(DataError, match=r"b.txt: is named twice, by .*/b.txt and by "):
        files.resolve([str(folder / "b.txt"), str(folder)])


def test_empty_files_when_allowed(folder):
    (folder / "empty.txt").write_text("")
    specs = files.resolve([str(folder / "empty.txt")], allow_empty=True)
    assert specs[0].records == 0


def test_a_missing_program_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "DIRECTORY", str(tmp_path))
    with pytest.raises(ProgramMissingError, match="headrace-records"):
        files.resolve(["x"])


def test_no_paths():
    for paths in ([], "a.txt"):
        with pytest.raises(DataError, match="list of paths"):
            files.resolve(paths)


def test_remote_files_are_those_that_tensorflow_finds(folder):
    """Its file: scheme stands for all: nothing of Headrace's own reads such a path."""
    local = files.resolve([str(folder / "b.txt"), str(folder / "g.txt.gz")])
    remote = files.resolve([f"file://{folder}/b.txt", f"file://{folder}/g*"])
    assert [spec.path for spec in remote] == [f"file://{spec.path}" for spec in local]
    assert [spec[1:] for spec in remote] == [spec[1:] for spec in local]
    assert files.resolve([f"file://{folder}/b.txt"], index="read")[0].records == local[0].records


def test_a_remote_folder_is_listed_as_a_local_one(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.txt", ".hidden/d.txt", "sub/.e.txt", "f.txt.hrpart"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one\ntwo\n")
    local = [spec.path for spec in files.resolve([str(tmp_path)])]
    assert [os.path.relpath(path, tmp_path) for path in local] == ["a.txt", "b.txt", "sub/c.txt"]
    assert [spec.path for spec in files.resolve([f"file://{tmp_path}"])] == [f"file://{p}" for p in local]
    with pytest.raises(DataError, match="is named twice"):
        files.resolve([f"file://{tmp_path}", f"file://{tmp_path}/a.txt"])
