"""From measurements to findings: what is wrong, why, and where it is explained.

Each rule takes `Examined` and yields findings; the rules stand in `rules_*`, by what they look at.
"""

from lecture_utils.checkup import rules_dose, rules_draw, rules_loss, rules_model, rules_ranges
from lecture_utils.checkup.examined import Examined

LOSS = (
    rules_loss.nonfinite,
    rules_loss.presence,
    rules_dose.signs,
    rules_dose.beta,
    rules_dose.kl_formula,
    rules_loss.joined,
    rules_draw.paths,
    rules_draw.draw_rules,
    rules_draw.shape_of_epsilon,
    rules_draw.same_numbers,
    rules_draw.agreement,
    rules_ranges.input_range,
    rules_ranges.output_range,
    rules_ranges.code_range,
    rules_loss.target,
    rules_loss.cap,
)


def all_findings(e: Examined):
    """Return the findings, faults first."""
    found = [finding for rule in LOSS for finding in rule(e)]
    faulty_loss = any(finding.level == "fault" for finding in found)
    found += [*rules_model.learned(e), *rules_model.worse_than_the_mean(e, faulty_loss)]
    found += rules_model.evaluation(e, faulty_loss)
    found += rules_model.shown(e)
    return sorted(found, key=lambda finding: finding.level != "fault")
