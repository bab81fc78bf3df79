"""Training of the tiny LLaVA on rendered scenes.

`build` parts of the model · `pictures` scenes as the model sees them · `questions` packed question-answer
pairs · `heads` the deep supervision that is dropped at export · `stages` what is learnt when · `loop` steps
and checkpoints · `evaluate`, `card`.
"""
