"""The 2D convolutional networks of the zoo."""
