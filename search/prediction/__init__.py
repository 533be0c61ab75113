"""Prediction from recordings: checked input, sound in the format of the model, and what is printed about the result."""
