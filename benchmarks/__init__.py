"""How fast isi_widget is, measured: `python -m benchmarks` (or `make bench`) writes docs/performance.md.

One module per subject, each runnable alone (`python -m benchmarks trials`) and in a process of its own.
Times are medians with the range of all repeats; ratios compare two ways that were run in turn within one
process, so that whatever else the machine does meets both. Not for correctness: see tests/.
"""
