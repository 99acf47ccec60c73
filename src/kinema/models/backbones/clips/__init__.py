"""Convolutional backbones of clips: (B, C, T, H, W) -> features."""
