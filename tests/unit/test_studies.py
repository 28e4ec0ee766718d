"""The recorded studies that notebooks read."""

from lecture_utils import studies

import pytest


def test_the_record_of_notebook_03_is_complete():
    study = studies.load_study("two_terms")
    assert set(study["betas"]) == {"0.0", "0.1", "0.3", "1.0", "2.0", "4.0", "inf"}
    assert {len(runs) for runs in study["betas"].values()} == {5}
    assert {len(runs) for runs in study["changes"].values()} == {3}
    assert study["machine"] and study["versions"]["torch"]


def test_a_missing_record_says_how_to_get_it():
    with pytest.raises(OSError, match="git checkout"):
        studies.load_study("never_measured")


def test_a_damaged_record_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "torn.json").write_text('{"betas": ', encoding="utf-8")
    monkeypatch.setattr(studies, "FOLDER", tmp_path)
    with pytest.raises(OSError, match="damaged"):
        studies.load_study("torn")
