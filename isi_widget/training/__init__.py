"""How the embedded models are trained and measured: `python -m isi_widget.training --help`.

Never imported by the rest.
"""
