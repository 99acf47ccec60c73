"""Streams: frames of cameras, addresses and programs in, events out."""
