"""Training and evaluation of the embedded models: `python -m isi_widget.training --help`.

Never imported by other rooms.
"""
