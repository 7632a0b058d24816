"""The suite of gates: each check finds its mistake, and every registered gate passes them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatelab.conformance import name_of, run
from gatelab.gates import Routing, gates
from gatelab.gates.check import CHECKS, run_checks
from gatelab.gates.check.subject import Subject
from tests import broken_gates as broken
from tests import unsteady_gates as unsteady

COURSE = {
    "gradient_reaches_every_parameter",
    "training_lowers_the_loss",
    "same_seed_gives_the_same_course",
    "search_space_is_live",
}
"""The checks that train, which can do nothing with a gate that cannot be trained."""
UPDATED = COURSE | {"schedule_ends_where_it_says"}
"""The same with the one that updates, of an update that gives what it must not."""
BROKEN: list[tuple[type[broken.Sound], str, set[str]]] = [
    (broken.NoSuper, "can_be_made", set()),
    (broken.HalfSuper, "can_be_made", set()),
    (broken.Bare, "returns_a_routing", set()),
    (broken.PythonLoss, "returns_a_routing", set()),
    (broken.Undocumented, "is_documented", set()),
    (broken.Referee, "role_is_known", set()),
    (broken.OneColumnShort, "weights_fit", {"numbers_of_experts", *COURSE}),
    (broken.Negative, "weights_fit", {"numbers_of_experts"}),
    (
        broken.NotANumber,
        "weights_fit",
        {
            "weights_sum_to_one",
            "evaluation_is_deterministic",
            "rows_are_independent",
            "numbers_of_experts",
            "float64_and_float32_agree",
            "state_dict_round_trip",
            "pickle_round_trip",
            "stacking_equals_the_loop",
            *COURSE - {"search_space_is_live"},
        },
    ),
    (broken.Unnormalised, "weights_sum_to_one", set()),
    (broken.TooMany, "at_most_k", set()),
    (
        broken.LossByRow,
        "aux_loss_is_a_finite_scalar",
        {"aux_loss_is_a_mean", "numbers_of_experts", "stacking_equals_the_loop", *COURSE},
    ),
    (broken.LossSummed, "aux_loss_is_a_mean", set()),
    (broken.Talkative, "diagnostics_are_scalars_in_evaluation", set()),
    (
        broken.Restless,
        "evaluation_is_deterministic",
        {"rows_are_independent", "float64_and_float32_agree", "stacking_equals_the_loop"},
    ),
    (broken.Namesake, "diagnostics_have_names_and_meanings", set()),
    (broken.Silent, "diagnostics_have_names_and_meanings", set()),
    (broken.Slashed, "diagnostics_have_names_and_meanings", set()),
    (broken.Gregarious, "rows_are_independent", set()),
    (broken.EvenOnly, "numbers_of_experts", set()),
    (broken.Curt, "numbers_of_experts", set()),
    (
        unsteady.Greedy,
        "forward_changes_nothing",
        {
            "aux_loss_is_a_mean",
            "rows_are_independent",
            "forward_leaves_no_gradient",
            "stacking_equals_the_loop",
            "stacked_gates_train",
        },
    ),
    (unsteady.Counting, "forward_changes_nothing", {"update_is_pure"}),
    (unsteady.Taker, "hyperparameters_are_not_changed", set()),
    (unsteady.OwnTrainer, "forward_leaves_no_gradient", {"stacking_equals_the_loop"}),
    (unsteady.Seeder, "random_state_is_torchs", set()),
    (unsteady.WrongBuffer, "update_is_pure", UPDATED),
    (unsteady.WrongShape, "update_is_pure", UPDATED),
    (unsteady.Returnless, "update_is_pure", UPDATED),
    (unsteady.Cooling, "schedule_ends_where_it_says", set()),
    (unsteady.Early, "schedule_ends_where_it_says", set()),
    (unsteady.Epochs, "schedule_ends_where_it_says", set()),
    (unsteady.SinglePrecision, "float64_and_float32_agree", set()),
    (unsteady.HiddenState, "state_dict_round_trip", set()),
    (unsteady.Forgetful, "pickle_round_trip", set()),
    (unsteady.Homebody, "follows_device", set()),
    (unsteady.Detached, "gradient_reaches_every_parameter", set()),
    (unsteady.Contrary, "training_lowers_the_loss", set()),
    (unsteady.Unseeded, "same_seed_gives_the_same_course", set()),
    (broken.Misspelt, "search_space_names_arguments", set()),
    (broken.OutOfRange, "defaults_lie_in_the_search_space", set()),
    (broken.Unsearched, "defaults_lie_in_the_search_space", set()),
    (broken.Idle, "search_space_is_live", {"hyperparameters_are_read"}),
    (broken.Unread, "hyperparameters_are_read", set()),
    (broken.Unregistered, "real_hyperparameters_are_registered", set()),
    (unsteady.Placed, "gates_differ_in_tensors_alone", set()),
    (unsteady.PythonNumber, "stacking_equals_the_loop", set()),
    (unsteady.Hooked, "stacking_equals_the_loop", set()),
    (unsteady.Shortcut, "stacking_equals_the_loop", set()),
    (
        unsteady.Foreign,
        "stacked_gates_train",
        {
            "same_seed_gives_the_same_course",
            "a_step_copies_nothing_from_the_host",
            "draws_follow_from_keys",
        },
    ),
    (unsteady.Waiting, "a_step_copies_nothing_from_the_host", set()),
    (
        unsteady.Asking,
        "a_step_copies_nothing_from_the_host",
        {"follows_device", "stacking_equals_the_loop", "stacked_gates_train"},
    ),
    (
        unsteady.Branching,
        "a_step_copies_nothing_from_the_host",
        {"follows_device", "stacking_equals_the_loop", "stacked_gates_train"},
    ),
    (unsteady.Poisson, "draws_follow_from_keys", set()),
    (unsteady.Writing, "stacking_equals_the_loop", {"stacked_gates_train"}),
    (unsteady.Dropping, "real_hyperparameters_are_registered", set()),
    (
        unsteady.Shuffling,
        "evaluation_is_deterministic",
        {"aux_loss_is_a_mean", "stacking_equals_the_loop"},
    ),
]
OPTIONS = (
    {"static": True},
    {"folded": True},
    {"noise": True},
    {"straight_through": True},
    {"local_search": True},
    {"entropy_weight": 0.1, "noise": 0.3, "entropy_warmup": 0.3, "snap": 0.7},
)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    (name, options)
    for name in gates.names()
    for options in ({}, *OPTIONS)
    if options.keys() <= Subject(gates.get(name), {}).defaults().keys()
]


def failing(cls: type[Any], **hyperparameters: Any) -> set[str]:
    return {outcome.check for outcome in run_checks(cls, **hyperparameters) if not outcome.ok}


def test_nothing_is_found_wrong_with_a_sound_gate() -> None:
    assert failing(broken.Sound) == failing(unsteady.Sampling) == set()


@pytest.mark.parametrize(("cls", "check", "kin"), BROKEN, ids=lambda v: getattr(v, "__name__", ""))
def test_a_mistake_is_found_by_its_check_and_its_kin(
    cls: type[broken.Sound], check: str, kin: set[str]
) -> None:
    options: dict[str, Any] = {"sizes": [1]} if cls is unsteady.Taker else {}
    assert failing(cls, **options) == {check, *kin}


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (broken.NoSuper, "no `super().__init__(in_features, num_experts)`"),
        (broken.Bare, "forward returns a Tensor; likely cause: no `Routing(weights, aux_loss)`"),
        (broken.PythonLoss, "aux_loss is of type float, not a Tensor"),
    ],
)
def test_what_no_check_can_look_at_is_one_line(cls: type[broken.Sound], said: str) -> None:
    (outcome,) = run_checks(cls)
    assert not outcome.ok and said in outcome.reason


def test_an_if_on_a_tensor_is_named_with_its_line() -> None:
    reasons = [outcome.reason for outcome in run_checks(unsteady.Branching) if not outcome.ok]
    assert all("an `if` on a tensor" in reason for reason in reasons)
    assert sum("unsteady_gates.py, line " in reason for reason in reasons) == 3


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (unsteady.Writing, "is written into ({}, line {}); likely cause: `y[i] = v`"),
        (unsteady.Dropping, "likely cause: a layer that keeps it as a Python number, as `nn.Dropo"),
        (broken.EvenOnly, "with num_experts=1 forward raises RuntimeError: "),
    ],
)
def test_a_mistake_is_told_in_words_that_help(cls: type[broken.Sound], said: str) -> None:
    """Where torch's own would say neither what is meant nor where."""
    lines = Path(unsteady.__file__).read_text().splitlines()
    line = next(at for at, text in enumerate(lines, 1) if "weights[:, :] =" in text)
    reasons = [outcome.reason for outcome in run_checks(cls) if not outcome.ok]
    assert all(said.format(unsteady.__file__, line) in reason for reason in reasons) and reasons


