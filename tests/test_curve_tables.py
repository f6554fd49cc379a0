"""CSV files as spreadsheets and people write them: read right, or refused with the line."""

from pathlib import Path

import pytest
from guests import brought, checkout_with_guest, imported

HEADER = "seed,env_steps,metric,value"
ROWS = [
    f"{seed},{step},train_return,{step / 1000 + seed}"
    for seed in (0, 1, 2)
    for step in range(0, 1001, 100)
]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"
LAST = ROWS[-1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_guest(tmp_path, monkeypatch)


def written(here: Path, content: str | bytes) -> Path:
    source = here / "curves.csv"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    return source


SPELLINGS = {
    "plain, our own metric without a mapping": PLAIN,
    "a byte order mark": "\ufeff" + PLAIN,
    "UTF-16": PLAIN.encode("utf-16"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "lone CR": PLAIN.replace("\n", "\r"),
    "a quoted header": PLAIN.replace(HEADER, '"seed","env_steps","metric","value"'),
    "everything quoted": "\n".join(
        ",".join(f'"{field}"' for field in line.split(",")) for line in PLAIN.splitlines()
    ),
    "blanks around": PLAIN.replace(",", " , "),
    "capitals in the header": PLAIN.replace(HEADER, HEADER.title().replace("Env_S", "Env_s")),
    "empty lines at the end": PLAIN + "\n\n,,,\n",
    "empty lines before and between": "\n\n" + PLAIN.replace("\n", "\n\n"),
    "whole floats": PLAIN.replace(",1000,", ",1000.0,").replace("\n1,", "\n1.0,"),
    "exponents": PLAIN.replace(",1000,", ",1e3,"),
    "unsorted": "\n".join([HEADER, *reversed(ROWS)]),
    "other columns, in another order": "\n".join(
        ["value,metric,env_steps,seed,clock"]
        + [",".join([*reversed(row.split(",")), "12:00"]) for row in ROWS]
    ),
    "what is not wanted is no number": PLAIN + "0,5,loss,nan\n",
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_csv_file_is_read_however_it_is_spelled(here: Path, how: str):
    assert brought(here, written(here, SPELLINGS[how])) == 0
    curve = imported()[0]
    assert curve["env_steps"].tolist() == list(range(0, 1001, 100)) * 3
    assert curve["value"].tolist() == [
        step / 1000 + s for s in (0, 1, 2) for step in range(0, 1001, 100)
    ]
    assert set(curve["metric"]) == {"train_return"}


def instead(row: str) -> str:
    """The file with another last row, on line 34."""
    return PLAIN.replace(LAST, row)


REFUSED = {
    "nan": (instead("2,1000,train_return,nan"), "line 34, column value: 'nan' is no finite"),
    "infinity": (instead("2,1000,train_return,-inf"), "line 34, column value"),
    "beyond a float": (instead("2,1000,train_return,1e999"), "line 34, column value"),
    "no value": (instead("2,1000,train_return,"), "line 34, column value"),
    "a word": (instead("2,1000,train_return,high"), "line 34, column value"),
    "underscores": (instead("2,1_000,train_return,1"), "line 34, column env_steps"),
    "other digits": (instead("2,1000,train_return,\u0661"), "line 34, column value"),
    "half a step": (instead("2,1000.5,train_return,1"), "line 34, column env_steps"),
    "a negative step": (instead("2,-5,train_return,1"), "line 34, column env_steps"),
    "a step beyond all": (instead("2,1e999999,train_return,1"), "line 34, column env_steps"),
    "half a seed": (instead("2.5,1000,train_return,1"), "line 34, column seed"),
    "thousands": (instead("2,1,000,train_return,1"), "line 34: 5 fields"),
    "quoted thousands": (instead('2,"1,000",train_return,1'), "line 34, column env_steps"),
    "too few fields": (instead("2,1000"), "line 34: 2 fields"),
    "decimal commas": (
        "\n".join(
            [HEADER.replace(",", ";")] + [r.replace(",", ";").replace(".", ",") for r in ROWS]
        ),
        "line 2, column value: '0,0' is no number (a point before decimals",
    ),
    "one step twice": (PLAIN + LAST + "\n", "lines 34 and 35: two values at one step"),
    "no column": (PLAIN.replace("metric", "name"), "has no column metric"),
    "a column twice": (PLAIN.replace(HEADER, HEADER + ",value"), "two columns value"),
    "no header": ("\n".join(ROWS), "has no column seed"),
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "a header alone": (HEADER, "holds no row"),
    "an open quote": (PLAIN + '"2,1000', "is not CSV"),
    "another encoding": (PLAIN.encode().replace(b"train", b"tr\xe4in"), "is not text in UTF-8"),
    "a binary file": (b"PAR1\x00\x15\x04\x15\xff", "is not text in UTF-8"),
    "zeros": (b"\0" * 50, "has no column"),
    "two names of one metric": (
        PLAIN + "\n".join(row.replace("train_return", "return_mean") for row in ROWS),
        "two values at one step, 0, for train_return",
    ),
    "a metric that one seed lacks": (PLAIN + "0,0,test_score,1\n", "no value for test_score"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_malformed_is_one_sentence_with_the_line(here: Path, capsys, what: str):
    content, says = REFUSED[what]
    assert brought(here, written(here, content)) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert "curves.csv" in said or "Seed " in said
    assert not (here / "results").exists()


def test_a_device_is_refused_and_not_read_for_ever(here: Path, capsys):
    assert brought(here, Path("/dev/zero")) == 2
    assert "a folder or a device" in capsys.readouterr().err.replace("\n", " ")


def test_what_is_said_of_a_metric_beats_its_name(here: Path):
    source = written(here, PLAIN + PLAIN.replace(HEADER + "\n", "").replace("train_return", "won"))
    assert brought(here, source, "--metric", "won=test_score") == 0
    assert set(imported()[0]["metric"]) == {"train_return", "test_score"}
    assert brought(here, source, "--metric", "won=train_return") == 0
    assert set(imported()[0]["metric"]) == {"train_return"}


def test_a_metric_that_is_said_to_be_two_things_is_refused(here: Path, capsys):
    said = ("--metric", "train_return=test_return", "--metric", "train_return=test_score")
    assert brought(here, written(here, PLAIN), *said) == 2
    assert "'test_return' and 'test_score': say it once" in capsys.readouterr().err


def test_updates_are_read_where_they_are_known(here: Path):
    lines = [HEADER + ",updates", *(f"{row},{i}" for i, row in enumerate(ROWS))]
    assert brought(here, written(here, "\n".join(lines))) == 0
    assert imported()[0]["updates"].tolist() == list(range(33))
    lines[1] = lines[1][:-1] + "x"
    assert brought(here, written(here, "\n".join(lines))) == 2
