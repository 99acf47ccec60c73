"""Convolutional backbones of sound: spectrograms (B, C, T, F) -> features."""