def test_a_real_number_that_sets_a_size_is_no_buffer_s() -> None:
    found = {outcome.check: outcome.reason for outcome in run_checks(broken.Sized)}
    reason = found["real_hyperparameters_are_registered"]
    assert "`temperature` sets a size, which no buffer can: an integer" in reason, found
    assert "register_hyperparameters" not in reason


def test_a_hook_on_a_tensor_is_named() -> None:
    (reason,) = (outcome.reason for outcome in run_checks(unsteady.Hooked) if not outcome.ok)
    assert "likely cause: a hook on the gradient of a tensor" in reason


class Tallying(broken.Sound):
    """Counts its passes."""

    passes = 0

    def logits(self, x: Tensor) -> Tensor:
        self.passes += 1
        return super().logits(x) * (1 + self.passes)


def test_what_a_gate_keeps_is_not_taken_for_randomness() -> None:
    found = {outcome.check: outcome.reason for outcome in run_checks(Tallying) if not outcome.ok}
    assert {"evaluation_is_deterministic", "draws_follow_from_keys"} <= found.keys()
    del found["stacking_equals_the_loop"]  # which names the attribute
    assert all("likely cause: state kept in forward, which bel" in it for it in found.values())


class Choosing(broken.Sound):
    """Takes the best expert alone, which has no gradient."""

    def forward(self, x: Tensor) -> Routing:
        best = self.logits(x).argmax(-1, keepdim=True)
        return Routing(torch.zeros(len(x), 8).scatter(1, best, 1.0), x.new_zeros(()))


