"""`python -m isi_widget.training vlm | evaluate | card`, or `entailment`, `blend-entailment`,
`evaluate-entailment`.

Trains and measures the embedded models.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from isi_widget.training.vlm import command


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m isi_widget.training", description=__doc__)
    rooms = parser.add_subparsers(dest="what", required=True)
    command.add_commands(rooms)
    entailment = rooms.add_parser("entailment", help="train the entailment model")
    from isi_widget.training import entailment as entailment_room

    entailment_room.add_arguments(entailment)
    entailment.set_defaults(run=entailment_room.run)
    blends = rooms.add_parser("blend-entailment", help="mean of the weights of entailment models")
    from isi_widget.training import entailment_blend

    entailment_blend.add_arguments(blends)
    blends.set_defaults(run=entailment_blend.run)
    measures = rooms.add_parser("evaluate-entailment", help="measure the entailment model, write its card")
    from isi_widget.training import entailment_eval

    entailment_eval.add_arguments(measures)
    measures.set_defaults(run=entailment_eval.run)
    chosen = parser.parse_args(arguments)
    chosen.run(chosen)


if __name__ == "__main__":
    main()
