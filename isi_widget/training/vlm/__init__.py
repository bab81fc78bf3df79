"""Training of the tiny LLaVA on rendered scenes.

`build`: parts of the model · `pictures`: training pictures · `questions`: packed question-answer pairs ·
`heads`: deep supervision, dropped at export · `stages`: the curriculum · `loop`: steps and checkpoints ·
`evaluate`, `card`: evaluation and model card.
"""
