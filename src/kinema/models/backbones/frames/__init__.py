"""Backbones of frames: images, or the frames of clips one under another -> features of frames."""
