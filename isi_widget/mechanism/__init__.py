"""Which parts of a model make an answer: by intervention, on many items, with controls and intervals.

Not for changing a model (`isi_widget.interventions`, `VLM.intervene`), nor for where attention goes
(`isi_widget.attribution`): attention is where a model reads from, not what it relies on.
"""
