"""A GPU under members that train together: needs torch and this checkout, and under 8 minutes.

``python -m benchmarks gpu`` prints tables for docs/benchmarks.md; on a machine without a GPU it
rehearses that all of it runs.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from typing import Any

import benchmarks.bare  # noqa: F401 - makes gatelab importable, so before gatelab

# isort: split
import torch

from benchmarks.device import CUDA, DEVICE, launches, milliseconds, timed, waits
from benchmarks.gpu_models import BATCH, MODELS
from benchmarks.stepping import stepper
from gatelab.gates.gate import gates
from gatelab.training import precision
from gatelab.training.configuration import Configuration
from gatelab.training.evaluation import evaluate
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from gatelab.training.work import Work

SECONDS = 460.0
"""After so many no section begins anew."""
STARTED = time.monotonic()
PLAN = (
    *(("digits", gate, (1, 8, 32, 128, 256)) for gate in ("dselect_k", "softmax", "comet")),
    ("groups", "dselect_k", (1, 8, 32, 128, 256)),
    ("films", "dselect_k", (1, 8, 32, 64)),
    ("films, sparse", "dselect_k", (1, 8)),
    ("pictures", "dselect_k", (1, 4, 16)),
)
EPOCHS = (
    *(("digits", (1, 32, 128)), ("groups", (1, 32, 128))),
    *(("films", (1, 16, 64)), ("pictures", (1, 16))),
)
SETTINGS: dict[str, dict[str, Any]] = {
    "dselect_k": {"k": 2, "gamma": 1.0},
    "comet": {"k": 2, "gamma": 1.0},
}


def main() -> None:
    """Print the tables."""
    card = torch.cuda.get_device_name() if CUDA else "no GPU: a rehearsal"
    print(f"torch {torch.__version__}, {card}\n")
    if not CUDA:
        torch.set_num_threads(1)
    for section in (steps, tensor_cores, compiled, processes, epochs, passes, alike):
        if time.monotonic() - STARTED < SECONDS:
            print(f"\n{(section.__doc__ or '').splitlines()[0]}\n", flush=True)
            section()
    print(f"\n{time.monotonic() - STARTED:.0f} s in all")


def _training(model: str, gate: str, members: int) -> Training:
    task, experts = MODELS[model]()
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    configuration = Configuration.of(SETTINGS.get(gate, {}), {"num_experts": experts}, optimizer)
    many = [Member(configuration, seed) for seed in range(members)]
    return Training(task, gates.get(gate), many, Recipe(BATCH[model], 1000), DEVICE)


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Say in a line what could not be measured, and go on."""
    try:
        yield
    except Exception as error:
        print(f"| {what} | {type(error).__name__}: {' '.join(str(error).split())[:160]} |")
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def steps() -> None:
    """A step: eager, and as one CUDA graph.

    The ratio is of member-steps a second, to one member eager: to a trial a process.
    """
    print(
        "| model | gate | members | eager ms | launches | waits | busy ms | graph ms "
        "| ratio eager | graph | MiB a member |"
    )
    print(f"| --- | --- |{' ---: |' * 9}")
    for model, gate, widths in PLAN:
        alone = 0.0
        for members in widths if CUDA else widths[:2]:
            if time.monotonic() - STARTED > SECONDS / 2:
                return
            with _said(f"{model}, {gate}, {members}"):
                alone = _row(model, gate, members, alone)


def _row(model: str, gate: str, members: int, alone: float) -> float:
    """Print a row; return the milliseconds of one member."""
    training = _training(model, gate, members)
    eager = milliseconds(stepper(training, records=False))
    training.loop.begin_pass(0)

    def within() -> None:
        training.loop.eager_step(training.recipe.batch_size)

    stops, (kernels, busy) = waits(within), launches(within)
    memory = torch.cuda.max_memory_allocated() / 2**20 / members if CUDA else 0.0
    graph = milliseconds(stepper(training)) if CUDA else float("nan")
    why = "".join(f" {note}" for note in training.notes)
    alone = alone or eager
    ratios = [alone * members / each for each in (eager, graph)]
    print(
        f"| {model} | {gate} | {members} | {eager:.3f} | {kernels} | {stops} | {busy:.3f} "
        f"| {graph:.3f}{why} | {ratios[0]:.1f} | {ratios[1]:.1f} | {memory:.1f} |",
        flush=True,
    )
    return alone


def tensor_cores() -> None:
    """TF32: products of float32 by tensor cores."""
    print("| model | members | eager ms | graph ms |\n| --- | ---: | ---: | ---: |")
    for model, members in (("films", 64), ("pictures", 16)) if CUDA else (("digits", 2),):
        with _said(f"{model}, {members}"), precision.tensor_cores(True):
            training = _training(model, "dselect_k", members)
            eager = milliseconds(stepper(training, records=False))
            graph = milliseconds(stepper(training)) if CUDA else float("nan")
            print(f"| {model} | {members} | {eager:.3f} | {graph:.3f} |", flush=True)


