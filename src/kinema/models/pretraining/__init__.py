"""Learning from clips without labels: a network fills in what was hidden of them."""

from kinema.models.pretraining.masked_autoencoder import MaskedAutoencoder

__all__ = ["MaskedAutoencoder"]
