"""What VLMs and entailment models share about pretrained weights: hub, devices, memory, quantisation."""
