"""Floor 3: what inside a model makes its answer: heads, paths, words of layers. See docs/inside.md.

A scan runs a model many times with something inside it changed, and compares the answers (`tracing`,
`knockout`, the scans of heads); `lens` reads the layers of one run. Changes are made by
`isi_widget.vlm.inside`. Nothing here runs at import; torch is loaded with the first measurement.
"""
