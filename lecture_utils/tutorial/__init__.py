"""The checks of Tutorial 7, the same ones beside a student's answer and in grading; and help for
students who are stuck.

>>> from lecture_utils.tutorial import check, check_up, going_on, take
"""

import contextlib
import functools
import os
from types import CodeType, ModuleType

from lecture_utils.tutorial import measures, networks, objective, pictures
from lecture_utils.tutorial.task import NotYet, Task

TASKS: dict[str, Task] = {
    task.name: task for task in objective.TASKS + networks.TASKS + pictures.TASKS + measures.TASKS
}
OF_A_MODEL = ("encode", "decode", "latent_dim")
VISIBLE_SEED = 7  # of the checks in the notebook; grading draws another


def judged(task: str, functions: dict, seed: int) -> str | None:
    """Run the check `task` on {name: function} with the numbers of `seed`; return what is not
    right yet, None if all is."""
    try:
        TASKS[task].judge(seed, TASKS[task].observe(functions, seed))
    except NotYet as error:
        return str(error)
    return None


def check(task: str, *functions) -> None:
    """Check the answer to a task of Tutorial 7 and say what was seen; an answer that is not right
    yet stops nothing.

    While nbgrader validates the notebook, a failed check raises NotYet instead.
    """
    names = TASKS[task].functions
    given = dict(zip(names, functions, strict=True))
    label = TASKS[task].label
    if any(is_taken(name, function) for name, function in given.items()):
        return print(f"{label}: taken from the package, 0 points. Go on.")
    _say(label, judged(task, given, VISIBLE_SEED))


def check_target(model, choose_training) -> None:
    """Check the settings of task 6 and the test ELBO, in nats, of the model that was trained with
    them.

    The ELBO is the package's, on data loaded anew: a mistake in task 4 does not hide here. While
    nbgrader validates the notebook, a failed check raises NotYet.
    """
    from lecture_utils.tutorial.answers import mean_test_elbo

    if is_taken("choose_training", choose_training):
        return print("Task 6, training: taken from the package, 0 points. Go on.")
    failed = judged("settings", {"choose_training": choose_training}, VISIBLE_SEED)
    if failed is None and model is None:
        failed = "There is no trained model: look at what the cell above says."
    if failed is None:
        value = mean_test_elbo(model)
        print(f"mean test ELBO {value:.1f} nats (target {measures.TARGET:.0f})")
        try:
            measures.judge_target(value)
        except NotYet as error:
            failed = str(error)
    _say("Task 6, training", failed)


def check_up(model, elbo, x) -> None:
    """Print the check-up of a trained VAE on images x [N, D], N >= 100; `elbo` is the answer to
    task 4. It costs no points. Notebook 10 shows how to read it."""
    if model is None:
        return print("There is no trained model yet: nothing to examine.")
    from lecture_utils import checkup

    report = checkup.examine(
        model,
        x,
        lambda x: -elbo(model, x, 1).mean(),
        evaluate=lambda x: elbo(model, x, 1).mean().item(),
        code=lambda x: model.encode(x)[0],
        trained=True,
    )
    print(report)


def _say(label, failed):
    if failed is None:
        print(f"{label}: the checks pass.")
    elif os.environ.get("NBGRADER_EXECUTION") == "validate":
        raise NotYet(failed)
    else:
        print(f"{label}: not yet.\n{failed}")


def take(name: str):
    """Return the package's own answer, for example `gaussian_kl = take("gaussian_kl")`; the task
    then earns 0 points. Raises ValueError for a name that is no answer's."""
    from lecture_utils.tutorial.answers import NAMES

    if name not in NAMES:
        raise ValueError(f"There is no answer {name!r} to take. There are: {', '.join(NAMES)}.")
    return NAMES[name]


def is_taken(name: str, answer) -> bool:
    """Whether the answer `name`, a function or class, is the package's, inherits from it, or calls
    the package's answer of that name."""
    if isinstance(answer, functools.partial):
        return is_taken(name, answer.func)
    if isinstance(answer, type):
        methods = [getattr(part, "__func__", part) for part in vars(answer).values()]
        return any(_of_package(base.__module__) for base in answer.__mro__) or any(
            _calls(name, method) for method in methods
        )
    return _of_package(getattr(answer, "__module__", "")) or _calls(name, answer)


def _calls(name, function):
    """Whether a function calls the package's answer `name`, takes it, or imports it."""
    called, constants = _names_in(getattr(function, "__code__", None))
    known = getattr(function, "__globals__", {})
    others = [known.get(other) for other in called]
    answers = [f for f in others if getattr(f, "__name__", "") == name]
    if any(_of_package(getattr(f, "__module__", "")) for f in answers):
        return True
    if name in constants and any(f is take for f in others):
        return True
    modules = [f.__name__ for f in others if isinstance(f, ModuleType)]
    return name in called and any(_of_package(f"{m}.") for m in [*modules, *called])


def _names_in(code):
    """The names and constants of a function's code, and of the functions within it."""
    names, constants = set(getattr(code, "co_names", ())), set()
    for constant in getattr(code, "co_consts", ()):
        if isinstance(constant, CodeType):
            within = _names_in(constant)
            names |= within[0]
            constants |= within[1]
        elif isinstance(constant, str):
            constants.add(constant)
    return names, constants


def _of_package(name) -> bool:
    return str(name).startswith("lecture_utils.")


@contextlib.contextmanager
def going_on(what: str):
    """Say why `what` did not work, and go on with the notebook: an unfinished task stops no
    other."""
    try:
        yield
    except Exception as error:
        if os.environ.get("NBGRADER_EXECUTION") == "validate":
            raise
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, NotImplementedError) and not str(error):
            reason = "a task above is not answered yet"
        if isinstance(error, AttributeError) and error.obj is None and error.name in OF_A_MODEL:
            reason = "there is no trained model yet"
        print(f"{what} did not work: {reason}. Go on with the next task.")
