"""What a VLM reads: token ids of a stimulus, each with its segment; system prompt and earlier turns."""
