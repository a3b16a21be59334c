"""The audit finds what it was not told: simulated lines whose bad passes are known."""

import math

import numpy as np
import pytest
from scipy import stats

from metrics.pass_audit import AuditedPasses, draw_p, escape_limit, escapes
from metrics.rates import clopper_pearson_upper

LINES = [AuditedPasses("A", 50_000, 0.02, 1_000, 2), AuditedPasses("B", 20_000, 0.05, 1_000, 5)]


def test_each_audited_bad_part_stands_for_one_over_the_share_passes():
    found = escapes(LINES)
    assert found.bad_passes == pytest.approx(2 / 0.02 + 5 / 0.05)
    assert found.standard_error == pytest.approx(math.sqrt(2 * 0.98 / 0.02**2 + 5 * 0.95 / 0.05**2))
    assert (found.audited.k, found.audited.n, found.passes) == (7, 2_000, 70_000)
    assert found.per_million[0] == pytest.approx(200 / 70_000 * 1e6)


def test_one_line_has_the_exact_poisson_interval():
    found = escapes([AuditedPasses("A", 100_000, 0.02, 2_000, 3)])
    assert found.lower == pytest.approx(stats.chi2.ppf(0.025, 6) / 2 / 0.02)
    assert found.upper == pytest.approx(stats.chi2.ppf(0.975, 8) / 2 / 0.02)
    assert found.upper_limit_per_million == pytest.approx(1e6 * clopper_pearson_upper(3, 2_000))


def test_nothing_found_in_883_audited_passes_still_allows_3387_per_million():
    line = AuditedPasses("A", 88_300, 0.01, 883, 0)
    assert round(1e6 * escape_limit([line])) == 3387
    found = escapes([line])
    assert (found.bad_passes, found.lower, found.standard_error) == (0, 0, 0)
    assert found.upper == pytest.approx(-math.log(0.025) / 0.01)  # 3.69 bad parts a hundredfold


def test_the_limit_of_several_lines_holds_for_all_at_once():
    limit = escape_limit(LINES)
    each = [
        clopper_pearson_upper(2, 1_000, confidence=0.975),
        clopper_pearson_upper(5, 1_000, confidence=0.975),
    ]
    assert limit == pytest.approx(50 / 70 * each[0] + 20 / 70 * each[1])
    unseen = [*LINES, AuditedPasses("C", 30_000, 0.01, 0, 0)]
    assert escape_limit(unseen) > 0.3  # a line nobody looked at may be all bad


def test_who_audits_everything_knows_everything():
    found = escapes([AuditedPasses("A", 500, 1.0, 500, 4)])
    assert (found.lower, found.bad_passes, found.upper, found.standard_error) == (4, 4, 4, 0)


@pytest.mark.parametrize("bad", [(40, 200), (5, 30), (1, 3)])
def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth(bad):
    rng, repetitions = np.random.default_rng(11), 3_000
    estimates, variances, covered, limited = [], [], 0, 0
    known: dict[tuple[int, ...], tuple] = {}
    for found_bad in zip(
        *(rng.binomial(n, line.share, repetitions) for n, line in zip(bad, LINES, strict=True)), strict=True
    ):
        if found_bad not in known:
            lines = [
                AuditedPasses(line.line, line.passes, line.share, line.audited, int(k))
                for line, k in zip(LINES, found_bad, strict=True)
            ]
            one = escapes(lines)
            known[found_bad] = (
                one.bad_passes,
                one.standard_error**2,
                one.lower <= sum(bad) <= one.upper,
                one.upper_limit_per_million >= sum(bad) / one.passes * 1e6,
            )
        value, variance, holds, limits = known[found_bad]
        estimates.append(value)
        variances.append(variance)
        covered += holds
        limited += limits
    spread = math.sqrt(sum(n * (1 - line.share) / line.share for n, line in zip(bad, LINES, strict=True)))
    assert np.mean(estimates) == pytest.approx(sum(bad), abs=4 * spread / math.sqrt(repetitions))
    assert np.std(estimates) == pytest.approx(spread, rel=0.1)
    assert math.sqrt(np.mean(variances)) == pytest.approx(spread, rel=0.1)
    assert covered / repetitions >= 0.95
    assert limited / repetitions >= 0.95


def test_underkill_counts_the_bad_parts_that_were_stopped():
    found = escapes(LINES)
    value, lower, upper = found.underkill(bad_stopped=1_800)
    assert value == pytest.approx(0.1)
    assert lower == pytest.approx(found.lower / (found.lower + 1_800))
    assert upper == pytest.approx(found.upper / (found.upper + 1_800))
    assert found.underkill(bad_stopped=0) == (1, 1, 1)


def test_without_any_bad_part_underkill_is_unknown():
    value, lower, upper = escapes([AuditedPasses("A", 1_000, 0.02, 20, 0)]).underkill(bad_stopped=0)
    assert math.isnan(value)
    assert (lower, upper) == (0, 1)


def test_a_draw_that_does_not_fit_its_share_is_noticed():
    assert draw_p(AuditedPasses("A", 50_000, 0.02, 1_000, 2)) > 0.9
    assert draw_p(AuditedPasses("A", 50_000, 0.02, 800, 2)) < 1e-9
    assert draw_p(AuditedPasses("A", 50_000, 0.02, 1_200, 2)) < 1e-9
    assert draw_p(AuditedPasses("A", 10, 1.0, 10, 0)) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "at least one line"),
        ([AuditedPasses("A", 0, 0.02, 0, 0)], "at least one line"),
        ([AuditedPasses("A", 100, 0.0, 0, 0)], "A: an audit share"),
        ([AuditedPasses("A", 100, math.nan, 0, 0)], "A: an audit share"),
        ([AuditedPasses("A", 100, 0.5, 101, 0)], "A: bad <= audited <= passes"),
        ([AuditedPasses("A", 100, 0.5, 10, -1)], "A: bad <= audited <= passes"),
    ],
)
def test_what_is_no_audit_is_refused(lines, said):
    with pytest.raises(ValueError, match=said):
        escapes(lines)
    with pytest.raises(ValueError, match=said):
        escape_limit(lines)


def test_a_negative_number_of_stopped_parts_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        escapes(LINES).underkill(bad_stopped=-1)