def test_a_gate_without_any_gradient_is_told_so_by_every_check() -> None:
    reasons = {it.reason for it in run_checks(Choosing) if not it.ok and "gradient" in it.reason}
    assert reasons == {
        "neither weights nor aux_loss has a gradient; likely cause: an argmax, a comparison or a "
        "detach."
    }


class Renaming(broken.Unread):
    """Keeps a hyperparameter under a name of its own."""

    def __init__(self, in_features: int, num_experts: int, *, depth: int = 2) -> None:
        super().__init__(in_features, num_experts)
        self.count = depth

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x) * self.count


class Asking(broken.Unread):
    """Reads a hyperparameter by what no text shows."""

    def __init__(self, in_features: int, num_experts: int, *, depth: int = 2) -> None:
        super().__init__(in_features, num_experts)
        self.depth = depth

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x) * getattr(self, "".join(["dep", "th"]))


@pytest.mark.parametrize("cls", [Renaming, Asking])
def test_a_hyperparameter_may_be_read_in_any_way(cls: type[broken.Sound]) -> None:
    assert failing(cls) == set()


def test_a_comment_reads_nothing() -> None:
    assert failing(broken.Commented) == {"hyperparameters_are_read"}


@pytest.mark.parametrize(
    ("cls", "check", "said"),
    [
        (broken.OverRows, "weights_sum_to_one", "over the rows: `softmax(-1)`, not `softmax(0)`"),
        (broken.LossByRow, "aux_loss_is_a_mean", "aux_loss is of shape (8,), not ()"),
        (unsteady.Doubling, "returns_a_routing", "likely cause: numbers of two types, as after"),
    ],
)
def test_a_mistake_is_told_with_its_cause(cls: type[Any], check: str, said: str) -> None:
    (found,) = (it.reason for it in run_checks(cls) if it.check == check)
    assert said in found, found


