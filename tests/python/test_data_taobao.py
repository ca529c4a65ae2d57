"""headrace data convert --from taobao: UserBehavior.csv to lines of click histories."""

import pytest
from data_cli import data, done

from headrace.data import convert_taobao, taobao
from headrace.errors import DataError


def csv(path, rows):
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def clicks(user, items, first=100):
    return [(user, item, f"c{item}", "pv", first + at) for at, item in enumerate(items)]


def read(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_histories_are_sorted_by_time_and_of_clicks(tmp_path):
    rows = [
        (1, 10, 4, "pv", 300), (1, 11, 5, "pv", 100), (1, 12, 6, "buy", 150), (1, 13, 7, "pv", 200),
        (2, 20, 8, "pv", 100),  # one click is no history
        (3, 30, 9, "pv", 50), (3, 31, 9, "pv", 50), (3, 32, 4, "fav", 70),
    ]
    out = tmp_path / "out.tsv"
    said = done("convert", "--from", "taobao", csv(tmp_path / "u.csv", rows), out, "--to", "text").out
    assert said.startswith("wrote 4 records")
    lines = read(out)
    assert all(len(fields) == taobao.FIELDS for fields in lines)
    first, second, third, fourth = lines
    assert first[:6] == ["1", "1", "10", "4", "11,13", "5,7"]
    assert third[:6] == ["1", "3", "31", "9", "30", "9"], "of equal times the order stays"
    categories = {str(item): str(category) for _, item, category, *_ in rows}
    for positive, negative in ((first, second), (third, fourth)):
        user = positive[1]
        own = {str(item) for u, item, _, kind, _ in rows if str(u) == user and kind == "pv"}
        assert negative[0] == "0" and negative[1] == user and negative[2] not in own
        assert negative[4:] == positive[4:]
        for fields in (positive, negative):
            for items, of in ((fields[4], fields[5]), (fields[6], fields[7]), (fields[2], fields[3])):
                assert [categories[item] for item in items.split(",")] == of.split(",")
            for clicked, not_clicked in zip(fields[4].split(","), fields[6].split(","), strict=True):
                assert clicked != not_clicked


def test_long_histories_keep_the_last(tmp_path):
    path = csv(tmp_path / "u.csv", clicks(1, range(taobao.HISTORY + 5)) + clicks(2, [1000, 1001]))
    (positive, *_) = [line for batch in convert_taobao.Taobao([str(path)]).batches() for line in batch]
    fields = positive.decode().split("\t")
    assert fields[2] == str(taobao.HISTORY + 4)
    assert fields[4].split(",") == [str(i) for i in range(4, taobao.HISTORY + 4)]


def test_the_same_file_gives_the_same_lines_whatever_the_sample_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(convert_taobao, "SAMPLE", 10)
    path = csv(tmp_path / "u.csv", [row for user in range(60) for row in clicks(user, range(user, user + 9))])

    def lines():
        source = convert_taobao.Taobao([str(path)])
        assert len(source._sample) == 10 and source.total == 120
        return [line for batch in source.batches() for line in batch]

    assert lines() == lines() and len(lines()) == 120
    # The sample is of the whole file, not of its beginning.
    assert max(int(item) for item, _ in convert_taobao.Taobao([str(path)])._sample) > 30


@pytest.mark.parametrize(
    "text, says",
    [
        ("1,2,3,pv,4\n1,2,3,pv\n", "u.csv: line 2: is not user,item,category,behaviour,timestamp"),
        ("1,2,3,look,4\n", "line 1: is not user,item"),
        ("1,2,3,pv,x\n", "line 1: the timestamp is no number: b'x'"),
        ("1,2,3,pv,4\n2,2,3,pv,4\n1,3,3,pv,5\n", "line 3: user 1 had rows before.*sort -s -t, -k1,1n"),
        ("1,2,3,pv,4\n", "no user has two clicks"),
        ("1,2,3,pv,4\n1,2,3,pv,5\n", "all clicks are on one item"),
    ],
)
def test_what_is_wrong_is_named(text, says, tmp_path):
    (tmp_path / "u.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        convert_taobao.Taobao([str(tmp_path / "u.csv")])


def test_wrong_usage(tmp_path):
    csv(tmp_path / "u.csv", clicks(1, [1, 2]))
    wrong = data("convert", "--from", "taobao", "--as", "raw", tmp_path / "u.csv", tmp_path / "o.tsv")
    assert wrong.code == 2 and "records are taken as they are" in wrong.err
    failed = data("convert", "--from", "taobao", tmp_path / "none.csv", tmp_path / "o.tsv")
    assert failed.code == 1 and "there is no such file" in failed.err and not (tmp_path / "o.tsv").exists()
