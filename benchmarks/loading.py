"""Loading both embedded models in a fresh process: the libraries, the models, and the models once more."""

from benchmarks.timing import Row, fresh, report

CODE = """
import time
start = time.perf_counter()
import torch, transformers
import transformers.models.llava.modeling_llava, transformers.models.clip.modeling_clip
import transformers.models.llama.modeling_llama, transformers.models.deberta_v2.modeling_deberta_v2
import transformers.models.llava.processing_llava, transformers.models.auto
import isi_widget.vlm, isi_widget.uncertainty.entailment
from isi_widget import embedded
torch.set_num_threads(2)
libraries = time.perf_counter()

def load():
    isi_widget.vlm.load_vlm()
    isi_widget.uncertainty.entailment.load_entailment(str(embedded.ENTAILMENT))

load()
first = time.perf_counter()
load()
print(libraries - start, first - libraries, time.perf_counter() - first)
"""


def rows(repeats: int = 5) -> list[Row]:
    fresh(CODE, 1)
    libraries, first, again = zip(*fresh(CODE, repeats), strict=True)
    return [
        Row("import of torch and transformers, once per process", libraries),
        Row("loading both embedded models, first time in a process", first, target=1.5),
        Row("loading both embedded models, again", again),
    ]


if __name__ == "__main__":
    report(rows())