class Gumbel(broken.Sound):
    """Draws by a function of torch's that draws within."""

    def forward(self, x: Tensor) -> Routing:
        logits = self.logits(x)
        weights = F.gumbel_softmax(logits, 0.5) if self.training else logits.softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Counting(broken.Sound):
    """Draws by a function that knows no keys."""

    def logits(self, x: Tensor) -> Tensor:
        noise = torch.poisson(torch.ones(len(x))) if self.training else torch.ones(len(x))
        return super().logits(x) + noise.view(-1, 1) * torch.linspace(0, 1, self.num_experts)


class Shuffling(broken.Sound):
    """Draws an order of its rows."""

    def logits(self, x: Tensor) -> Tensor:
        noise = torch.randperm(len(x)) if self.training else torch.zeros(len(x))
        return super().logits(x) + noise.view(-1, 1) * torch.linspace(0, 1, self.num_experts)


def test_gumbel_softmax_draws_from_the_members_key() -> None:
    assert failing(Gumbel) == set()


def test_what_draws_from_no_key_is_named() -> None:
    (found,) = (it.reason for it in run_checks(Counting) if it.check == "draws_follow_from_keys")
    assert "draws_follow_from_keys" not in failing(Shuffling)
    assert found.startswith("`poisson` does not draw from the member's key; likely cause: a func")


def test_every_check_finds_something() -> None:
    assert {name_of(check) for check in CHECKS} == {check for _, check, _ in BROKEN}


class HalfFrozen(broken.Sound):
    """Scales logits by numbers that are drawn once, each gate's own."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.drawn = nn.Parameter(0.5 + torch.rand(num_experts), requires_grad=False)

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x) * self.drawn


class Frozen(HalfFrozen):
    """Learns nothing at all."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.requires_grad_(False)


@pytest.mark.parametrize("cls", [HalfFrozen, Frozen])
def test_nothing_is_wrong_with_what_is_frozen(cls: type[broken.Sound]) -> None:
    assert failing(cls) == set()


def test_a_faster_way_for_stacked_gates_is_taken_and_held_to_the_loop() -> None:
    class Faster(broken.Sound):
        """Multiplies once for all that is stacked."""

        calls = 0

        def forward_stacked(self, x: Tensor) -> Routing:
            Faster.calls += 1
            weights = (self.scale.view(-1, 1, 1) * (x @ self.kernel)).softmax(-1)
            return Routing(weights, weights.square().sum(-1).mean(-1))

    assert failing(Faster) == {"pickle_round_trip"}, "it is no module's"
    assert Faster.calls > 0


def test_an_expected_failure_is_one_line_with_its_reason() -> None:
    class Excused(broken.Unnormalised):
        """Says that it is not normalised."""

        expected_failed_checks: ClassVar[Any] = {"weights_sum_to_one": "as published"}

    (outcome,) = [o for o in run_checks(Excused) if o.reason and o.check == "weights_sum_to_one"]
    assert outcome.ok
    assert outcome.reason == "fails as expected: as published"


def test_an_expected_failure_that_passes_is_a_failure() -> None:
    class Overcautious(broken.Sound):
        """Is better than it says."""

        expected_failed_checks: ClassVar[Any] = {"at_most_k": "why not"}

    outcomes = {outcome.check: outcome for outcome in run_checks(Overcautious)}
    assert not outcomes["at_most_k"].ok
    assert outcomes["at_most_k"].reason == "passes, but is expected to fail: why not"


def test_an_expected_failure_of_no_check_is_a_failure() -> None:
    class Wrong(broken.Sound):
        """Names no check."""

        expected_failed_checks: ClassVar[Any] = {"at_most_kk": "why not"}

    (outcome,) = [o for o in run_checks(Wrong) if o.check == "expected_failed_checks"]
    assert not outcome.ok
    assert outcome.reason == "unknown check 'at_most_kk'; did you mean 'at_most_k'?"


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value))
def test_registered_gates(name: str, options: dict[str, Any], check: Any) -> None:
    cls = gates.get(name)
    outcome = run(check, Subject(cls, options), cls.expected_failed_checks)
    assert outcome.ok, outcome.reason


@pytest.mark.slow
def test_one_line_tests_a_gate_under_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from gatelab.gates.check import check_gate\n\ntest_softmax = check_gate('softmax')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(
        command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
    )
    assert f"{len(CHECKS) + 1} passed" in result.stdout, result.stdout
