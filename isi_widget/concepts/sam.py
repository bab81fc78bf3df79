from isi_widget.concepts.segmenters import Segmenter
class Sam(Segmenter):
    name="sam"
class Sam2(Segmenter):
    name="sam2"
