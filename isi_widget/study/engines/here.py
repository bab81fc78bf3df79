"""The engine that runs a study in this process, one unit after the other, in the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isi_widget.study.work import judge_of, rows_of

if TYPE_CHECKING:
    from isi_widget.study.plan import Plan
    from isi_widget.study.work import Take


class Here:
    """Runs the units in this process."""

    def run(self, plan: Plan, take: Take) -> None:
        """Run every unit with missing rows; see `Engine`."""
        for source in plan.sources:
            if not plan.missing(source.label):
                continue
            if source.vlm is None:
                plan.note(f"loading {source.label}")
            with source.opened(cancel=plan.cancel) as vlm:
                judge = judge_of(vlm, plan.how, plan.cancel)
                plan.meet(source.label, vlm.info(), "" if judge is None else judge.label)
                for unit in plan.units(source.label):
                    plan.meet(source.label, vlm.info(), "" if judge is None else judge.label)
                    for row in rows_of(vlm, unit, plan.cancel, judge=judge):
                        take(row)
                del vlm
