"""What a replay is told on the command line: the scenario's word where nothing was said, and errors before any work."""

import pytest

from caodiem.errors import CaodiemError, ExitCode
from caodiem.scenario import Scenario
from caodiem.stages import Generator


def test_what_is_not_said_is_the_scenarios_word(scenario: Scenario) -> None:
    said = Generator(abort=("failures > 5% for 10 s",), pool=7).options(scenario)
    assert said == {
        "abort": ("failures > 5% for 10 s",),
        "pool": 7,
        "greatest_lateness_s": scenario.replay.greatest_lateness.value,
    }
    assert Generator().options(scenario)["pool"] == scenario.replay.pool.value


@pytest.mark.parametrize(
    ("generator", "code", "told"),
    [
        (Generator(abort=("p95 > 3",)), ExitCode.USAGE, "expected a rule like"),
        (Generator(pool=0), ExitCode.USAGE, "--pool 0: expected at least 1"),
        (Generator(greatest_lateness_s=0.0), ExitCode.USAGE, "expected more than 0 seconds"),
        (Generator(host="https://portal.example"), ExitCode.SAFETY, "may not be loaded"),
    ],
)
def test_what_will_not_do_is_said_before_any_work(generator: Generator, code: ExitCode, told: str) -> None:
    with pytest.raises(CaodiemError, match=told) as caught:
        generator.check()
    assert caught.value.exit_code is code