def compiled() -> None:
    """torch.compile of the members' losses, with their gradients."""
    print("| model | members | eager ms | compiled ms | first call s |\n| --- |" + " ---: |" * 4)
    for model, members in (("digits", 128), ("films", 64)) if CUDA else ():
        with _said(f"{model}, {members}"):
            training = _training(model, "dselect_k", members)
            eager = milliseconds(step := stepper(training, records=False))
            training.members.call = torch.compile(  # type: ignore[method-assign]
                training.members.call, dynamic=False
            )
            first = timed(step, 1)
            print(
                f"| {model} | {members} | {eager:.3f} | {milliseconds(step):.3f} | {first:.0f} |",
                flush=True,
            )


def processes() -> None:
    """One member a process: steps a second of all of them together on one GPU."""
    print("| model | processes | steps a second |\n| --- | ---: | ---: |")
    context = multiprocessing.get_context("spawn")
    for model in ("digits", "films") if CUDA else ("digits",):
        for number in (1, 4, 16) if CUDA else (1, 2):
            if time.monotonic() - STARTED > SECONDS - 60:
                return
            barrier, rates = context.Barrier(number), context.SimpleQueue()
            started = [
                context.Process(target=_alone, args=(model, barrier, rates), daemon=True)
                for _ in range(number)
            ]
            for process in started:
                process.start()
            for process in started:
                process.join()
            ended = [process for process in started if process.exitcode == 0]
            together = sum(rates.get() for _ in ended) if len(ended) == number else float("nan")
            print(f"| {model} | {number} | {together:.0f} |", flush=True)


def _alone(model: str, barrier: Barrier, rates: Any, seconds: float = 2.0) -> None:
    torch.set_num_threads(1)
    step, number = stepper(_training(model, "dselect_k", 1), records=False), 0
    timed(step, 5)
    barrier.wait(timeout=60)  # of one that could not start, all end
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        timed(step, 10)
        number += 10
    rates.put(number / (time.perf_counter() - started))


def epochs() -> None:
    """An epoch with all that belongs to it: training, the pass over val, scores on the host.

    The ratio is of trials an hour, to one eager trial that has the GPU to itself.
    """
    print("| model | members | steps | s | of it train | member-epochs a second | ratio |")
    print(f"| --- | ---: | --- |{' ---: |' * 4}")
    for model, widths in EPOCHS if CUDA else EPOCHS[:1]:
        alone = 0.0
        for members, records in ((1, False), *((width, True) for width in widths if CUDA)):
            with _said(f"{model}, {members}"):
                seconds, train = _epoch(model, members, records)
                alone = alone or 1 / seconds
                rate = members / seconds
                print(
                    f"| {model} | {members} | {'replayed' if records else 'eager'} "
                    f"| {seconds:.3f} | {train:.3f} | {rate:.2f} | {rate / alone:.1f} |",
                    flush=True,
                )


def _epoch(model: str, members: int, records: bool) -> tuple[float, float]:
    """Return the seconds of a job's third epoch, and those of its training alone."""
    task, experts = MODELS[model]()
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    configuration = Configuration.of(SETTINGS["dselect_k"], {"num_experts": experts}, optimizer)
    jobs = [
        Job("search", "benchmark", "dselect_k", (Member(configuration, seed),), seed)
        for seed in range(members)
    ]
    work = Work(task, jobs, Recipe(BATCH[model], 1000), device=DEVICE, step_seconds=0.0)
    work.training.loop.records = work.training.loop.records and records
    for _ in range(2):
        work.step()
    train = timed(lambda: work.training.loop.run(0), 1)
    return timed(work.step, 1), train


def passes() -> None:
    """The pass over val, with what it brings to the host."""
    print("| model | members | rows | ms | MiB to the host |\n| --- |" + " ---: |" * 4)
    for model, members in (("films", 32), ("digits", 128)) if CUDA else (("digits", 2),):
        with _said(f"{model}, {members}"):
            training = _training(model, "dselect_k", members)
            split = training.split("val")

            def whole(training: Training = training, split: Any = split) -> list[Any]:
                return evaluate(training.members, training.model, split)

            found = whole()
            size = sum(t.nbytes for one in found for t in (*one.outputs, one.weights)) / 2**20
            seconds = timed(whole, 1)
            rows = len(split.inputs)
            print(f"| {model} | {members} | {rows} | {1e3 * seconds:.1f} | {size:.0f} |")


def alike() -> None:
    """One member among 32 against alone: the largest relative difference of losses in 50 steps."""
    print("| model | difference |\n| --- | ---: |")
    for model in ("digits", "films") if CUDA else ("digits",):
        with _said(model):
            one, many = (_losses(_training(model, "dselect_k", n)) for n in (1, 32 if CUDA else 2))
            print(f"| {model} | {float(((one - many).abs() / one.abs()).max()):.1e} |")


def _losses(training: Training) -> torch.Tensor:
    """Return the mean loss of the first member over so many first steps, after each of 50."""
    step, found = stepper(training), []
    for _ in range(50 if CUDA else 5):
        step()
        found.append(training.loop.losses[0].cpu())
    return torch.stack(found)


if __name__ == "__main__":
    main()
