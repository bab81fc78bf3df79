"""Engines run the units of a study: `here` in this process, `ray_engine` in the processes of a Ray cluster.

An engine has one method, `run(plan, take)`. Not for what is in a unit (`isi_widget.study.plan`), nor for
storing rows (`isi_widget.study.store`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from isi_widget import checks

if TYPE_CHECKING:
    from isi_widget.study.plan import Plan
    from isi_widget.study.work import Take


class Engine(Protocol):
    """What runs the units of a study."""

    def run(self, plan: Plan, take: Take) -> None:
        """Run every unit with missing rows, model after model, and call `take` with each row.

        `take` is called in the thread that called `run`, in any order of rows, each once. For each model with
        missing rows `plan.meet` is called before its first row. An exception of `take` or `plan.meet` ends
        the run: it is raised as it is, and nothing goes on in the background.

        Raises
        ------
        Cancelled
            `plan.cancel` returned True.
        """


#: Names of the engines.
NAMES = ("here", "ray")


def engine_of(engine: Any) -> Engine:
    """Return an engine from its name; None is "here"; an object with a method `run` is itself."""
    if engine is not None and not isinstance(engine, str):
        if not callable(getattr(engine, "run", None)):
            raise checks.wrong(engine, "engine", "None, a name, or an object with a method run(plan, take)")
        given: Engine = engine
        return given
    name = checks.one_of("here" if engine is None else engine, "engine", NAMES)
    if name == "ray":
        from isi_widget.study.engines.ray_engine import RayEngine

        return RayEngine()
    from isi_widget.study.engines.here import Here

    return Here()
