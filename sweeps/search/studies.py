"""The studies of a sweep: one for each gate's search, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.study import StudyDirection

from gatelab.sweeps.search.draws import Draws
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.search.study_file import StudyFile, damages, read_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.searches import Search, seed_of
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.tracking.lines import Lines
from gatelab.training.goal import BY_LOSS, Goal


def open_studies(
    path: Path,
    spaces: Mapping[str, SearchSpace],
    rounds: Mapping[str, Rounds],
    *,
    sampler: str,
    seed: int,
    goal: Goal = BY_LOSS,
    behind: Lines | None = None,
) -> dict[str, Study]:
    """Open one study a gate in one journal file, which optuna-dashboard opens too.

    Args:
        path: The file, made if missing.
        spaces: What is searched, by the search's name, which is the study's.
        rounds: How each search is cut, by the same.
        sampler: ``tpe`` or ``random``.
        seed: Of the draws, the same for every gate; each repeat has one that follows from it.
        goal: By which trials are compared.
        behind: The record, no line of which may wait for room when a study's is written.

    Raises:
        DamagedFile: If the file cannot be read; a torn last line is cut off.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the display says what it would
    file = StudyFile(path, behind)
    with damages(path):
        storage = JournalStorage(file)
        studies = {}
        for label, space in spaces.items():
            direction = "maximize" if goal.higher_is_better else "minimize"
            study = _created(storage, label, StudyDirection[direction.upper()])
            repeat = Search.of(label).repeat
            drawn = (space.distributions, space.defaults, sampler, seed_of(seed, repeat))
            draws = Draws(*drawn, space.known, space.parents, space.places)
            studies[label] = Study(study, space, draws, rounds[label], goal)
    return studies


def copy_trials(before: Path, path: Path, attribute: str) -> dict[str, optuna.Study]:
    """Begin the studies of a new file with all trials of another's, and nothing else of them.

    Args:
        before: The other.
        path: The new file.
        attribute: That goes along where a study has it.

    Raises:
        DamagedFile: If that file cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(StudyFile(path))
    found = {}
    for name, study in read_studies(before).items():
        found[name] = _created(storage, name, study.direction)
        found[name].add_trials(study.get_trials(deepcopy=False))
        if attribute in study.user_attrs:
            found[name].set_user_attr(attribute, study.user_attrs[attribute])
    return found


def _created(storage: JournalStorage, name: str, direction: StudyDirection) -> optuna.Study:
    """Return the study of a name, made if it is not there.

    It neither draws nor prunes: what does is a search's draws and verdict.
    """
    return optuna.create_study(
        storage=storage,
        study_name=name,
        sampler=RandomSampler(),
        pruner=NopPruner(),
        direction=direction,
        load_if_exists=True,
    )
