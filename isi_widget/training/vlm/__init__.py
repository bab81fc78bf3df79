"""Training of the tiny LLaVA on drawn scenes of shapes and of everyday things.

`build`: parts of the model · `pictures`: training pictures · `questions`: packed question-answer pairs ·
`heads`: deep supervision, dropped at export · `stages`: the curriculum · `loop`: steps and checkpoints ·
`evaluate`, `card`: evaluation and model card.
"""
