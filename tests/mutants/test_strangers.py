"""Models by somebody who had not seen the check-up: each fault by name, no healthy one alarmed."""

from lecture_utils import checkup

import pytest
import torch

from tests.mutants import strangers

pytestmark = pytest.mark.matrix


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


def examined(kw):
    kw = dict(kw)
    return checkup.examine(kw.pop("model"), kw.pop("x"), kw.pop("loss"), **kw)


def test_no_healthy_model_raises_an_alarm():
    alarms = {name: examined(kw).faults for name, kw in strangers.healthy()}
    assert len(alarms) == 10
    assert not any(alarms.values()), alarms


def test_every_fault_is_named():
    reports = {name: (fault, examined(kw)) for fault, name, kw in strangers.faulty()}
    missed = {
        name: report.names for name, (fault, report) in reports.items() if fault not in report.names
    }
    assert len(reports) == 20
    assert not missed
