"""`import isi_widget` in a fresh interpreter, beside an interpreter that imports nothing."""

from benchmarks.timing import Row, fresh, report

IMPORT = "import time; t = time.perf_counter(); import isi_widget; print(time.perf_counter() - t)"
TORCH = "import time; t = time.perf_counter(); import torch; print(time.perf_counter() - t)"


def rows(repeats: int = 9) -> list[Row]:
    fresh(IMPORT, 1)  # so that every repeat finds its bytecode
    imported = fresh(IMPORT, repeats)
    torch = fresh(TORCH, 3)
    return [
        Row("import isi_widget", tuple(values[0] for values in imported), target=0.5),
        Row("for comparison: import torch", tuple(values[0] for values in torch)),
    ]


if __name__ == "__main__":
    report(rows())
