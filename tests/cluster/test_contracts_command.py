"""`twin contracts`: an export is written, checked, and never broken unnoticed."""

import json
from pathlib import Path

import pytest

from cluster.cli import run

FILE = "stock.moved.v1.json"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    assert run(["contracts", "export", "--into", str(folder)]) == 0
    return folder


def change(folder: Path, **says: object) -> None:
    path = folder / FILE
    schema = json.loads(path.read_text())
    schema["properties"]["delta"] |= says
    path.write_text(json.dumps(schema))


def test_what_was_exported_is_checked_without_a_fault(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    assert run(["contracts", "check", "--against", str(exported)]) == 0
    assert "no event breaks" in capsys.readouterr().out


def test_an_export_again_changes_nothing(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["contracts", "export", "--into", str(exported)]) == 0
    assert " 0 of them new or changed" in capsys.readouterr().out


def test_a_breaking_change_fails_the_check_and_is_not_exported(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(exported, **{"x-unit": "pallet"})  # as if an older program had promised that
    before = (exported / FILE).read_text()

    for words in (["check", "--against"], ["export", "--into"]):
        assert run(["contracts", *words, str(exported)]) == 1
        told = capsys.readouterr().err
        assert told.startswith("CONTRACT_BROKEN: stock.moved.v1: delta has x-unit 'pack'")
    assert (exported / FILE).read_text() == before


def test_a_compatible_change_must_be_exported(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(exported, description="as it was told before")

    assert run(["contracts", "check", "--against", str(exported)]) == 1
    assert capsys.readouterr().err.startswith("CONTRACTS_STALE: stock.moved.v1 differ")
    assert run(["contracts", "export", "--into", str(exported)]) == 0
    assert run(["contracts", "check", "--against", str(exported)]) == 0


def test_the_check_as_json_names_what_is_wrong(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(exported, minimum=-(2**62))
    capsys.readouterr()

    assert run(["contracts", "check", "--json", "--against", str(exported)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["stale"] == ["stock.moved.v1"]
    assert len(told["broken"]) == 1


@pytest.mark.parametrize("content", ["no json", "[]", "{}"])
def test_a_file_that_is_no_contract_is_told(
    content: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (exported / "odd.json").write_text(content)

    assert run(["contracts", "check", "--against", str(exported)]) == 1
    assert capsys.readouterr().err.startswith("CONTRACTS_STALE: ")


def test_a_folder_without_contracts_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["contracts", "check", "--against", str(tmp_path)]) == 1
    assert "export them first" in capsys.readouterr().err
