"""The benchmarks' records as notebooks read them."""

from lecture_utils import records

import pytest


def test_a_record_says_what_was_measured_where_and_when():
    record = records.load("ablation")
    assert {"date", "machine", "versions", "epochs", "median (nats)"} <= record.keys()
    assert record["median (nats)"]["as it is"] == min(record["median (nats)"].values())


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'ablations': choose one of ablation, "):
        records.load("ablations")


def test_a_damaged_record_is_named_with_its_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    (tmp_path / "ablation.json").write_text('{"date": ')
    with pytest.raises(OSError, match="ablation.json is damaged .*git checkout"):
        records.load("ablation")


def test_without_the_repository_there_are_no_records(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FOLDER", tmp_path / "missing")
    with pytest.raises(OSError, match="come with the repository"):
        records.load("ablation")


def test_the_record_of_notebook_03_is_complete():
    study = records.load("two_terms")
    assert set(study["betas"]) == {"0.0", "0.1", "0.3", "1.0", "2.0", "4.0", "inf"}
    assert {len(runs) for runs in study["betas"].values()} == {5}
    assert {len(runs) for runs in study["changes"].values()} == {3}
    assert study["machine"] and study["versions"]["torch"]
